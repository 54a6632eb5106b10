/** What a stream check has found since it was last asked. */
export interface Findings {
  /** Messages that never came. */
  readonly gaps: number;
  /** Messages that came again. */
  readonly repeats: number;
  /** Messages that came after a later one. */
  readonly swaps: number;
}

// A skipped number may still come, out of order. Past so many the oldest count as missing.
const MAX_SKIPPED = 1_000;

/**
 * Checks the messages of one sender at one receiver, which have ascending numbers without a hole. A
 * skipped number counts as a gap unless it comes within the grace. It is a swap whenever it comes.
 */
export class StreamCheck {
  readonly #graceMs: number;
  /** The first number, which may be any: the receiver may have come later than the sender. */
  #first = 0;
  /** The highest number so far. */
  #last: number | undefined;
  /** When each number was skipped, oldest first. */
  readonly #skipped = new Map<number, number>();
  /** The skipped numbers that have counted as gaps, oldest first. */
  readonly #missing = new Set<number>();
  #gaps = 0;
  #repeats = 0;
  #swaps = 0;

  /** @param graceMs in milliseconds. */
  constructor(graceMs: number) {
    this.#graceMs = graceMs;
  }

  /**
   * A message has come.
   *
   * @param now in milliseconds from any start.
   *
   * @returns whether it is not a repeat.
   */
  received(number: number, now: number): boolean {
    if (this.#last === undefined) this.#first = number;
    if (this.#last === undefined || number > this.#last) {
      this.#skip(this.#last ?? number - 1, number, now);
      this.#last = number;
      return true;
    }
    const isLate = number < this.#first || this.#skipped.delete(number) || this.#missing.delete(number);
    if (isLate) this.#swaps++;
    else this.#repeats++;
    return isLate;
  }

  /** Returns what was found since the last call, and starts over. */
  take(now: number): Findings {
    for (const [number, at] of this.#skipped) {
      if (now - at < this.#graceMs) break;
      this.#giveUp(number);
    }
    const findings = { gaps: this.#gaps, repeats: this.#repeats, swaps: this.#swaps };
    this.#gaps = 0;
    this.#repeats = 0;
    this.#swaps = 0;
    return findings;
  }

  #skip(after: number, before: number, at: number): void {
    const from = Math.max(after + 1, before - MAX_SKIPPED);
    this.#gaps += from - after - 1;
    for (let number = from; number < before; number++) this.#skipped.set(number, at);
    for (const number of this.#skipped.keys()) {
      if (this.#skipped.size <= MAX_SKIPPED) break;
      this.#giveUp(number);
    }
  }

  #giveUp(number: number): void {
    this.#skipped.delete(number);
    this.#missing.add(number);
    this.#gaps++;
    for (const oldest of this.#missing) {
      if (this.#missing.size <= MAX_SKIPPED) break;
      this.#missing.delete(oldest);
    }
  }
}
