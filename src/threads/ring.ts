// A ring of frames in memory that two threads of one process share: one thread writes, one reads.
//
// The memory starts with four Int32 words, each on a cache line of its own, so that a thread that
// stores one does not slow down loads of the others. The frames follow. A frame is a word with its
// length in bytes, and then the bytes, padded to whole words. Every frame is contiguous: one that
// does not fit before the end leaves the word SKIP there and begins at the start.
//
// A position counts the bytes written or read since the beginning, modulo 2^32. Its remainder by
// the size of the ring is an offset. The difference of two positions, `| 0`, is the number of bytes
// between them, which is at most the size of the ring.
//
// Order in memory. Frames are copied plainly, not atomically, which is enough:
// - The writer stores its position atomically after the copy. A reader that loads this position has
//   everything that the writer did before the store, so it sees the whole frame.
// - The reader stores its position atomically after `receive` has returned. A writer that loads
//   this position overwrites only bytes that the reader has finished with.
// - Between these two stores, a byte belongs to one thread alone.
// Each end keeps the position of the other end that it last loaded, which can only be behind: the
// writer sees less room than there is, the reader fewer frames. It is loaded again when it does not
// suffice.
//
// No wake-up is lost, because both threads agree on one order of all atomic operations. The reader
// sets `sleeps` and then loads the writer's position. The writer stores its position and then loads
// `sleeps`. Whichever comes second sees the store of the other: the reader finds the frame, or the
// writer finds the reader asleep. `waits` and the reader's position work in the same way.

const CACHE_LINE = 64;

// Indexes of the words.
const WRITTEN = 0; // the writer's position
const READ = CACHE_LINE / 4; // the reader's position
const SLEEPS = (2 * CACHE_LINE) / 4; // 1 while the reader wants a wake-up at the next frame
const WAITS = (3 * CACHE_LINE) / 4; // 1 while the writer wants a wake-up at half a ring of room

const HEADER_BYTES = 4 * CACHE_LINE;
const WORD = 4;
const SKIP = -1;

const MIN_BYTES = 1024;
const MAX_BYTES = 2 ** 30; // the largest power of two that the difference of positions can express

// The reader gives room back each time that it has read this part of the ring, and when it stops.
const PARTS = 8;

/**
 * Returns the memory of an empty ring, whose reader sleeps: the first frame wakes it.
 *
 * @param bytes room for frames and their lengths: a power of two, at least 1,024.
 */
export function createRing(bytes: number): SharedArrayBuffer {
  checkSize(bytes);
  const memory = new SharedArrayBuffer(HEADER_BYTES + bytes);
  new Int32Array(memory)[SLEEPS] = 1;
  return memory;
}

/** The writing end of a ring. One thread has it. */
export class RingWriter {
  /** Length of the longest frame in bytes: half of the ring less a word. */
  readonly maxFrame: number;
  readonly #bytes: number;
  readonly #buffer: Buffer;
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #wake: () => void;
  #written: number;
  #read: number;

  /**
   * @param memory from `createRing`.
   * @param wake wakes the reader: has it call `drain`. Called once for each time that it sleeps.
   */
  constructor(memory: SharedArrayBuffer, wake: () => void) {
    this.#bytes = sizeOf(memory);
    this.#buffer = Buffer.from(memory);
    this.#words = new Int32Array(memory);
    this.#wake = wake;
    this.#written = Atomics.load(this.#words, WRITTEN);
    this.#read = Atomics.load(this.#words, READ);
    // A frame of this length fits into an empty ring at every offset, with the end that it skips.
    this.maxFrame = this.#bytes / 2 - WORD;
  }

