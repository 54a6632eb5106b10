/** How many rows are rendered at once, beside those that are rendered already. */
export const MAX_NEW = 40;
/** How many rows a busy log keeps at its end. They fill a tall screen. */
const MAX_BUSY = 100;

/** What part of the rows may be rendered. */
export type RangeMode =
  /** All of them, as one that is not rendered has to be scrolled to. */
  | 'all'
  /** Those at the end, and from there on those that are rendered. */
  | 'end'
  /** The same, but no more than a busy log keeps. */
  | 'busy'
  /** Those that are rendered, and some on both sides. */
  | 'around';

/** The rows to render, from `start` to before `end`. */
export interface RowRange {
  readonly start: number;
  readonly end: number;
  /** How many of the rows at the end are not rendered yet. */
  readonly added: number;
}

/**
 * Returns which rows to render next, so that many new ones are spread over frames. The range is
 * contiguous. In the mode `end` it drops rendered rows rather than the newest.
 *
 * @param rendered the keys of the rows that are rendered.
 *
 * @param budget how many more may be.
 */
export function rangeOf(
  rows: readonly { readonly key: string }[],
  rendered: ReadonlySet<string>,
  mode: RangeMode,
  budget = MAX_NEW,
): RowRange {
  const isRendered = (at: number) => rendered.has(rows[at]?.key ?? '');
  const count = rows.length;
  const last = rows.findLastIndex((_, at) => isRendered(at));
  const added = rendered.size > 0 ? count - 1 - last : 0;
  if (mode === 'all' || (mode === 'around' && last < 0)) return { start: 0, end: count, added };
  let left = budget;
  const max = mode === 'busy' ? MAX_BUSY : count;
  let end = mode === 'around' ? last + 1 : count;
  let start = mode === 'around' ? rows.findIndex((_, at) => isRendered(at)) : count;
  while (start > 0 && end - start < max && (isRendered(start - 1) || left-- > 0)) start--;
  while (end < count && left-- > 0) end++;
  return { start, end, added };
}
