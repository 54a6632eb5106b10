import type { MessageId } from './message.ts';

/** Counts of what went wrong in the messages that clients received. */
export interface Faults {
  /** Sent but not received. */
  lost: number;
  /** Received more than once. */
  repeated: number;
  /** Received after a later message, or in a different order than by another client. */
  swapped: number;
  /** Received but not sent by any client. */
  unknown: number;
}

/** The first fault that a client noticed. */
export interface Violation {
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
  readonly what: string;
}

/** Consecutive clients: those of one room. */
export interface Range {
  readonly from: number;
  readonly count: number;
}

export const noFaults = (): Faults => ({ lost: 0, repeated: 0, swapped: 0, unknown: 0 });

export const isFaultless = (faults: Faults): boolean => Object.values(faults).every((count) => count === 0);

export function addTo(total: Faults, { lost, repeated, swapped, unknown }: Faults): void {
  total.lost += lost;
  total.repeated += repeated;
  total.swapped += swapped;
  total.unknown += unknown;
}

/** The settings of an audit. */
export interface AuditSettings {
  /**
   * Whether senders are already active: the first message received of each sender is then the
   * expected one.
   *
   * @default false
   */
  readonly late?: boolean;
  /** Whether to keep the order of the messages. @default false */
  readonly keepsOrder?: boolean;
  /** Called for each message of the load. */
  readonly onMessage?: ((message: MessageId) => void) | undefined;
}

// An order is kept up to this many messages; its hash covers all of them.
const MAX_ORDER = 500_000;
// Beyond this many gaps, a late message counts as repeated instead of swapped.
const MAX_GAPS = 100_000;
const NOT_STARTED = -1;

/**
 * Checks the messages that one client receives: every message of every sender of its room, once and
 * in order.
 */
export class Audit {
  received = 0;
  /**
   * A hash of all messages in the order received. Clients that received the same order have the
   * same hash.
   */
  orderHash = 0;
  first: Violation | undefined;
  /** The messages in the order received, each as a number; undefined unless it is kept. */
  readonly order: number[] | undefined;
  readonly #onMessage: AuditSettings['onMessage'];
  readonly #client: number;
  readonly #senders: Range;
  /** The number of the next message, by sender. */
  readonly #next: Int32Array;
  /** Messages that were skipped and may still arrive late. */
  readonly #gaps = new Set<number>();
  readonly #faults = noFaults();

  constructor(client: number, senders: Range, { late = false, keepsOrder = false, onMessage }: AuditSettings = {}) {
    this.#client = client;
    this.#onMessage = onMessage;
    this.order = keepsOrder ? [] : undefined;
    this.#senders = senders;
    this.#next = new Int32Array(senders.count).fill(late ? NOT_STARTED : 0);
  }

  /** Records a received message, or the text of one that no client of the load sent. */
  record(message: MessageId | undefined, text: string): void {
    if (message) this.#message(message);
    else this.#unknown(text);
  }

  /**
   * @param sent the number of messages that each client sent; undefined if the last ones need not
   * have arrived.
   * @returns all faults.
   */
  finish(sent: readonly number[] | undefined): Faults {
    const faults = { ...this.#faults };
    this.#next.forEach((next, index) => {
      const count = sent?.[this.#senders.from + index] ?? next;
      if (next === NOT_STARTED) return;
      const sender = this.#senders.from + index;
      if (next < count) {
        faults.lost += count - next;
        this.#violation(`never received message ${next} of client ${sender}`);
      } else if (next > count) {
        faults.unknown += next - count;
        this.#violation(`received message ${count} of client ${sender}, which has not sent it`);
      }
    });
    return faults;
  }

  #message(message: MessageId): void {
    const { sender, seq } = message;
    const index = sender - this.#senders.from;
    const expected = this.#next[index];
    if (expected === undefined) {
      this.#unknown(`message ${seq} of client ${sender}, which is not in its room`);
      return;
    }
    this.received++;
    this.orderHash = Math.imul(this.orderHash ^ (sender * 8191 + seq), 16_777_619);
    if (this.order && this.order.length < MAX_ORDER) this.order.push(keyOf(sender, seq));
    this.#onMessage?.(message);
    if (seq === expected || expected === NOT_STARTED) this.#next[index] = seq + 1;
    else if (seq > expected) {
      this.#violation(`received message ${seq} of client ${sender} instead of ${expected}`);
      this.#faults.lost += seq - expected;
      for (let gap = expected; gap < seq && this.#gaps.size < MAX_GAPS; gap++) this.#gaps.add(keyOf(sender, gap));
      this.#next[index] = seq + 1;
    } else if (this.#gaps.delete(keyOf(sender, seq))) {
      this.#faults.lost--;
      this.#faults.swapped++;
    } else {
      this.#violation(`received message ${seq} of client ${sender} again`);
      this.#faults.repeated++;
    }
  }

  #unknown(text: string): void {
    this.#violation(`received an unknown message: ${text.slice(0, 200)}`);
    this.#faults.unknown++;
  }

  #violation(what: string): void {
    this.first ??= { at: Date.now(), what: `client ${this.#client} ${what}` };
  }
}

const keyOf = (sender: number, seq: number) => sender * 2 ** 32 + seq;
