import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import type { Pinning } from './load-options.ts';

/** The CPUs that the benchmark may use. */
export interface Cpus {
  /** By the numbers of the system: first one of each core, then the other threads of the cores. */
  readonly ids: readonly number[];
  readonly threadsPerCore: number;
  /** Whether processes can be restricted to some of them. */
  readonly canPin: boolean;
}

/** How the CPUs are divided between the server and the generators. */
export interface Division {
  readonly generators: number;
  /** Undefined if server and generators share all CPUs. */
  readonly pinning: Pinning | undefined;
}

/** @returns the CPUs of this process. */
export function availableCpus(): Cpus {
  const ids = allowedCpus();
  const ranks = ids.map((id) => rankInCore(id));
  const byRank = ids.map((id, i) => ({ id, rank: ranks[i] ?? 0 })).sort((a, b) => a.rank - b.rank);
  return { ids: byRank.map(({ id }) => id), threadsPerCore: Math.max(...ranks) + 1, canPin: hasTaskset() };
}

/**
 * Divides the CPUs: one for each worker, one for the log thread of several workers, and the rest
 * for generators. Without a CPU for a generator, server and generators share all.
 */
export function divide({ ids, canPin }: Cpus, workers: number): Division {
  const ofServer = workers === 1 ? 1 : workers + 1;
  const generators = ids.length - ofServer;
  if (!canPin || generators < 1) return { generators: Math.ceil(ids.length / 2), pinning: undefined };
  return { generators, pinning: { server: ids.slice(0, ofServer), generators: ids.slice(ofServer) } };
}

/** Restricts a command to some CPUs. */
export function pinned(command: readonly string[], ids: readonly number[] | undefined): readonly string[] {
  return ids ? ['taskset', '--cpu-list', ids.join(','), ...command] : command;
}

/** Parses the list format of Linux, such as `0-3,8`. */
export function parseCpuList(list: string): number[] {
  return list
    .trim()
    .split(',')
    .filter((range) => range !== '')
    .flatMap((range) => {
      const [from = 0, to = from] = range.split('-').map(Number);
      return Array.from({ length: to - from + 1 }, (_, i) => from + i);
    });
}

function allowedCpus(): number[] {
  try {
    const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
    if (list !== undefined) return parseCpuList(list);
  } catch {
    // Not Linux.
  }
  return cpus().map((_, id) => id);
}

/** @returns the index of a CPU among the threads of its core. */
function rankInCore(id: number): number {
  try {
    const siblings = readFileSync(`/sys/devices/system/cpu/cpu${id}/topology/thread_siblings_list`, 'utf8');
    return Math.max(0, parseCpuList(siblings).indexOf(id));
  } catch {
    return 0;
  }
}

function hasTaskset(): boolean {
  try {
    execFileSync('taskset', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
