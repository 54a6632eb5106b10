import { type Fingerprint, FingerprintMap, fingerprint } from './fingerprints.ts';

/** How long a room remembers the ids of its messages. The first bound that is reached applies. */
export interface DedupeLimits {
  /** Milliseconds. */
  readonly ms: number;
  readonly messages: number;
}

/** The limits of a room that is given none. */
export const defaultDedupeLimits: DedupeLimits = { ms: 300_000, messages: 65_536 };

/** The message with this id is on its way into the log: its `seq` is not known yet. */
export const IN_FLIGHT = -1;
// The message was not stored: a retry counts as new.
const FAILED = -2;

/**
 * The ids of a room's recent messages, by sender, so that a retry is recognized. Two generations
 * replace one another: an id is remembered for at least one whole window, and no entry needs a
 * timer.
 */
export class Dedupe {
  readonly #limits: DedupeLimits;
  readonly #key: Fingerprint = { high: 0, low: 0 };
  #newer = new FingerprintMap();
  #older = new FingerprintMap();
  /** Start of the newer generation, by the Hub's clock. */
  #startedAt: number;

  constructor(limits: DedupeLimits, now: number) {
    this.#limits = limits;
    this.#startedAt = now;
  }

  /** @returns the message's `seq`, `IN_FLIGHT`, or undefined for a new or forgotten id. */
  find(sender: string, id: string): number | undefined {
    fingerprint(sender, id, this.#key);
    return this.#find();
  }

  /** Remembers a new or forgotten id as in flight. @returns what `find` does. */
  admit(sender: string, id: string, now: number): number | undefined {
    fingerprint(sender, id, this.#key);
    const seq = this.#find();
    if (seq === undefined) this.#remember(IN_FLIGHT, now);
    return seq;
  }

  /** Remembers an id with its `seq`. */
  remember(sender: string, id: string, seq: number, now: number): void {
    fingerprint(sender, id, this.#key);
    this.#remember(seq, now);
  }

  /** The message in flight is stored as `seq`. */
  stored(sender: string, id: string, seq: number): void {
    this.#decide(sender, id, seq);
  }

  /** The message in flight was not stored. */
  failed(sender: string, id: string): void {
    this.#decide(sender, id, FAILED);
  }

  #find(): number | undefined {
    const seq = this.#newer.get(this.#key) || this.#older.get(this.#key);
    return seq === 0 || seq === FAILED ? undefined : seq;
  }

  #remember(seq: number, now: number): void {
    if (now - this.#startedAt >= this.#limits.ms || this.#newer.size >= this.#limits.messages) this.#rotate(now);
    this.#newer.set(this.#key, seq);
  }

  #decide(sender: string, id: string, outcome: number): void {
    fingerprint(sender, id, this.#key);
    if (this.#newer.get(this.#key) === IN_FLIGHT) this.#newer.set(this.#key, outcome);
    else if (this.#older.get(this.#key) === IN_FLIGHT) this.#older.set(this.#key, outcome);
  }

  #rotate(now: number): void {
    // After a long silence even the newer generation is past the window.
    this.#older = now - this.#startedAt < 2 * this.#limits.ms ? this.#newer : new FingerprintMap();
    this.#newer = new FingerprintMap();
    this.#startedAt = now;
  }
}
