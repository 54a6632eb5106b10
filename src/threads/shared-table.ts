import type { Fingerprint } from '../hub/fingerprints.ts';
import { Mutex } from './mutex.ts';

// Words of the header.
const LOCK = 0;
/** How many slots are in use; a power of two. */
const CAPACITY = 1;
/** How many of them have an entry, idle or not. */
const SIZE = 2;

// A cache line, so that no slot shares one with the mutex.
const HEADER_BYTES = 64;

const MIN_CAPACITY = 1024;

/**
 * Returns the memory of a table, which grows with the number of entries.
 *
 * @param numbers of an entry.
 *
 * @param entries that matter at once and that the table must hold. This bounds its memory.
 */
export function createTable(numbers: number, entries: number): SharedArrayBuffer {
  const maxByteLength = bytesOf(capacityFor(entries), numbers);
  const memory = new SharedArrayBuffer(bytesOf(MIN_CAPACITY, numbers), { maxByteLength });
  new Int32Array(memory, 0, HEADER_BYTES / 4)[CAPACITY] = MIN_CAPACITY;
  return memory;
}

/** Returns the capacity of a table of which `entries` fill at most a quarter. */
function capacityFor(entries: number): number {
  return Math.max(MIN_CAPACITY, 2 ** Math.ceil(Math.log2(4 * entries)));
}

function bytesOf(capacity: number, numbers: number): number {
  return HEADER_BYTES + 8 * capacity * (1 + numbers);
}

/**
 * A hash table from fingerprints to numbers, in memory that threads share. A slot has a fingerprint
 * and the numbers of its entry; an entry whose slot is taken goes to the next one. `find`, `add`,
 * `get` and `set` must be called within `run`, and positions are valid in the same section only.
 *
 * The first number of an entry is its expiry: the entry is idle when that is not above `now`, which
 * the caller passes. Idle entries are not removed one by one. A new entry replaces one on its way,
 * and when half of the slots have entries, the table is rebuilt without those that are idle, with
 * so many slots that the others fill at most a quarter. So rebuilds cost a constant time for each
 * new entry.
 *
 * A table at its largest capacity cannot keep more entries than a quarter of that. A rebuild then
 * removes those of lowest expiry, too.
 */
export class SharedTable {
  readonly #memory: SharedArrayBuffer;
  readonly #mutex: Mutex;
  readonly #header: Int32Array;
  /** Numbers of a slot: the fingerprint's place, and those of the entry. */
  readonly #stride: number;
  readonly #maxCapacity: number;
  #capacity = 0;
  #bits: Int32Array;
  #numbers: Float64Array;

  /** @param numbers of an entry, as at the table's creation. */
  constructor(memory: SharedArrayBuffer, numbers: number) {
    this.#memory = memory;
    this.#header = new Int32Array(memory, 0, HEADER_BYTES / 4);
    this.#mutex = new Mutex(this.#header, LOCK);
    this.#stride = 1 + numbers;
    this.#maxCapacity = (memory.maxByteLength - HEADER_BYTES) / 8 / this.#stride;
    this.#bits = new Int32Array(memory, HEADER_BYTES, 0);
    this.#numbers = new Float64Array(memory, HEADER_BYTES, 0);
  }

  /** Runs `section` while no other thread uses the table. @returns its result. */
  run<T>(section: () => T): T {
    return this.#mutex.run(section);
  }

  /** Finds an entry. @returns the position of its first number, or -1. */
  find(key: Fingerprint): number {
    this.#refresh();
    const bits = this.#bits;
    const stride = this.#stride;
    const high = markOf(key);
    const last = this.#capacity - 1;
    for (let slot = key.low & last; ; slot = (slot + 1) & last) {
      const at = slot * stride;
      if (bits[2 * at] === 0) return -1;
      if (bits[2 * at] === high && bits[2 * at + 1] === key.low) return at + 1;
    }
  }

  /**
   * Adds an entry, which must not be in the table. The caller must set all of its numbers.
   *
   * @returns the position of its first number.
   */
  add(key: Fingerprint, now: number): number {
    this.#refresh();
    if (2 * (this.#header[SIZE] as number) >= this.#capacity) this.#rebuild(now);
    const at = this.#place(key.low, now);
    this.#bits[2 * at] = markOf(key);
    this.#bits[2 * at + 1] = key.low;
    return at + 1;
  }

  get(position: number): number {
    return this.#numbers[position] as number;
  }

  set(position: number, value: number): void {
    this.#numbers[position] = value;
  }

  /** Returns where a new entry belongs: in place of an idle one, or in a free slot. */
  #place(low: number, now: number): number {
    const last = this.#capacity - 1;
    for (let slot = low & last; ; slot = (slot + 1) & last) {
      const at = slot * this.#stride;
      if (this.#bits[2 * at] === 0) {
        this.#header[SIZE] = (this.#header[SIZE] as number) + 1;
        return at;
      }
      if (this.get(at + 1) <= now) return at;
    }
  }

  #rebuild(now: number): void {
    const stride = this.#stride;
    const old = this.#numbers.slice();
    const kept = this.#entriesToKeep(now);
    const capacity = capacityFor(kept.length);
    const bytes = bytesOf(capacity, stride - 1);
    if (bytes > this.#memory.byteLength) this.#memory.grow(bytes);
    this.#header[CAPACITY] = capacity;
    this.#header[SIZE] = 0;
    this.#refresh();
    this.#numbers.fill(0);
    const oldBits = new Int32Array(old.buffer);
    for (const at of kept) {
      const to = this.#place(oldBits[2 * at + 1] as number, Number.NEGATIVE_INFINITY);
      this.#numbers.set(old.subarray(at, at + stride), to);
    }
  }

  /** Returns where the slots of the entries begin that a rebuild keeps. */
  #entriesToKeep(now: number): readonly number[] {
    const slots: number[] = [];
    for (let at = 0; at < this.#numbers.length; at += this.#stride) {
      if (this.#bits[2 * at] !== 0 && this.get(at + 1) > now) slots.push(at);
    }
    if (slots.length <= this.#maxCapacity / 4) return slots;
    return slots.sort((a, b) => this.get(b + 1) - this.get(a + 1)).slice(0, this.#maxCapacity / 4);
  }

  /**
   * Takes over the capacity that another thread has set. The views have a fixed length: those that
   * grow with the memory are several times slower.
   */
  #refresh(): void {
    const capacity = this.#header[CAPACITY] as number;
    if (capacity === this.#capacity) return;
    this.#capacity = capacity;
    this.#bits = new Int32Array(this.#memory, HEADER_BYTES, 2 * capacity * this.#stride);
    this.#numbers = new Float64Array(this.#memory, HEADER_BYTES, capacity * this.#stride);
  }
}

/** Returns the first half of a fingerprint, which is 0 in a free slot only. */
function markOf({ high }: Fingerprint): number {
  return high || 1;
}
