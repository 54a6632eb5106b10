import { type Fingerprint, fingerprint } from '../hub/fingerprints.ts';
import type { Clock } from '../hub/time.ts';
import type { Rate } from '../protocol/v1.ts';
import type { SharedTable } from './shared-table.ts';

// An entry's numbers: when it expires, its tokens, and when they were counted.
const TOKENS = 1;
const FILLED_AT = 2;
export const BUCKET_NUMBERS = 3;

// An entry expires later than its bucket is full, so that no rounding shows.
const MARGIN_MS = 1;

export interface BucketsOptions {
  /** Separates these buckets from others in the table. */
  readonly name: string;
  readonly rate: Rate;
  readonly seeds: Fingerprint;
  /** Must show all threads the same time. */
  readonly clock: Pick<Clock, 'now'>;
}

/**
 * A token bucket for each key, which the threads share. A key without an entry has a full bucket.
 * The table bounds the entries: past that, the buckets that would be full first are full at once,
 * which refuses nobody.
 */
export class SharedBuckets {
  readonly #table: SharedTable;
  readonly #rate: Rate;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #seeds: Fingerprint = { high: 0, low: 0 };
  readonly #key: Fingerprint = { high: 0, low: 0 };
  #now = 0;
  #maxReserved = 0;

  constructor(table: SharedTable, { name, rate, seeds, clock }: BucketsOptions) {
    this.#table = table;
    this.#rate = rate;
    this.#clock = clock;
    fingerprint(name, '', this.#seeds, seeds);
  }

  /** Takes a token. @returns false when the bucket is empty. */
  take(key: string): boolean {
    return this.reserve(key, 0) !== undefined;
  }

  /**
   * Takes a token before it is there, unless `maxReserved` tokens are reserved already.
   *
   * @returns in how many milliseconds the token is there, or undefined when none may be reserved.
   */
  reserve(key: string, maxReserved: number): number | undefined {
    fingerprint(key, '', this.#key, this.#seeds);
    this.#now = this.#clock.now();
    this.#maxReserved = maxReserved;
    const tokens = this.#table.run(this.#reserve);
    return tokens === undefined ? undefined : Math.max(0, (-tokens / this.#rate.perSecond) * 1000);
  }

  /** Returns a token that was not used. */
  giveBack(key: string): void {
    fingerprint(key, '', this.#key, this.#seeds);
    this.#table.run(this.#giveBack);
  }

  // The sections read the selected key from fields and exist once, to allocate nothing.

  /** @returns the tokens that are left, below 0 if the token is reserved. */
  readonly #reserve = (): number | undefined => {
    const table = this.#table;
    const found = table.find(this.#key);
    let tokens = this.#rate.burst;
    let now = this.#now;
    if (found >= 0) {
      // Another thread may have read the clock later and entered earlier.
      const filledAt = table.get(found + FILLED_AT);
      now = Math.max(now, filledAt);
      tokens = Math.min(tokens, table.get(found + TOKENS) + ((now - filledAt) / 1000) * this.#rate.perSecond);
    }
    const granted = tokens >= 1 - this.#maxReserved;
    if (granted) tokens--;
    else if (found < 0) return undefined;
    this.#write(found < 0 ? table.add(this.#key, now) : found, tokens, now);
    return granted ? tokens : undefined;
  };

  readonly #giveBack = (): void => {
    const at = this.#table.find(this.#key);
    if (at < 0) return;
    const tokens = Math.min(this.#rate.burst, this.#table.get(at + TOKENS) + 1);
    this.#write(at, tokens, this.#table.get(at + FILLED_AT));
  };

  #write(at: number, tokens: number, filledAt: number): void {
    const { perSecond, burst } = this.#rate;
    this.#table.set(at, filledAt + ((burst - tokens) / perSecond) * 1000 + MARGIN_MS);
    this.#table.set(at + TOKENS, tokens);
    this.#table.set(at + FILLED_AT, filledAt);
  }
}
