import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** What a server process has used so far. */
export interface Usage {
  readonly cpuSeconds: number;
  readonly memoryBytes: number;
}

/** A server that is measured. */
export interface Target {
  readonly url: string;
  /** Where it is known: the system then tells what the process uses. */
  readonly pid?: number;
}

/** What a server uses, by the system's account, or its own at `/metrics`. @returns undefined where neither tells. */
export async function usageOf({ url, pid }: Target): Promise<Usage | undefined> {
  const seen = pid === undefined ? undefined : seenBySystem(pid);
  if (seen) return seen;
  const readings = await readingsOf(url);
  const cpuSeconds = readings?.get('process_cpu_seconds_total');
  const memoryBytes = readings?.get('process_resident_memory_bytes');
  return cpuSeconds === undefined || memoryBytes === undefined ? undefined : { cpuSeconds, memoryBytes };
}

/** All that a server's `/metrics` say without labels, by name. @returns undefined where it has none. */
export async function readingsOf(url: string): Promise<Map<string, number> | undefined> {
  try {
    const answer = await fetch(new URL('/metrics', url));
    if (!answer.ok) return undefined;
    const lines = (await answer.text()).matchAll(/^(\w+) (\S+)$/gm);
    return new Map([...lines].map(([, name = '', value]) => [name, Number(value)]));
  } catch {
    return undefined;
  }
}

/** What Linux says of a process: proc(5). */
function seenBySystem(pid: number): Usage | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may hold anything; the state comes third, the times in ticks fourteenth and fifteenth.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const ticks = Number(fields[11]) + Number(fields[12]);
    const resident = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return { cpuSeconds: ticks / ticksPerSecond(), memoryBytes: Number(resident) * 1024 };
  } catch {
    return undefined;
  }
}

let ticks: number | undefined;
function ticksPerSecond(): number {
  ticks ??= Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
  return ticks;
}
