const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

// Letters that a terminal shows in two columns, and those that it shows in none.
const WIDE =
  /^[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}\u3000-\u303f\uff01-\uff60\uffe0-\uffe6]/u;
const ALONE = /^[\p{M}]/u;

/** Replaces what would control the terminal, or the order of its text, with an escape. */
export function escapeControls(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu, (control) => {
    const code = (control.codePointAt(0) as number).toString(16);
    return code.length <= 2 ? `\\x${code.padStart(2, '0')}` : `\\u{${code}}`;
  });
}

/** Returns how many columns a terminal needs for a text without control characters. */
export function columnsOf(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let columns = 0;
  for (const { segment } of graphemes.segment(text)) columns += columnsOfGrapheme(segment);
  return columns;
}

/** Pads or cuts a text to a number of columns. An ellipsis ends one that is cut. */
export function fitTo(text: string, columns: number, align: 'left' | 'right' = 'left'): string {
  const width = columnsOf(text);
  if (width > columns) return cut(text, columns);
  const padding = ' '.repeat(columns - width);
  return align === 'left' ? text + padding : padding + text;
}

function cut(text: string, columns: number): string {
  if (columns <= 0) return '';
  let [kept, width] = ['', 0];
  for (const { segment } of graphemes.segment(text)) {
    const next = width + columnsOfGrapheme(segment);
    if (next > columns - 1) break;
    kept += segment;
    width = next;
  }
  return `${kept}…${' '.repeat(columns - width - 1)}`;
}

function columnsOfGrapheme(grapheme: string): number {
  if (ALONE.test(grapheme)) return 0;
  return WIDE.test(grapheme) || grapheme.includes('\ufe0f') ? 2 : 1;
}

/** Writes a count: in full up to 6 digits, else in thousands, millions or billions. */
export function formatCount(value: number): string {
  const units = ['', 'k', 'M', 'G', 'T'];
  let [number, unit] = [Math.round(value), 0];
  while (Math.abs(number) >= 1_000_000 && unit < units.length - 1) {
    number = Math.round(number / 1000);
    unit++;
  }
  return `${number.toLocaleString('en-US')}${units[unit]}`;
}

/** Writes a rate, with a decimal where it is small. */
export function formatRate(value: number): string {
  return value > 0 && value < 9.95 ? value.toFixed(1) : formatCount(value);
}

/** Writes milliseconds with about three digits. */
export function formatMs(ms: number): string {
  return ms < 10 ? `${ms.toFixed(2)} ms` : ms < 100 ? `${ms.toFixed(1)} ms` : `${formatCount(ms)} ms`;
}

/** Writes bytes in MiB. */
export function formatBytes(bytes: number): string {
  return `${formatCount(bytes / 1024 / 1024)} MiB`;
}

/** Writes seconds as `3d 04:05:06`. */
export function formatDuration(seconds: number): string {
  const whole = Math.floor(seconds);
  const [days, rest] = [Math.floor(whole / 86_400), whole % 86_400];
  const parts = [Math.floor(rest / 3600), Math.floor((rest % 3600) / 60), rest % 60];
  return `${days > 0 ? `${days}d ` : ''}${parts.map((part) => `${part}`.padStart(2, '0')).join(':')}`;
}

/** Writes the local time of day. */
export function formatTime(at: number): string {
  const date = new Date(at);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => `${part}`.padStart(2, '0')).join(':');
}
