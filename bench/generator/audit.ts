import type { MessageName } from './message.ts';

/** What may be wrong with what a client heard. */
export interface Faults {
  /** Sent, and not heard. */
  lost: number;
  /** Heard more than once. */
  repeated: number;
  /** Heard, but after a later one, or in another order than another client. */
  swapped: number;
  /** Nobody sent it. */
  unknown: number;
}

/** The first thing that was wrong with what a client heard. */
export interface Violation {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly what: string;
}

/** Some clients that follow each other: those of one room. */
export interface Range {
  readonly from: number;
  readonly count: number;
}

export const none = (): Faults => ({ lost: 0, repeated: 0, swapped: 0, unknown: 0 });

export const isNone = (faults: Faults): boolean => Object.values(faults).every((count) => count === 0);

export function addTo(total: Faults, { lost, repeated, swapped, unknown }: Faults): void {
  total.lost += lost;
  total.repeated += repeated;
  total.swapped += swapped;
  total.unknown += unknown;
}

// More holes than this are counted, but not told apart from what comes late.
const HOLES = 100_000;
const NOT_YET = -1;

/** Checks what one client hears: every message of every sender of its room, once, and in the order they were sent. */
export class Audit {
  heard = 0;
  /** Of all it heard, in the order it heard it. */
  order = 0;
  first: Violation | undefined;
  readonly #client: number;
  readonly #senders: Range;
  /** Of each sender the number of the message that comes next. */
  readonly #next: Int32Array;
  readonly #holes = new Set<number>();
  readonly #faults = none();

  /** @param late whether it came when others were sending already: then what it heard first of each is where that begins. */
  constructor(client: number, senders: Range, late = false) {
    this.#client = client;
    this.#senders = senders;
    this.#next = new Int32Array(senders.count).fill(late ? NOT_YET : 0);
  }

  /** Takes a message, or something else that it heard. */
  hear(message: MessageName | undefined, words: string): void {
    if (message) this.#message(message);
    else this.#stranger(words);
  }

  /** @param sent how many messages each client sent; undefined where what was sent last need not be there. @returns what was wrong in the end. */
  finish(sent: readonly number[] | undefined): Faults {
    const faults = { ...this.#faults };
    this.#next.forEach((next, index) => {
      const count = sent?.[this.#senders.from + index] ?? next;
      if (next === NOT_YET) return;
      const sender = this.#senders.from + index;
      if (next < count) {
        faults.lost += count - next;
        this.#violation(`never heard message ${next} of client ${sender}`);
      } else if (next > count) {
        faults.unknown += next - count;
        this.#violation(`heard message ${count} of client ${sender}, which sent none so far`);
      }
    });
    return faults;
  }

  #message({ sender, seq }: MessageName): void {
    const index = sender - this.#senders.from;
    const due = this.#next[index];
    if (due === undefined) {
      this.#stranger(`message ${seq} of client ${sender}, which is not in its room`);
      return;
    }
    this.heard++;
    this.order = Math.imul(this.order ^ (sender * 8191 + seq), 16_777_619);
    if (seq === due || due === NOT_YET) this.#next[index] = seq + 1;
    else if (seq > due) {
      this.#violation(`heard message ${seq} of client ${sender} where ${due} was due`);
      this.#faults.lost += seq - due;
      for (let hole = due; hole < seq && this.#holes.size < HOLES; hole++) this.#holes.add(keyOf(sender, hole));
      this.#next[index] = seq + 1;
    } else if (this.#holes.delete(keyOf(sender, seq))) {
      this.#faults.lost--;
      this.#faults.swapped++;
    } else {
      this.#violation(`heard message ${seq} of client ${sender} again`);
      this.#faults.repeated++;
    }
  }

  #stranger(words: string): void {
    this.#violation(`heard what nobody sent: ${words.slice(0, 200)}`);
    this.#faults.unknown++;
  }

  #violation(what: string): void {
    this.first ??= { at: Date.now(), what: `client ${this.#client} ${what}` };
  }
}

const keyOf = (sender: number, seq: number) => sender * 2 ** 32 + seq;
