import { readMessage } from './message.ts';

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

const NEWLINE = 10;
// More holes than this are counted, but not told apart from what comes late.
const HOLES = 100_000;

/** Checks what one client hears: every message of every sender, once, and in the order they were sent. */
export class Audit {
  heard = 0;
  /** Of all it heard, in the order it heard it. */
  order = 0;
  readonly #bytes: number;
  readonly #next: Uint32Array;
  readonly #holes = new Set<number>();
  readonly #faults: Faults = { lost: 0, repeated: 0, swapped: 0, unknown: 0 };

  /** @param bytes the length of each message. */
  constructor(senders: number, bytes: number) {
    this.#bytes = bytes;
    this.#next = new Uint32Array(senders);
  }

  /** Takes a frame: messages with a newline between them. */
  frame(frame: Buffer): void {
    for (let at = 0; at <= frame.length; ) {
      const message = readMessage(frame, at, this.#bytes);
      const end = lineEnd(frame, message ? at + this.#bytes : at);
      if (message && end === at + this.#bytes && message.sender < this.#next.length) {
        this.#message(message.sender, message.seq);
      } else this.#faults.unknown++;
      at = end + 1;
    }
  }

  /** @param sent how many messages each sender sent. @returns what was wrong in the end. */
  finish(sent: readonly number[]): Faults {
    const tail = sent.reduce((sum, count, sender) => sum + Math.max(0, count - (this.#next[sender] as number)), 0);
    const unsent = sent.reduce((sum, count, sender) => sum + Math.max(0, (this.#next[sender] as number) - count), 0);
    return { ...this.#faults, lost: this.#faults.lost + tail, unknown: this.#faults.unknown + unsent };
  }

  #message(sender: number, seq: number): void {
    this.heard++;
    this.order = Math.imul(this.order ^ (sender * 8191 + seq), 16_777_619);
    const next = this.#next[sender] as number;
    if (seq >= next) {
      this.#faults.lost += seq - next;
      for (let hole = next; hole < seq && this.#holes.size < HOLES; hole++) this.#holes.add(keyOf(sender, hole));
      this.#next[sender] = seq + 1;
    } else if (this.#holes.delete(keyOf(sender, seq))) {
      this.#faults.lost--;
      this.#faults.swapped++;
    } else this.#faults.repeated++;
  }
}

const keyOf = (sender: number, seq: number) => sender * 2 ** 32 + seq;

function lineEnd(frame: Buffer, at: number): number {
  const end = frame.indexOf(NEWLINE, at);
  return end < 0 ? frame.length : end;
}

/**
 * What was wrong with what all audited clients heard together. Those that heard everything must have heard it in one order.
 *
 * @param audits of clients that stayed. @param cut of clients that were closed: what came after their close is not lost.
 * @param sent how many messages each sender sent.
 */
export function judge(audits: readonly Audit[], cut: readonly Audit[], sent: readonly number[]): Faults {
  const total: Faults = { lost: 0, repeated: 0, swapped: 0, unknown: 0 };
  const all = [...audits.map((audit) => audit.finish(sent)), ...cut.map((audit) => audit.finish([]))];
  for (const faults of all) for (const name of names) total[name] += faults[name];
  if (!names.some((name) => total[name] > 0)) {
    total.swapped += audits.filter(({ order }) => order !== audits[0]?.order).length;
  }
  return total;
}

const names = ['lost', 'repeated', 'swapped', 'unknown'] as const;
