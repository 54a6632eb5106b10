import type { Histogram } from '../../../src/protocol/snapshot.ts';

/** Returns how many values a histogram has counted. */
export function countOf({ counts }: Histogram): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

/** Returns the sum of two histograms with the same bounds. */
export function sumOf(one: Histogram, other: Histogram): Histogram {
  return { bounds: one.bounds, counts: one.counts.map((count, bucket) => count + (other.counts[bucket] ?? 0)) };
}

/**
 * Returns what a histogram has counted since an earlier one of the same thread, or undefined if it
 * has not counted on from there.
 */
export function since(earlier: Histogram, later: Histogram): Histogram | undefined {
  if (earlier.counts.length !== later.counts.length) return undefined;
  const counts = later.counts.map((count, bucket) => count - (earlier.counts[bucket] ?? 0));
  return counts.some((count) => count < 0) ? undefined : { bounds: later.bounds, counts };
}

/**
 * Estimates the value that a share of the values do not exceed. It lies in its bucket in
 * proportion. In the last bucket, which has no upper bound, it is the lower one.
 *
 * @param share from 0 to 1.
 * @returns null for a histogram without values.
 */
export function percentile(histogram: Histogram, share: number): number | null {
  const { bounds, counts } = histogram;
  const total = countOf(histogram);
  if (total === 0) return null;
  const rank = Math.max(share * total, Number.MIN_VALUE);
  let below = 0;
  for (const [bucket, count] of counts.entries()) {
    if (count > 0 && below + count >= rank) {
      const lower = bucket === 0 ? 0 : (bounds[bucket - 1] as number);
      const upper = bounds[bucket] ?? lower;
      return lower + (upper - lower) * ((rank - below) / count);
    }
    below += count;
  }
  return bounds.at(-1) ?? 0; // the rank exceeds the total by a rounding error
}
