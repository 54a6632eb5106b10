/** How many rows are rendered at once, beside those that are rendered already. */
export const MAX_NEW = 30;
/** The same for a reader who scrolls, and waits for them. */
const MAX_BACK = 50;
/** How many rows are rendered around one that is not rendered. They fill a tall screen. */
const ABOVE = 25;
const BELOW = 40;

/** What to render. */
export interface RangeOptions {
  /** The keys of the rows that are rendered. */
  readonly rendered: ReadonlySet<string>;
  /** Whether the log is at its end, so that the newest rows come first. */
  readonly atEnd: boolean;
  /** The maximum number of rows at the end. */
  readonly max: number;
  /** How many rows may be new. @default fewer at the end, where they arrive by themselves */
  readonly budget?: number;
  /** The key of a row that has to be rendered, if the log is not at its end. */
  readonly key: string | undefined;
}

/**
 * Returns the range of rows to render next, `start` to before `end`, so that many new ones are
 * spread over frames. At the end of the log, rendered rows are dropped rather than the newest.
 */
export function rangeOf(
  rows: readonly { readonly key: string }[],
  { rendered, atEnd, max, budget = atEnd ? MAX_NEW : MAX_BACK, key }: RangeOptions,
): [start: number, end: number] {
  const count = rows.length;
  const isRendered = (row: { readonly key: string } | undefined) => rendered.has(row?.key ?? '');
  let [start, end] = [count, count];
  if (!atEnd) {
    const at = rows.findIndex((row) => row.key === key && !isRendered(row));
    if (at >= 0) return [Math.max(0, at - ABOVE), Math.min(count, at + BELOW)];
    start = rows.findIndex(isRendered);
    if (start < 0) return [0, count];
    end = rows.findLastIndex(isRendered) + 1;
  }
  let left = budget;
  while (start > 0 && end - start < max && (isRendered(rows[start - 1]) || left-- > 0)) start--;
  while (end < count && left-- > 0) end++;
  return [start, end];
}
