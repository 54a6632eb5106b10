import type { Clock, Scheduler } from '../hub/time.ts';

// Words of the memory: frames that are done with, whether the writer awaits more, and how many
// milliseconds the last ones took.
const DONE = 0;
const AWAITED = 1;
const TOOK = 2;

// A worker that has delivered commits for as long pauses between the messages that it reads next.
const LONG_MS = 4;

// How long it pauses: this share of the time that it delivered, and at most so long.
const PAUSE_SHARE = 1 / 8;
const PAUSE_MS = 5;

/** Returns the memory that tells the writer of a ring how far the reader is. */
export function createProgress(): SharedArrayBuffer {
  return new SharedArrayBuffer(3 * Int32Array.BYTES_PER_ELEMENT);
}

/** The reader's side: counts frames, and tells which ones it has done with. */
export class ProgressReader {
  readonly #words: Int32Array;
  readonly #scheduler: Scheduler;
  readonly #clock: Clock;
  readonly #wakeWriter: () => void;
  #read = 0;
  #isScheduled = false;
  /** When the first frame of the turn was received. */
  #startedAt = 0;
  /** When the last turn ended, and how long it took. */
  #endedAt = 0;
  #took = 0;

  constructor(memory: SharedArrayBuffer, scheduler: Scheduler, clock: Clock, wakeWriter: () => void) {
    this.#words = new Int32Array(memory);
    this.#scheduler = scheduler;
    this.#clock = clock;
    this.#wakeWriter = wakeWriter;
  }

  /** A frame is received. What follows from it runs in this turn. */
  received(): void {
    this.#read = (this.#read + 1) | 0;
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#startedAt = this.#clock.now();
    this.#scheduler.soon(this.#finish);
  }

  /**
   * Returns for how many milliseconds this thread may leave its sockets unread: 0 unless it waits
   * for the next commit after a long delivery. What comes meanwhile is read, and sent to the
   * writer, together.
   */
  get pauseMs(): number {
    if (this.#isScheduled || this.#took < LONG_MS) return 0;
    return this.#clock.now() - this.#endedAt > 2 * this.#took ? 0 : Math.min(this.#took * PAUSE_SHARE, PAUSE_MS);
  }

  /**
   * The turn has ended. A writer that waits gets what comes of it, too: the sockets are read, and
   * their messages sent to it, first.
   */
  readonly #finish = (): void => {
    this.#endedAt = this.#clock.now();
    this.#took = this.#endedAt - this.#startedAt;
    Atomics.store(this.#words, TOOK, this.#took);
    if (Atomics.load(this.#words, AWAITED) === 0) this.#tell();
    else this.#scheduler.soon(() => this.#scheduler.soon(this.#tell));
  };

  readonly #tell = (): void => {
    this.#isScheduled = false;
    Atomics.store(this.#words, DONE, this.#read);
    if (Atomics.exchange(this.#words, AWAITED, 0) === 1) this.#wakeWriter();
  };
}

/** The writer's side. */
export class ProgressWatcher {
  readonly #words: Int32Array;
  #written = 0;

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory);
  }

  /** How many frames are written, modulo 2^32. */
  get written(): number {
    return this.#written;
  }

  wrote(): void {
    this.#written = (this.#written + 1) | 0;
  }

  /** Reports whether the reader has done with a frame, by `written` after it. */
  isDone(written: number): boolean {
    return ((Atomics.load(this.#words, DONE) - written) | 0) >= 0;
  }

  /** How long the reader took over the last frames that it has done with, in whole milliseconds. */
  get deliveryMs(): number {
    return Atomics.load(this.#words, TOOK);
  }

  /** Has the reader wake the writer when it has done with more. */
  await(): void {
    Atomics.store(this.#words, AWAITED, 1);
  }
}
