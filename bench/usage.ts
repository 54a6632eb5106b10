/** What a server process has used so far, by its own account. */
export interface Usage {
  readonly cpuSeconds: number;
  readonly memoryBytes: number;
  /** `performance.now()` when it came in. */
  readonly at: number;
}

/** Asks a server's `/metrics`. @returns undefined where it has none that tells. */
export async function usageOf(server: URL): Promise<Usage | undefined> {
  try {
    const answer = await fetch(new URL('/metrics', server));
    const text = answer.ok ? await answer.text() : '';
    const cpuSeconds = read(text, 'process_cpu_seconds_total');
    const memoryBytes = read(text, 'process_resident_memory_bytes');
    if (cpuSeconds === undefined || memoryBytes === undefined) return undefined;
    return { cpuSeconds, memoryBytes, at: performance.now() };
  } catch {
    return undefined;
  }
}

/** All that a server's `/metrics` say without labels, by name. Rejects where there are none. */
export async function readingsOf(server: URL | string): Promise<Map<string, number>> {
  const text = await (await fetch(new URL('/metrics', server))).text();
  return new Map([...text.matchAll(/^(\w+) (\S+)$/gm)].map(([, name = '', value]) => [name, Number(value)]));
}

function read(metrics: string, name: string): number | undefined {
  const value = new RegExp(`^${name} (\\S+)`, 'm').exec(metrics)?.[1];
  return value === undefined ? undefined : Number(value);
}
