const PROSE_WIDTH = 100;

/** Joins items as a sentence does. */
export function listOf(items: readonly string[], conjunction: 'and' | 'or'): string {
  const last = items.at(-1) ?? '';
  return items.length < 2 ? last : `${items.slice(0, -1).join(', ')} ${conjunction} ${last}`;
}

/** Wraps prose. @param indent starts every line but the first. */
export function wrapped(text: string, indent = ''): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line.length + 1 + word.length > PROSE_WIDTH && line !== '') {
      lines.push(line);
      line = indent + word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].join('\n').trim();
}

/**
 * Formats a Markdown table: figures aligned to the right, each column as wide as its widest cell.
 */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const left = (column: number) => column === 0 || head[column] === '';
  const widths = head.map((title, column) => Math.max(3, title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const padded = (cell: string, column: number) =>
    left(column) ? cell.padEnd(widths[column] as number) : cell.padStart(widths[column] as number);
  const line = (cells: readonly string[]) => `| ${cells.map(padded).join(' | ')} |`;
  const rule = widths.map((width, column) => (left(column) ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [line(head), `| ${rule.join(' | ')} |`, ...rows.map(line)].join('\n');
}
