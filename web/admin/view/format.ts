// The time of the operator, as logs write it: 24 hours, which take little space.
const clock = { hourCycle: 'h23', hour: '2-digit', minute: '2-digit' } as const;
const timeFormat = new Intl.DateTimeFormat('en', { ...clock, second: '2-digit' });
const minuteFormat = new Intl.DateTimeFormat('en', clock);
const countFormat = new Intl.NumberFormat('en');
const compactFormat = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
const decimalFormats = [0, 1, 2].map(
  (digits) => new Intl.NumberFormat('en', { minimumFractionDigits: digits, maximumFractionDigits: digits }),
);

/** Stands for a figure that is unknown. */
export const UNKNOWN = '–';

/** Formats a figure, or a dash if it is unknown. */
export type Format = (value: number | null | undefined) => string;

function known(format: (value: number) => string): Format {
  return (value) => (value === null || value === undefined ? UNKNOWN : format(value));
}

function decimals(value: number, digits: 0 | 1 | 2): string {
  return (decimalFormats[digits] as Intl.NumberFormat).format(value);
}

/** @param at milliseconds since 1970. */
export function formatTime(at: number): string {
  return timeFormat.format(at);
}

/** @param at milliseconds since 1970. */
export function formatMinute(at: number): string {
  return minuteFormat.format(at);
}

export const formatCount = known((value) =>
  value >= 10_000_000 ? compactFormat.format(value) : countFormat.format(Math.round(value)),
);

/** Formats a rate, with a decimal where it is small. */
export const formatRate = known((value) => {
  if (value >= 1_000_000) return compactFormat.format(value);
  return value === 0 || value >= 10 ? decimals(value, 0) : decimals(value, 1);
});

/** Formats milliseconds, without the unit. */
export const formatMs = known((value) => decimals(value, value >= 100 ? 0 : value >= 10 || value === 0 ? 1 : 2));

/** Formats a share, as in "12 %". */
export const formatShare = known((value) => `${decimals(100 * value, 0)} %`);

/** Formats bytes as MiB, without the unit. */
export const formatMiB = known((value) => decimals(value / 1024 / 1024, value < 100 * 1024 * 1024 ? 1 : 0));

/** Formats a label of an axis, in little space. */
export function formatTick(value: number): string {
  return value >= 10_000 ? compactFormat.format(value) : String(Number(value.toPrecision(6)));
}

/** Formats a count with its noun, as in "3 workers". */
export function plural(n: number, noun: string): string {
  return `${countFormat.format(n)} ${noun}${n === 1 ? '' : 's'}`;
}

/** Formats a time span, in its two largest units. */
export function formatSpan(seconds: number): string {
  const [days, hours] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3600) % 24];
  const minutes = Math.floor(seconds / 60) % 60;
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min ${Math.floor(seconds) % 60} s` : `${Math.floor(seconds)} s`;
}
