import { type Fingerprint, FingerprintMap, fingerprint } from './fingerprints.ts';

/** How long, and of how many messages of a room at least, a sender's ids are remembered. */
export interface Dedupe {
  readonly ms: number;
  readonly messages: number;
}

/** What was sent is on its way into the log: its `seq` is not known yet. */
export const ON_ITS_WAY = -1;
// It was not stored: as if never sent.
const FAILED = -2;

/**
 * What was sent to a room with which id, so that what is sent again is not said again. It forgets by halves: an id is known
 * for the whole window, unless so many came after it that the room may remember no more.
 */
export class Sends {
  readonly #dedupe: Dedupe;
  readonly #key: Fingerprint = { high: 0, low: 0 };
  #newer = new FingerprintMap();
  #older = new FingerprintMap();
  /** When the newer half began. */
  #startedAt: number;

  constructor(dedupe: Dedupe, now: number) {
    this.#dedupe = dedupe;
    this.#startedAt = now;
  }

  /** @returns the message's `seq`, or `ON_ITS_WAY`; undefined when it was not sent or is forgotten. */
  find(sender: string, id: string): number | undefined {
    fingerprint(sender, id, this.#key);
    const seq = this.#newer.get(this.#key) || this.#older.get(this.#key);
    return seq === 0 || seq === FAILED ? undefined : seq;
  }

  /** Remembers what is sent now: that it is on its way, or its `seq`. */
  remember(sender: string, id: string, seq: number, now: number): void {
    if (now - this.#startedAt >= this.#dedupe.ms || this.#newer.size >= this.#dedupe.messages) this.#begin(now);
    fingerprint(sender, id, this.#key);
    this.#newer.set(this.#key, seq);
  }

  /** What was on its way is stored as `seq`. */
  stored(sender: string, id: string, seq: number): void {
    this.#decided(sender, id, seq);
  }

  /** What was on its way is not stored after all. */
  forget(sender: string, id: string): void {
    this.#decided(sender, id, FAILED);
  }

  #decided(sender: string, id: string, as: number): void {
    fingerprint(sender, id, this.#key);
    if (this.#newer.get(this.#key) === ON_ITS_WAY) this.#newer.set(this.#key, as);
    else if (this.#older.get(this.#key) === ON_ITS_WAY) this.#older.set(this.#key, as);
  }

  #begin(now: number): void {
    // After a long silence even the newer half is past the window.
    this.#older = now - this.#startedAt < 2 * this.#dedupe.ms ? this.#newer : new FingerprintMap();
    this.#newer = new FingerprintMap();
    this.#startedAt = now;
  }
}
