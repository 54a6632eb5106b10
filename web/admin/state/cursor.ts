import { signal } from '@preact/signals';

/** The second that all charts point at, since 1970; undefined while they show the present. */
export const cursor = signal<number | undefined>(undefined);

/** Returns the index of the time that is nearest to another one, or -1 for no times. */
export function nearest(times: readonly number[], time: number): number {
  let [low, high] = [0, times.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((times[middle] as number) < time) low = middle + 1;
    else high = middle;
  }
  const before = times[low - 1];
  return before !== undefined && time - before < (times[low] as number) - time ? low - 1 : high;
}
