import type { Clock } from '../hub/time.ts';

// An ordinary two-core machine takes in so many while it delivers messages.
const MIN_PER_SECOND = 2_000;

// The rest of the best second is left for messages.
const SHARE = 0.6;

const WINDOW_MS = 1_000;

/** Measures how many connections a second the server takes in. */
export class Intake {
  readonly #clock: Clock;
  readonly #fixed: number | undefined;
  readonly #share: number;
  #best = 0;
  #count = 0;
  #windowStart = Number.NEGATIVE_INFINITY;

  /**
   * @param fixed replaces the measurement.
   *
   * @param workers how many threads divide the connections of the server.
   */
  constructor(clock: Clock, fixed?: number, workers = 1) {
    this.#clock = clock;
    this.#fixed = fixed;
    this.#share = 1 / workers;
  }

  /** Counts a connection. */
  count(): void {
    const now = this.#clock.now();
    if (now - this.#windowStart >= WINDOW_MS) {
      this.#windowStart = now;
      this.#count = 0;
    }
    this.#best = Math.max(this.#best, ++this.#count);
  }

  /**
   * Connections a second: 60 % of those in the best second so far, and 2,000 at least. A thread has
   * its share of the fixed number and of the least one.
   */
  get perSecond(): number {
    return this.#fixed === undefined
      ? Math.max(MIN_PER_SECOND * this.#share, Math.floor(SHARE * this.#best))
      : this.#fixed * this.#share;
  }

  /** Connections a second of all threads, if each takes in as many as this one. */
  get ofAllThreads(): number {
    return Math.round(this.perSecond / this.#share);
  }
}
