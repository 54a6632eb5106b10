import type { LogRecord, Records } from './ports.ts';

/** How much of a room's log stays in memory. */
export interface Window {
  readonly records: number;
  readonly bytes: number;
}

/**
 * The hot window of one room's log: the records `first`…`head`, contiguous by `seq`. What is past the window goes when
 * `trim` is called, oldest first. An empty log has `first === head + 1`.
 */
export class Log implements Records {
  readonly #window: Window;
  #ring: (LogRecord | undefined)[] = new Array(SMALLEST);
  /** Bytes of all records ever appended, up to and including the one in the same slot. */
  #ends: number[] = new Array(SMALLEST).fill(0);
  #total = 0;
  #dropped = 0;
  #first: number;
  #head: number;

  /** @param head the seq after which this log starts. */
  constructor(head: number, window: Window) {
    this.#window = window;
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
    return this.#total - this.#dropped;
  }

  /** @throws RangeError when the record does not follow the head: an engine broke its contract. */
  append(record: LogRecord): void {
    if (record.seq !== this.#head + 1) throw new RangeError(`record ${record.seq} does not follow ${this.#head}`);
    if (this.#head - this.#first + 1 === this.#ring.length) this.#grow();
    const slot = record.seq & (this.#ring.length - 1);
    this.#total += record.bytes;
    this.#ring[slot] = record;
    this.#ends[slot] = this.#total;
    this.#head = record.seq;
  }

  /** Drops the oldest records until the rest fit the window, but never the head. */
  trim(): void {
    while (this.#first < this.#head && this.#overfull()) this.#dropFirst();
  }

  /** The record with this `seq`, which must lie in `first`…`head`. */
  at(seq: number): LogRecord {
    return this.#ring[seq & (this.#ring.length - 1)] as LogRecord;
  }

  /** Whether every record after `seq` is still here. */
  reaches(seq: number): boolean {
    return seq >= this.#first - 1 && seq <= this.#head;
  }

  /** Bytes of the records after `seq`, as far as they are here. */
  bytesAfter(seq: number): number {
    if (seq >= this.#head) return 0;
    return seq < this.#first ? this.bytes : this.#total - (this.#ends[seq & (this.#ring.length - 1)] as number);
  }

  #overfull(): boolean {
    return this.#head - this.#first + 1 > this.#window.records || this.bytes > this.#window.bytes;
  }

  #dropFirst(): void {
    const slot = this.#first & (this.#ring.length - 1);
    this.#dropped = this.#ends[slot] as number;
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

// A power of two: slots wrap with a mask. Most rooms are small, so the ring starts small.
const SMALLEST = 16;
