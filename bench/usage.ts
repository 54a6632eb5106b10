import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** The resources that a server process has used so far. */
export interface Usage {
  /** User and system time. */
  readonly cpuSeconds: number;
  /** The part of `cpuSeconds` outside the kernel; undefined if it is not reported. */
  readonly userCpuSeconds: number | undefined;
  readonly memoryBytes: number;
}

/** The server to measure. */
export interface Target {
  readonly url: string;
  /** The local process of the server, if known. */
  readonly pid: number | undefined;
}

/** @returns the sum of all; undefined if one is missing. */
export function sumOf(usages: readonly (Usage | undefined)[]): Usage | undefined {
  const [first, ...others] = usages;
  return others.reduce(
    (sum, usage) =>
      sum &&
      usage && {
        cpuSeconds: sum.cpuSeconds + usage.cpuSeconds,
        userCpuSeconds:
          sum.userCpuSeconds === undefined || usage.userCpuSeconds === undefined
            ? undefined
            : sum.userCpuSeconds + usage.userCpuSeconds,
        memoryBytes: sum.memoryBytes + usage.memoryBytes,
      },
    first,
  );
}

/** CPU time between two readings. */
export interface CpuTime {
  /** User and system time. */
  readonly cpuSeconds: number;
  /** The part of `cpuSeconds` outside the kernel; undefined if it is not reported. */
  readonly userCpuSeconds: number | undefined;
}

/**
 * @returns the CPU time of a process between two readings; undefined if one is missing, or if they
 * are of different processes.
 */
export function cpuBetween(start: Usage | undefined, end: Usage | undefined): CpuTime | undefined {
  if (!start || !end || end.cpuSeconds < start.cpuSeconds) return undefined;
  const [from, to] = [start.userCpuSeconds, end.userCpuSeconds];
  const userCpuSeconds = from === undefined || to === undefined ? undefined : to - from;
  return { cpuSeconds: end.cpuSeconds - start.cpuSeconds, userCpuSeconds };
}

/**
 * Reads a server's usage from the system if its process is known, otherwise from the server's
 * `/metrics`.
 *
 * @returns undefined if neither reports it.
 */
export async function usageOf({ url, pid }: Target): Promise<Usage | undefined> {
  const usage = pid === undefined ? undefined : usageOfProcess(pid);
  if (usage) return usage;
  const readings = await readingsOf(url);
  const cpuSeconds = readings?.get('process_cpu_seconds_total');
  const memoryBytes = readings?.get('process_resident_memory_bytes');
  if (cpuSeconds === undefined || memoryBytes === undefined) return undefined;
  return { cpuSeconds, userCpuSeconds: readings?.get('process_cpu_user_seconds_total'), memoryBytes };
}

/**
 * Reads the metrics without labels from `/metrics`.
 *
 * @returns the values by name; undefined without such a page.
 */
export async function readingsOf(url: string): Promise<Map<string, number> | undefined> {
  try {
    const response = await fetch(new URL('/metrics', url));
    if (!response.ok) return undefined;
    const lines = (await response.text()).matchAll(/^(\w+) (\S+)$/gm);
    return new Map([...lines].map(([, name = '', value]) => [name, Number(value)]));
  } catch {
    return undefined;
  }
}

/** Reads Linux' proc(5). @returns undefined on other systems. */
export function usageOfProcess(pid: number): Usage | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may contain spaces. After it, utime and stime are fields 12 and 13.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [user, system] = [Number(fields[11]), Number(fields[12])].map((ticks) => ticks / ticksPerSecond());
    const resident = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    // A process that has exited keeps its entry until its parent collects it, but has no memory.
    if (user === undefined || system === undefined || resident === undefined) return undefined;
    return { cpuSeconds: user + system, userCpuSeconds: user, memoryBytes: Number(resident) * 1024 };
  } catch {
    return undefined;
  }
}

/**
 * Reads the CPU seconds of all processes of the machine from Linux' proc(5), with those that the
 * hypervisor withheld.
 *
 * @returns undefined on other systems.
 */
export function cpuSecondsOfMachine(): number | undefined {
  try {
    const [, ...fields] = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0]?.split(/\s+/) ?? [];
    // Guest time, after these, is part of user time.
    const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = fields.map(Number);
    return (user + nice + system + irq + softirq + steal) / ticksPerSecond();
  } catch {
    return undefined;
  }
}

let ticks: number | undefined;
function ticksPerSecond(): number {
  ticks ??= Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
  return ticks;
}
