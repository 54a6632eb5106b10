import { plainText } from '../http/responses.ts';
import type { Clock } from '../hub/time.ts';
import type { Intake } from './intake.ts';
import { limitRefusal, type Refusal } from './refusal.ts';

// 10,000 clients at once, by the default rate: those of a smaller server need not wait.
const BURST_SECONDS = 5;

const MIN_WAIT_MS = 1_000;
const MAX_WAIT_MS = 60_000;
const JITTER_MS = 1_000;

/**
 * Bounds the handshakes a second, so that a storm of clients leaves time for those that are
 * connected. Each refused client is given a time of its own to return, at the same rate.
 */
export class HandshakeLimiter {
  readonly #intake: Intake;
  readonly #clock: Clock;
  readonly #random: () => number;
  #tokens: number;
  #filledAt: number;
  /** When the last refused client is due to return, by the clock. */
  #lastReturn = Number.NEGATIVE_INFINITY;

  /** @param random returns a number from 0 up to but not including 1. */
  constructor(intake: Intake, clock: Clock, random: () => number = Math.random) {
    this.#intake = intake;
    this.#clock = clock;
    this.#random = random;
    this.#tokens = this.#capacity;
    this.#filledAt = clock.now();
  }

  /** At least one: a thread's share of a low limit may be less. */
  get #capacity(): number {
    return Math.max(1, BURST_SECONDS * this.#intake.perSecond);
  }

  /** Takes a handshake in. @returns the refusal, or undefined. */
  take(): Refusal | undefined {
    const { perSecond } = this.#intake;
    const now = this.#clock.now();
    const earned = ((now - this.#filledAt) / 1000) * perSecond;
    this.#tokens = Math.min(this.#capacity, this.#tokens + earned);
    this.#filledAt = now;
    if (this.#tokens >= 1) {
      this.#tokens--;
      return undefined;
    }
    const wait = this.#waitOfNext(now, perSecond);
    const response = plainText(503, 'Too many handshakes', { 'Retry-After': `${Math.ceil(wait / 1000)}` });
    const message = `more than ${this.#intake.ofAllThreads} handshakes a second: raise --max-handshakes`;
    return limitRefusal('max_handshakes', message, response, wait);
  }

  /** Returns the milliseconds after which the next refused client should return. */
  #waitOfNext(now: number, perSecond: number): number {
    this.#lastReturn = Math.max(this.#lastReturn, now) + 1000 / perSecond;
    const queued = this.#lastReturn - now;
    // Most clients of so long a queue have left for good. Those that return are spread.
    const position = queued < MAX_WAIT_MS ? queued : MAX_WAIT_MS * this.#random();
    return Math.round(MIN_WAIT_MS + position + JITTER_MS * this.#random());
  }
}
