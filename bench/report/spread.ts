/** The median and the range of a figure over several runs. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** The widest range of the runs, relative to their median, at which a figure counts as stable. */
export const STABLE_RANGE = 0.15;

/** The rule of the mark, for the reader of a table. */
export const ROUGH_RULE = `≈ marks a rough figure: its runs differ by more than ${STABLE_RANGE * 100} % of their median, or it comes from a single run.`;

/** A figure of each run. */
type Values = readonly (number | undefined)[];

/** @returns undefined if no run has the figure. */
export function spreadOf(values: Values): Spread | undefined {
  const sorted = sortedOf(values);
  if (sorted.length === 0) return undefined;
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] as number;
  const middle = sorted.length / 2;
  const median = sorted.length % 2 === 1 ? at(0.5) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
  return { median, min: at(0), max: at(1) };
}

/** Whether a figure deserves the mark of `ROUGH_RULE`. */
export function isRough(values: Values): boolean {
  const range = rangeOf(values);
  return spreadOf(values) !== undefined && (range === undefined || range > STABLE_RANGE);
}

/**
 * @returns the range of the runs relative to their median; undefined if less than two have the
 * figure.
 */
export function rangeOf(values: Values): number | undefined {
  const spread = spreadOf(values);
  if (!spread || sortedOf(values).length < 2) return undefined;
  const { median, min, max } = spread;
  return max === min ? 0 : (max - min) / Math.abs(median);
}

function sortedOf(values: Values): number[] {
  return values.filter((value): value is number => Number.isFinite(value)).sort((a, b) => a - b);
}
