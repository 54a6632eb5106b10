// Formats and groups figures.

export const whole = (value: number) => Math.round(value).toLocaleString('en-US');
export const percent = (share: number) => `${Math.round(share * 100)} %`;
/** For a share that the resolution of the CPU times, 10 ms, makes imprecise. */
export const smallPercent = (share: number) => (share < 0.01 ? '< 1 %' : percent(share));
export const precisePercent = (share: number) => {
  if (share > 0 && share < 0.001) return '< 0.1 %';
  return share === 0 ? 'none' : `${(share * 100).toFixed(1)} %`;
};
export const kibi = (bytes: number) => `${(bytes / 1024).toFixed(1)} KiB`;
export const mebi = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
export const time = (ms: number) =>
  ms < 1 ? `${Math.round(ms * 1000)} µs` : ms < 100 ? `${ms.toFixed(1)} ms` : `${whole(ms)} ms`;

/** Groups items by a key, in the order in which each key first occurs. */
export function grouped<T>(items: readonly T[], keyOf: (item: T) => string): T[][] {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return [...groups.values()];
}
