import type { Histogram, HotRoom, Snapshot, ThreadSnapshot } from '../../protocol/snapshot.ts';

/** What a process has done between two snapshots, a second. */
export interface Rates {
  readonly messages: number;
  readonly deliveries: number;
  readonly frames: number;
  readonly turns: number;
  readonly connects: number;
  readonly closes: number;
  readonly refusals: number;
  readonly overloads: number;
  /** Mean duration of a turn in milliseconds; undefined without one. */
  readonly turnMean: number | undefined;
  /** 99 % of the turns have taken no longer, in milliseconds; undefined without one. */
  readonly turnP99: number | undefined;
}

/**
 * Returns the rates between two snapshots, or undefined if there is no time between them or the
 * server was restarted. A thread that is missing in one of them does not count.
 */
export function ratesBetween(before: Snapshot, after: Snapshot): Rates | undefined {
  const seconds = after.uptime - before.uptime;
  if (seconds <= 0 || after.shared.messages < before.shared.messages) return undefined;
  const pairs = after.threads.flatMap((thread) => {
    const earlier = before.threads.find(({ worker }) => worker === thread.worker);
    return earlier === undefined ? [] : [{ thread, earlier }];
  });
  const gained = (name: keyof ThreadSnapshot['totals']) =>
    pairs.reduce((sum, { thread, earlier }) => sum + thread.totals[name] - earlier.totals[name], 0);
  const turns = gained('turns');
  return {
    messages: (after.shared.messages - before.shared.messages) / seconds,
    deliveries: gained('deliveries') / seconds,
    frames: gained('frames') / seconds,
    turns: turns / seconds,
    connects: gained('connects') / seconds,
    closes: gained('closes') / seconds,
    refusals: gained('refusals') / seconds,
    overloads: gained('overloads') / seconds,
    turnMean: turns > 0 ? gained('turnMs') / turns : undefined,
    turnP99: quantile(difference(pairs.map(({ thread, earlier }) => [thread.turns, earlier.turns])), 0.99),
  };
}

/** Returns how many messages a busy room has got in a second. */
export function roomRate({ messages }: HotRoom, { elapsed }: Snapshot): number {
  return elapsed > 0 ? (messages * 1000) / elapsed : 0;
}

/** Adds histograms with the same bounds. */
export function addHistograms(histograms: readonly Histogram[]): Histogram {
  const [first = { bounds: [], counts: [] }] = histograms;
  const counts = first.counts.map((_, i) => histograms.reduce((sum, each) => sum + (each.counts[i] ?? 0), 0));
  return { bounds: first.bounds, counts };
}

/**
 * Returns the upper bound of the bucket that a quantile is in: Infinity for the last bucket,
 * undefined without values.
 */
export function quantile({ bounds, counts }: Histogram, share: number): number | undefined {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return undefined;
  let below = 0;
  for (const [i, count] of counts.entries()) {
    below += count;
    if (below >= total * share) return bounds[i] ?? Number.POSITIVE_INFINITY;
  }
  return Number.POSITIVE_INFINITY;
}

function difference(pairs: readonly (readonly [Histogram, Histogram])[]): Histogram {
  const { bounds, counts } = addHistograms(pairs.map(([after]) => after));
  const earlier = addHistograms(pairs.map(([, before]) => before));
  return { bounds, counts: counts.map((count, i) => count - (earlier.counts[i] ?? 0)) };
}