  /**
   * Copies the first `length` bytes of `frame` into the ring. Returns false when the ring has no
   * room for them. Then the reader wakes the writer once at least half of the ring is free, and
   * frames that were written in the meantime do not change that.
   *
   * @throws RangeError if the frame is longer than `maxFrame`, or shorter than `length`.
   */
  write(frame: Uint8Array, length: number): boolean {
    if (length > this.maxFrame) {
      throw new RangeError(`a frame of ${length} bytes is longer than the ring allows, ${this.maxFrame} bytes`);
    }
    if (length > frame.byteLength) {
      throw new RangeError(`the frame has ${frame.byteLength} bytes, not ${length}`);
    }
    const size = sizeInRing(length);
    let offset = this.#written & (this.#bytes - 1);
    const toEnd = this.#bytes - offset;
    const skipped = size > toEnd ? toEnd : 0;
    if (!this.#hasRoom(skipped + size)) return false;
    if (skipped > 0) {
      this.#words[(HEADER_BYTES + offset) / WORD] = SKIP;
      offset = 0;
    }
    const start = HEADER_BYTES + offset;
    this.#words[start / WORD] = length;
    // `fill` copies a prefix without an object for it, which neither `set` nor `copy` does.
    if (length > 0) this.#buffer.fill(frame, start + WORD, start + WORD + length);
    this.#publish(skipped + size);
    return true;
  }

  #publish(bytes: number): void {
    this.#written = (this.#written + bytes) | 0;
    Atomics.store(this.#words, WRITTEN, this.#written);
    // The load spares the costlier exchange while the reader is awake.
    if (Atomics.load(this.#words, SLEEPS) === 0 || Atomics.exchange(this.#words, SLEEPS, 0) === 0) return;
    this.#wake();
    Atomics.notify(this.#words, WRITTEN); // it may be in `pause`
  }

  #hasRoom(bytes: number): boolean {
    if (bytes <= this.#free()) return true;
    this.#read = Atomics.load(this.#words, READ);
    if (bytes <= this.#free()) return true;
    const waited = Atomics.exchange(this.#words, WAITS, 1);
    this.#read = Atomics.load(this.#words, READ);
    if (bytes > this.#free()) return false;
    // An earlier frame may still wait for the wake-up, so only the wait of this one ends.
    if (waited === 0) Atomics.store(this.#words, WAITS, 0);
    return true;
  }

  #free(): number {
    return this.#bytes - ((this.#written - this.#read) | 0);
  }
}

/** The reading end of a ring. One thread has it. */
export class RingReader {
  readonly #bytes: number;
  readonly #buffer: Buffer;
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #wakeWriter: () => void;
  #written: number;
  #read: number;
  #released: number;

  /**
   * @param memory from `createRing`.
   * @param wakeWriter is called when the writer waits for room and at least half of the ring is
   *   free. It may be called during a drain.
   */
  constructor(memory: SharedArrayBuffer, wakeWriter: () => void) {
    this.#bytes = sizeOf(memory);
    this.#buffer = Buffer.from(memory);
    this.#words = new Int32Array(memory);
    this.#wakeWriter = wakeWriter;
    this.#written = Atomics.load(this.#words, WRITTEN);
    this.#read = Atomics.load(this.#words, READ);
    this.#released = this.#read;
  }

  /**
   * Passes frames in order, each as a range of `buffer`, until none is left or `maxBytes` of the
   * ring have been read, lengths and padding included. The bytes are valid only during the call of
   * `receive`: copy what is needed later.
   *
   * Returns whether frames are left. If so, call again, in a later turn: the writer does not wake
   * the reader. Otherwise the writer wakes the reader at the next frame.
   *
   * An error of `receive` propagates. Its frame counts as read. Frames may be left then: call
   * again.
   */
  drain(receive: (buffer: Buffer, start: number, end: number) => void, maxBytes: number): boolean {
    let passed = 0;
    try {
      while (this.#hasFrame()) {
        if (passed >= maxBytes) return true;
        passed += this.#pass(receive);
        if (((this.#read - this.#released) | 0) >= this.#bytes / PARTS) this.#release();
      }
      return false;
    } finally {
      this.#release();
    }
  }

  /** Blocks this thread for a time, or until there is a frame. */
  pause(ms: number): void {
    if (this.#read === this.#written) Atomics.wait(this.#words, WRITTEN, this.#written, ms);
  }

  /** Returns whether there is a frame. If not, the reader sleeps. */
  #hasFrame(): boolean {
    if (this.#read !== this.#written) return true;
    this.#written = Atomics.load(this.#words, WRITTEN);
    if (this.#read !== this.#written) return true;
    // Stored even if the reader has not read since it last slept: the writer may have cleared it to
    // wake the reader for a frame that the reader had found by itself.
    Atomics.store(this.#words, SLEEPS, 1);
    this.#written = Atomics.load(this.#words, WRITTEN);
    if (this.#read === this.#written) return false;
    Atomics.store(this.#words, SLEEPS, 0);
    return true;
  }

  /** Passes the next frame. Returns the bytes of the ring that it took. */
  #pass(receive: (buffer: Buffer, start: number, end: number) => void): number {
    let offset = this.#read & (this.#bytes - 1);
    let length = this.#words[(HEADER_BYTES + offset) / WORD] as number;
    let skipped = 0;
    if (length === SKIP) {
      // The writer publishes SKIP together with the frame at the start.
      skipped = this.#bytes - offset;
      offset = 0;
      length = this.#words[HEADER_BYTES / WORD] as number;
    }
    const start = HEADER_BYTES + offset + WORD;
    const size = skipped + sizeInRing(length);
    try {
      receive(this.#buffer, start, start + length);
    } finally {
      this.#read = (this.#read + size) | 0;
    }
    return size;
  }

  /** Lets the writer use the room of what has been read, and wakes it if it waits for that. */
  #release(): void {
    if (this.#read !== this.#released) {
      this.#released = this.#read;
      Atomics.store(this.#words, READ, this.#read);
    }
    if (Atomics.load(this.#words, WAITS) === 0) return;
    const used = (Atomics.load(this.#words, WRITTEN) - this.#read) | 0;
    // With less room, the wake-up comes at a later release: there are frames left to read.
    if (used <= this.#bytes / 2 && Atomics.exchange(this.#words, WAITS, 0) === 1) this.#wakeWriter();
  }
}

/** Returns which share of a ring waits to be read, from 0 to 1. Any thread may ask. */
export function ringFill(memory: SharedArrayBuffer): number {
  const words = new Int32Array(memory, 0, HEADER_BYTES / WORD);
  return ((Atomics.load(words, WRITTEN) - Atomics.load(words, READ)) | 0) / sizeOf(memory);
}

function sizeInRing(length: number): number {
  return (WORD + length + WORD - 1) & -WORD;
}

function sizeOf(memory: SharedArrayBuffer): number {
  const bytes = memory.byteLength - HEADER_BYTES;
  checkSize(bytes);
  return bytes;
}

function checkSize(bytes: number): void {
  if (Number.isInteger(bytes) && bytes >= MIN_BYTES && bytes <= MAX_BYTES && (bytes & (bytes - 1)) === 0) return;
  throw new RangeError(`a ring has a power of two from ${MIN_BYTES} to ${MAX_BYTES} bytes, not ${bytes}`);
}
