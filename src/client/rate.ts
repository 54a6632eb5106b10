import type { Clock } from '../hub/ports.ts';

/** What a client may do: `burst` at once, then `perSecond`. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

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

  /** @returns whether there was a token to take. */
  take(): boolean {
    this.#fill();
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }

  /**
   * Takes a token that will be there, unless so many others are taken ahead of their time already.
   *
   * @returns in how many milliseconds it is there; undefined when it is not to be had.
   */
  reserve(most: number): number | undefined {
    this.#fill();
    if (this.#tokens < 1 - most) return undefined;
    this.#tokens--;
    return Math.max(0, (-this.#tokens / this.#rate.perSecond) * 1000);
  }

  /** A token that was taken is not used after all. */
  giveBack(): void {
    this.#tokens = Math.min(this.#rate.burst, this.#tokens + 1);
  }

  /** Whether nothing of it is in use: it is as good as new. */
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

/** What the connections of one address, and those of one user, may do together. */
export class Shares {
  readonly #byAddress: Buckets;
  readonly #byUser: Buckets | undefined;
  readonly #exempt: (address: string) => boolean;
  readonly #keyOf: (address: string) => string;

  /**
   * @param address the rate of an address. @param user that of a user, where users are known. @param exempt addresses without a limit.
   * @param keyOf names the place that an address is of.
   */
  constructor(
    { address, user }: { readonly address: Rate; readonly user: Rate | undefined },
    clock: Clock,
    exempt: (address: string) => boolean,
    keyOf: (address: string) => string,
  ) {
    this.#byAddress = new Buckets(address, clock);
    this.#byUser = user && new Buckets(user, clock);
    this.#exempt = exempt;
    this.#keyOf = keyOf;
  }

  take({ user, address }: { readonly user: string; readonly address: string }): boolean {
    if (this.#byUser?.of(user).take() === false) return false;
    return this.#exempt(address) || this.#byAddress.of(this.#keyOf(address)).take();
  }
}

// Past so many the full ones are forgotten.
const KEPT = 10_000;

/** A token bucket for each key: an address, a user. */
export class Buckets {
  readonly #rate: Rate;
  readonly #clock: Clock;
  readonly #byKey = new Map<string, TokenBucket>();
  #sweepAt = KEPT;

  constructor(rate: Rate, clock: Clock) {
    this.#rate = rate;
    this.#clock = clock;
  }

  of(key: string): TokenBucket {
    const known = this.#byKey.get(key);
    if (known) return known;
    if (this.#byKey.size >= this.#sweepAt) this.#sweep();
    const bucket = new TokenBucket(this.#rate, this.#clock);
    this.#byKey.set(key, bucket);
    return bucket;
  }

  #sweep(): void {
    for (const [key, bucket] of this.#byKey) if (bucket.full) this.#byKey.delete(key);
    this.#sweepAt = Math.max(KEPT, 2 * this.#byKey.size);
  }
}
