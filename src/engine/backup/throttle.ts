import { setTimeout as sleep } from 'node:timers/promises';

/** Bounds the bytes that a job reads in a second. A late job does not catch up. */
export class Throttle {
  readonly #bytesPerMs: number;
  readonly #signal: AbortSignal;
  #freeAt = 0;

  /** @param rate bytes a second. @param signal ends the job. */
  constructor(rate: number, signal: AbortSignal) {
    this.#bytesPerMs = rate / 1000;
    this.#signal = signal;
  }

  /** Waits until these bytes fit into the rate. Rejects when the job was ended. */
  async spend(bytes: number): Promise<void> {
    const now = performance.now();
    this.#freeAt = Math.max(this.#freeAt, now) + bytes / this.#bytesPerMs;
    const ms = this.#freeAt - now;
    if (ms >= 1) await sleep(ms, undefined, { signal: this.#signal });
    this.#signal.throwIfAborted();
  }
}
