/** How long, and of how many messages of a room at least, a sender's ids are remembered. */
export interface Dedupe {
  readonly ms: number;
  readonly messages: number;
}

/** What was sent with an id: its `seq`, or 0 while it is on its way into the log. */
export interface Send {
  seq: number;
}

/** What a sender and its id for a message are remembered by. */
export function sendKey(sender: string, id: string): string {
  return `${sender}\n${id}`;
}

/**
 * What was sent to a room with which id, so that what is sent again is not said again. It forgets by halves: an id is known
 * for the whole window, unless so many came after it that the room may remember no more.
 */
export class Sends {
  readonly #dedupe: Dedupe;
  #newer = new Map<string, Send>();
  #older = new Map<string, Send>();
  /** When the newer half began. */
  #startedAt: number;

  constructor(dedupe: Dedupe, now: number) {
    this.#dedupe = dedupe;
    this.#startedAt = now;
  }

  /** @returns undefined when it was not sent or is forgotten. */
  find(key: string): Send | undefined {
    return this.#newer.get(key) ?? this.#older.get(key);
  }

  /** @param seq 0 for one that is on its way: it is told its `seq` later. */
  remember(key: string, seq: number, now: number): Send {
    if (now - this.#startedAt >= this.#dedupe.ms || this.#newer.size >= this.#dedupe.messages) this.#begin(now);
    const send = { seq };
    this.#newer.set(key, send);
    return send;
  }

  /** It was not stored after all. */
  forget(key: string): void {
    this.#newer.delete(key);
    this.#older.delete(key);
  }

  #begin(now: number): void {
    // After a long silence even the newer half is past the window.
    this.#older = now - this.#startedAt < 2 * this.#dedupe.ms ? this.#newer : new Map();
    this.#newer = new Map();
    this.#startedAt = now;
  }
}
