import type { Notice, Subscriber } from './subscriber.ts';

/** Sends notices in the Hub's turn: each goes out ahead of the turn's records, or at its end. */
export class Notices {
  readonly #notified = new Set<Subscriber>();

  /** Encodes and queues a notice. @returns false when the subscriber's wire cannot express it. */
  notify(subscriber: Subscriber, notice: Notice): boolean {
    const { encoder } = subscriber.pump;
    if (!encoder.notices.has(notice.t)) return false;
    const line = encoder.encodeNotice(notice);
    if (line !== '') this.queue(subscriber, line);
    if (notice.t === 'error') subscriber.refused?.(notice.code, notice.room);
    return true;
  }

  /** Queues a notice that is already encoded for the subscriber's wire. */
  queue(subscriber: Subscriber, line: string): void {
    subscriber.notify(line);
    this.#notified.add(subscriber);
  }

  /** Sends the notices that did not go out with records. */
  flush(): void {
    if (this.#notified.size === 0) return;
    for (const { pump } of this.#notified) pump.release();
    this.#notified.clear();
  }
}
