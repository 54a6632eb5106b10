const FIRST_MS = 1_000;
const LONGEST_MS = 5 * 60_000;

/**
 * Returns the delay before a retry, in milliseconds: doubled after each failure, up to 5 minutes,
 * of which a random part of up to a half is left out.
 *
 * @param failures in a row, at least 1.
 * @param random from 0 up to but not including 1.
 */
export function backoff(failures: number, random: number): number {
  const longest = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(failures - 1, 20));
  return longest * (1 - random / 2);
}

// A receiver can pause its webhook for a day at most.
const LONGEST_PAUSE_MS = 24 * 60 * 60_000;

/**
 * Returns the delay that a Retry-After header names, in milliseconds. Undefined where the header is
 * absent or is neither a number of seconds nor a date.
 *
 * @param now milliseconds since 1970.
 */
export function retryAfter(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined;
  const text = header.trim();
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now;
  return Number.isNaN(ms) ? undefined : Math.min(LONGEST_PAUSE_MS, Math.max(0, ms));
}
