/** How many rows are rendered at once, beside those that are rendered already. */
export const MAX_NEW = 30;
/** So few new rows are rendered at once. Of more, half are left for later frames. */
const FEW = 4;
/** The same for a reader who scrolls, and waits for them: a page of the history. */
const MAX_BACK = 100;
/** The same for an empty log: a page of the history fits. */
const MAX_FIRST = 120;
/** How many rows are rendered around one that is not rendered. They fill a tall screen. */
const ABOVE = 25;
const BELOW = 40;

/**
 * Returns the range of rows to render next, `start` to before `end`, so that many new ones are
 * spread over frames. At the end of the log, rendered rows are dropped rather than the newest.
 *
 * @param rendered the keys of the rows that are rendered.
 *
 * @param max the maximum number of rows at the end of the log. Zero if the reader has scrolled
 *   back.
 *
 * @param key a row that a reader who has scrolled back needs, if it is not rendered.
 */
export function rangeOf(
  rows: readonly { readonly key: string }[],
  rendered: ReadonlySet<string>,
  max: number,
  key?: string,
): [start: number, end: number] {
  const count = rows.length;
  const isRendered = (row: { readonly key: string } | undefined) => rendered.has(row?.key ?? '');
  const next = rows.findLastIndex(isRendered) + 1;
  let [start, end] = [count, count];
  if (!max) {
    const at = rows.findIndex((row) => row.key === key && !isRendered(row));
    if (at >= 0) return [Math.max(0, at - ABOVE), at + BELOW];
    if (!next) return [0, count];
    [start, end] = [rows.findIndex(isRendered), next];
  } else if (next && count - next <= 2 * MAX_NEW) {
    start = end = Math.min(count, next + Math.max(FEW, (count - next) >> 1));
  }
  let left = !rendered.size ? MAX_FIRST : max ? MAX_NEW : MAX_BACK;
  while (start > 0 && (!max || end - start < max) && (isRendered(rows[start - 1]) || left-- > 0)) start--;
  if (!max) while (end < count && left-- > 0) end++;
  return [start, end];
}
