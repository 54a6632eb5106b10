import type { ChangeOp } from '../protocol/v1.ts';

/** What a record has beside the fields of an ordinary message. Few have any of it. */
export type Extra = MessageExtra | ChangeExtra;

/** A message that replies to another, or that changes have been folded into. */
export interface MessageExtra {
  readonly kind: 'message';
  /** The `seq` of the message that this one replies to. */
  readonly reply?: number;
  /** The `seq` of the last change that is folded into the record. */
  readonly changed?: number;
  /** The `seq` of the last edit. */
  readonly edited?: number;
  /** Its data is gone. */
  readonly deleted?: true;
  /** In the order of their first users. */
  readonly reactions?: readonly Reacted[];
}

/** A reaction, and who has reacted so, in order. */
export type Reacted = readonly [reaction: string, users: readonly string[]];

/** A change of an earlier record. The data is that of an edit, or the text of a reaction. */
export interface ChangeExtra {
  readonly kind: 'change';
  readonly op: ChangeOp;
  /** The `seq` of the record that it changes. */
  readonly of: number;
  /** An edit that a later change has replaced: its data is gone. */
  readonly replaced?: true;
}

/** A message, or a change of one, in a room's log. */
export interface LogRecord {
  /** Position in the room: 1, 2, 3 … without a hole. */
  readonly seq: number;
  /** Time of the commit, in milliseconds since 1970. */
  readonly at: number;
  readonly from: string;
  readonly sender: string;
  readonly id: string;
  readonly data: string;
  readonly json: boolean;
  /**
   * Length of the first `data` in bytes of UTF-8. It stays what it was when a change is folded into
   * the record: a change counts for what it adds elsewhere.
   */
  readonly bytes: number;
  readonly extra?: Extra;
}

/** Consecutive records, of which the last is `head`. */
export interface Records {
  readonly head: number;
  /** Returns the record with this `seq`, which must be one of them. */
  at(seq: number): LogRecord;
}

/** A bound on a run of records. The tighter of the two applies. */
export interface LogLimits {
  readonly records: number;
  /** Bytes of the records' data. */
  readonly bytes: number;
}

// A power of two: slots wrap with a mask. Most rooms are small, so the ring starts small.
const INITIAL_SLOTS = 16;

/**
 * The hot window of one room's log: the records `first`…`head`, contiguous by `seq`. `trim` drops
 * the oldest records past the limits. An empty log has `first === head + 1`.
 */
export class Log implements Records {
  readonly #limits: LogLimits;
  #ring: (LogRecord | undefined)[] = new Array(INITIAL_SLOTS);
  /** By slot: bytes of all records ever appended, up to and including the one in the slot. */
  #ends: number[] = new Array(INITIAL_SLOTS).fill(0);
  #appendedBytes = 0;
  #droppedBytes = 0;
  #first: number;
  #head: number;

  /** @param head the seq after which this log starts. */
  constructor(head: number, limits: LogLimits) {
    this.#limits = limits;
    this.#head = head;
    this.#first = head + 1;
  }

  get first(): number {
    return this.#first;
  }

  get head(): number {
    return this.#head;
  }

  get bytes(): number {
    return this.#appendedBytes - this.#droppedBytes;
  }

  /** @throws RangeError when the record does not follow the head: the engine broke its contract. */
  append(record: LogRecord): void {
    if (record.seq !== this.#head + 1) throw new RangeError(`record ${record.seq} does not follow ${this.#head}`);
    if (this.#head - this.#first + 1 === this.#ring.length) this.#grow();
    const slot = record.seq & (this.#ring.length - 1);
    this.#appendedBytes += record.bytes;
    this.#ring[slot] = record;
    this.#ends[slot] = this.#appendedBytes;
    this.#head = record.seq;
  }

  /** Drops the oldest records until the rest is within the limits, but never the head. */
  trim(): void {
    while (this.#first < this.#head && this.#isOverLimits()) this.#dropFirst();
  }

  /**
   * Drops the records after `seq`.
   *
   * @returns false, and drops nothing, unless it reaches back to `seq`.
   */
  cut(seq: number): boolean {
    if (!this.reaches(seq)) return false;
    for (; this.#head > seq; this.#head--) {
      const slot = this.#head & (this.#ring.length - 1);
      this.#appendedBytes -= (this.#ring[slot] as LogRecord).bytes;
      this.#ring[slot] = undefined;
    }
    return true;
  }

  /** Puts a record in the place of the one with its `seq`, which must lie in `first`…`head`. */
  replace(record: LogRecord): void {
    this.#ring[record.seq & (this.#ring.length - 1)] = record;
  }

  /** Returns the record with this `seq`, if it is in memory. */
  find(seq: number): LogRecord | undefined {
    return seq >= this.#first && seq <= this.#head ? this.at(seq) : undefined;
  }

  /** Returns the record with this `seq`, which must lie in `first`…`head`. */
  at(seq: number): LogRecord {
    return this.#ring[seq & (this.#ring.length - 1)] as LogRecord;
  }

  /**
   * Reports whether records up to `seq` may have changes from after it: those that are in memory,
   * or that the records were read with.
   */
  hasChangesAfter(seq: number): boolean {
    for (let at = this.#first; at <= this.#head; at++) {
      const { extra } = this.at(at);
      if (extra === undefined) continue;
      if (extra.kind === 'change' ? at > seq || extra.replaced : (extra.changed ?? 0) > seq) return true;
    }
    return false;
  }

  /** Reports whether every record after `seq` is in memory. */
  reaches(seq: number): boolean {
    return seq >= this.#first - 1 && seq <= this.#head;
  }

  /** Bytes of the records after `seq` that are in memory. */
  bytesAfter(seq: number): number {
    if (seq >= this.#head) return 0;
    if (seq < this.#first) return this.bytes;
    return this.#appendedBytes - (this.#ends[seq & (this.#ring.length - 1)] as number);
  }

  #isOverLimits(): boolean {
    return this.#head - this.#first + 1 > this.#limits.records || this.bytes > this.#limits.bytes;
  }

  #dropFirst(): void {
    const slot = this.#first & (this.#ring.length - 1);
    this.#droppedBytes = this.#ends[slot] as number;
    this.#ring[slot] = undefined;
    this.#first++;
  }

  #grow(): void {
    const length = this.#ring.length * 2;
    const ring: (LogRecord | undefined)[] = new Array(length);
    const ends: number[] = new Array(length).fill(0);
    for (let seq = this.#first; seq <= this.#head; seq++) {
      const from = seq & (this.#ring.length - 1);
      ring[seq & (length - 1)] = this.#ring[from];
      ends[seq & (length - 1)] = this.#ends[from] as number;
    }
    this.#ring = ring;
    this.#ends = ends;
  }
}
