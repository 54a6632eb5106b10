import type { Draft } from './engine.ts';

const NONE: readonly Draft[] = [];

/**
 * The drafts of one room that its engine has neither committed nor failed, oldest first: those in
 * flight, which the engine has, and behind them those that wait for it.
 */
export class Undecided {
  #waiting: readonly Draft[] = NONE;
  #inFlight: readonly Draft[] = NONE;

  /** How many drafts wait for the engine. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** How many drafts the engine has. */
  get inFlight(): number {
    return this.#inFlight.length;
  }

  /** Adds a draft that waits. @returns whether it is the first one. */
  add(draft: Draft): boolean {
    const isFirst = this.#waiting.length === 0;
    if (isFirst) this.#waiting = [draft];
    else (this.#waiting as Draft[]).push(draft);
    return isFirst;
  }

  /** The engine gets the waiting drafts, which are in flight from then on. */
  takeWaiting(): readonly Draft[] {
    const drafts = this.#waiting;
    this.#waiting = NONE;
    this.#inFlight = this.#inFlight.length === 0 ? drafts : this.#inFlight.concat(drafts);
    return drafts;
  }

  /** The engine has decided the oldest `count` drafts in flight. @returns them. */
  decide(count: number): readonly Draft[] {
    const drafts = this.#inFlight;
    if (count === drafts.length) {
      this.#inFlight = NONE;
      return drafts;
    }
    this.#inFlight = drafts.slice(count);
    return drafts.slice(0, count);
  }
}
