import type { Histogram } from '../../../src/protocol/snapshot.ts';
import { formatCount, formatTick } from './format.ts';

/**
 * How many members are how far behind: a bar for each bucket. The heights are logarithmic, or the
 * few members that are far behind would not be seen beside those in step.
 */
export function LagBars({ lag }: { lag: Histogram }) {
  const top = Math.log1p(Math.max(1, ...lag.counts));
  return (
    <ol class="bars">
      {lag.counts.map((count, bucket) => (
        <li key={labelOf(lag.bounds, bucket)} data-empty={count === 0}>
          <span class="count">
            {formatCount(count)}
            <span class="visually-hidden"> members are behind by </span>
          </span>
          <span class="bar" aria-hidden="true">
            <i style={{ transform: `scaleY(${Math.log1p(count) / top})` }} />
          </span>
          <span class="range">{labelOf(lag.bounds, bucket)}</span>
        </li>
      ))}
    </ol>
  );
}

/** Returns the end of a bucket, as in "≤10". Each begins where the one before ends. */
function labelOf(bounds: readonly number[], bucket: number): string {
  const upper = bounds[bucket];
  if (upper === undefined) return `>${formatTick(bounds.at(-1) ?? 0)}`;
  return upper <= 1 ? formatTick(upper) : `≤${formatTick(upper)}`;
}
