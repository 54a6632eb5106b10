import { pino } from 'pino';

const RESET = '\x1b[0m';
const DIM = '\x1b[2m';
const COLOURS: Record<string, string> = {
  fatal: '\x1b[41m',
  error: '\x1b[31m',
  warn: '\x1b[33m',
  info: '\x1b[32m',
  debug: '\x1b[34m',
  trace: '\x1b[2m',
};

interface Line {
  readonly level: number;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly msg?: string;
  readonly err?: { readonly message?: string; readonly stack?: string };
  readonly [field: string]: unknown;
}

/**
 * Formats a JSON line of the log for a terminal: `[09:30:00.125] INFO: closed code=1001`. The stack
 * of an error follows, indented.
 */
export function formatLine(json: string, colours: boolean): string {
  const { level, time, msg = '', err, ...fields } = JSON.parse(json) as Line;
  const paint = (colour: string, text: string) => (colours && text ? `${colour}${text}${RESET}` : text);
  const label = pino.levels.labels[level] ?? String(level);
  const details = Object.entries(fields).map(([name, value]) => ` ${name}=${printable(value)}`);
  const stack = err ? `\n${err.stack ?? err.message}`.replaceAll('\n', '\n    ') : '';
  const heading = `[${clock(time)}] ${paint(COLOURS[label] ?? '', label.toUpperCase())}: ${visible(msg)}`;
  return `${heading}${paint(DIM, visible(details.join('')))}${visible(stack)}\n`;
}

/** The local time of day, to the millisecond. */
function clock(time: number): string {
  const at = new Date(time);
  const parts = [at.getHours(), at.getMinutes(), at.getSeconds()].map((part) => String(part).padStart(2, '0'));
  return `${parts.join(':')}.${String(at.getMilliseconds()).padStart(3, '0')}`;
}

/** A word as it is, and anything else as JSON. */
function printable(value: unknown): string {
  return typeof value === 'string' && /^[^\s"\p{Cc}]+$/u.test(value) ? value : JSON.stringify(value);
}

/** Escapes control characters: a user's name must not control the terminal. */
function visible(text: string): string {
  return text.replaceAll(/[^\P{Cc}\n]/gu, (control) => `\\x${control.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
