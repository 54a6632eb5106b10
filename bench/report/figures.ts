// How figures are put together, and written for people.

export const whole = (value: number) => Math.round(value).toLocaleString('en-US');
export const percent = (share: number) => `${Math.round(share * 100)} %`;
export const kibi = (bytes: number) => `${(bytes / 1024).toFixed(1)} KiB`;
export const mebi = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
export const time = (ms: number) =>
  ms < 1 ? `${Math.round(ms * 1000)} µs` : ms < 100 ? `${ms.toFixed(1)} ms` : `${whole(ms)} ms`;

/** What belongs together, in the order in which each was first there. */
export function grouped<T>(all: readonly T[], keyOf: (one: T) => string): T[][] {
  const groups = new Map<string, T[]>();
  for (const one of all) {
    const group = groups.get(keyOf(one));
    if (group) group.push(one);
    else groups.set(keyOf(one), [one]);
  }
  return [...groups.values()];
}
