import type { Notice, Subscriber } from './ports.ts';

/** Tells subscribers things in the Hub's turn: each line goes out ahead of the turn's records, or at its end. */
export class Notices {
  readonly #told = new Set<Subscriber>();

  /** @returns false when its wire does not say such things. */
  tell(subscriber: Subscriber, notice: Notice): boolean {
    const { encoder } = subscriber.pump;
    if (!encoder.tells.has(notice.t)) return false;
    const line = encoder.notice(notice);
    if (line !== '') this.pass(subscriber, line);
    return true;
  }

  /** Tells a line that is already written in the subscriber's wire. */
  pass(subscriber: Subscriber, line: string): void {
    subscriber.tell(line);
    this.#told.add(subscriber);
  }

  /** Sends what did not go out with records. */
  release(): void {
    if (this.#told.size === 0) return;
    for (const { pump } of this.#told) pump.release();
    this.#told.clear();
  }
}
