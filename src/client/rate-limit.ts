import type { Clock } from '../hub/time.ts';
import type { Rate } from '../protocol/v1.ts';

/** A rate, or no limit. */
export type RateLimit = Rate | 'off';

/** A token bucket. */
export class TokenBucket {
  readonly #rate: Rate;
  readonly #clock: Clock;
  #tokens: number;
  #filledAt: number;

  constructor(rate: Rate, clock: Clock) {
    this.#rate = rate;
    this.#clock = clock;
    this.#tokens = rate.burst;
    this.#filledAt = clock.now();
  }

  /** Takes a token. @returns false when the bucket is empty. */
  take(): boolean {
    this.#fill();
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }

  /**
   * Takes a token before it is there, unless `maxReserved` tokens are reserved already.
   *
   * @returns in how many milliseconds the token is there, or undefined when none may be reserved.
   */
  reserve(maxReserved: number): number | undefined {
    this.#fill();
    if (this.#tokens < 1 - maxReserved) return undefined;
    this.#tokens--;
    return Math.max(0, (-this.#tokens / this.#rate.perSecond) * 1000);
  }

  /** Returns a token that was not used. */
  giveBack(): void {
    this.#tokens = Math.min(this.#rate.burst, this.#tokens + 1);
  }

  /** Whether the bucket is full, so that a new one could replace it. */
  get full(): boolean {
    this.#fill();
    return this.#tokens === this.#rate.burst;
  }

  #fill(): void {
    const now = this.#clock.now();
    const earned = ((now - this.#filledAt) / 1000) * this.#rate.perSecond;
    this.#tokens = Math.min(this.#rate.burst, this.#tokens + earned);
    this.#filledAt = now;
  }
}

/** A token bucket for each key, such as an address or a user. */
export interface Buckets {
  /** Takes a token of a key. @returns false when its bucket is empty. */
  take(key: string): boolean;
  /** Reserves a token of a key, as `TokenBucket.reserve` does. */
  reserve(key: string, maxReserved: number): number | undefined;
  /** Returns a token of a key that was not used. */
  giveBack(key: string): void;
}

/** The buckets of `SharedLimits`. */
export interface LimitBuckets {
  /** One for all connections of an address together. */
  readonly address: Buckets;
  /** One for all connections of a user together; undefined where names are not verified. */
  readonly user: Buckets | undefined;
}

/** Limits that several connections share. */
export interface SharedTake {
  /** Takes a token of the client's. @returns false when it has none. */
  take(client: { readonly user: string; readonly address: string }): boolean;
}

/** Limits that the connections of one address, and those of one user, share. */
export class SharedLimits implements SharedTake {
  readonly #byAddress: Buckets;
  readonly #byUser: Buckets | undefined;
  readonly #isExempt: (address: string) => boolean;
  readonly #keyOf: (address: string) => string;

  /**
   * @param isExempt reports addresses without a limit.
   *
   * @param keyOf maps an address to its network.
   */
  constructor(
    { address, user }: LimitBuckets,
    isExempt: (address: string) => boolean,
    keyOf: (address: string) => string,
  ) {
    this.#byAddress = address;
    this.#byUser = user;
    this.#isExempt = isExempt;
    this.#keyOf = keyOf;
  }

  /** Takes a token of the user and one of the address. @returns false when either has none. */
  take({ user, address }: { readonly user: string; readonly address: string }): boolean {
    if (this.#byUser?.take(user) === false) return false;
    return this.#takeOfAddress(address);
  }

  /** Returns these limits for clients whose names are not verified: only the address counts. */
  withoutUsers(): SharedTake {
    return { take: ({ address }) => this.#takeOfAddress(address) };
  }

  #takeOfAddress(address: string): boolean {
    return this.#isExempt(address) || this.#byAddress.take(this.#keyOf(address));
  }
}

// Past so many buckets the full ones are removed.
const SWEEP_SIZE = 10_000;

/** The buckets of one thread. */
export class KeyedBuckets implements Buckets {
  readonly #rate: Rate;
  readonly #clock: Clock;
  readonly #byKey = new Map<string, TokenBucket>();
  #sweepAt = SWEEP_SIZE;

  constructor(rate: Rate, clock: Clock) {
    this.#rate = rate;
    this.#clock = clock;
  }

  of(key: string): TokenBucket {
    const existing = this.#byKey.get(key);
    if (existing) return existing;
    if (this.#byKey.size >= this.#sweepAt) this.#sweep();
    const bucket = new TokenBucket(this.#rate, this.#clock);
    this.#byKey.set(key, bucket);
    return bucket;
  }

  take(key: string): boolean {
    return this.of(key).take();
  }

  reserve(key: string, maxReserved: number): number | undefined {
    return this.of(key).reserve(maxReserved);
  }

  giveBack(key: string): void {
    this.of(key).giveBack();
  }

  #sweep(): void {
    for (const [key, bucket] of this.#byKey) if (bucket.full) this.#byKey.delete(key);
    this.#sweepAt = Math.max(SWEEP_SIZE, 2 * this.#byKey.size);
  }
}
