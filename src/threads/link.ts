import { type Clock, type Scheduler, systemClock } from '../hub/time.ts';
import { Calls } from './calls.ts';
import type { Port } from './port.ts';
import { createProgress, ProgressReader, ProgressWatcher } from './progress.ts';
import { createRing, RingReader, RingWriter } from './ring.ts';

/** The rings between a worker and the log thread. */
export interface Rings {
  /** From the worker to the log thread. */
  readonly up: SharedArrayBuffer;
  readonly down: SharedArrayBuffer;
  /** How far the worker is with what comes down. */
  readonly progress: SharedArrayBuffer;
}

const MiB = 1024 * 1024;

/** @param bytes a power of two. */
export function createRings(bytes: number = 8 * MiB): Rings {
  return { up: createRing(bytes), down: createRing(bytes), progress: createProgress() };
}

/** Receives what the other thread sends through its ring. */
export interface LinkListener {
  /** A frame, whose bytes are valid only during the call. */
  received(buffer: Buffer, start: number, end: number): void;
  /** There may be room in this thread's ring again. */
  writable(): void;
  /** The other thread has woken this one, and what it had sent is received. */
  woken?(): void;
}

// A message on the port other than calls: there is something to read, or room to write.
const WAKE = 0;

// Read in one turn at most: as much as a Hub takes in one.
const TURN_BYTES = MiB;

/** One end of what connects a worker to the log thread: a ring in each direction, and calls. */
class Link<Remote extends object, Local extends object> {
  readonly calls: Calls<Remote, Local>;
  readonly #writer: RingWriter;
  readonly #reader: RingReader;
  readonly #scheduler: Scheduler;
  #listener: LinkListener | undefined;
  /** A later turn reads on. */
  #readsOn = false;

  /**
   * @param out the ring that this thread writes.
   *
   * @param inward the ring that it reads.
   */
  constructor(port: Port, out: SharedArrayBuffer, inward: SharedArrayBuffer, scheduler: Scheduler) {
    const wake = () => port.post(WAKE);
    this.#writer = new RingWriter(out, wake);
    this.#reader = new RingReader(inward, wake);
    this.#scheduler = scheduler;
    this.calls = new Calls(port, () => this.#woken());
  }

  /** Length of the longest frame that can be written. */
  get maxFrame(): number {
    return this.#writer.maxFrame;
  }

  /** Starts to receive. */
  listen(listener: LinkListener): void {
    this.#listener = listener;
    this.#read();
  }

  /** Writes a frame. @returns false when the ring is full: `writable` is called later. */
  write(frame: Buffer, length: number): boolean {
    return this.#writer.write(frame, length);
  }

  /** Blocks this thread for a time, or until the other thread sends something. */
  protected pause(ms: number): void {
    this.#reader.pause(ms);
  }

  #woken(): void {
    this.#listener?.writable();
    this.#read();
    this.#listener?.woken?.();
  }

  readonly #read = (): void => {
    const listener = this.#listener;
    if (listener === undefined || this.#readsOn) return;
    this.#readsOn = this.#reader.drain((buffer, start, end) => listener.received(buffer, start, end), TURN_BYTES);
    if (this.#readsOn) this.#scheduler.soon(this.#readLater);
  };

  readonly #readLater = (): void => {
    this.#readsOn = false;
    this.#read();
  };
}

/** The worker's end. */
export class WorkerLink<Remote extends object, Local extends object> extends Link<Remote, Local> {
  readonly #progress: ProgressReader;
  /** A pause follows the turn. */
  #pauses = false;

  constructor(port: Port, { up, down, progress }: Rings, scheduler: Scheduler, clock: Clock = systemClock) {
    super(port, up, down, scheduler);
    this.#progress = new ProgressReader(progress, scheduler, clock, () => port.post(WAKE));
  }

  override listen(listener: LinkListener): void {
    super.listen({
      received: (buffer, start, end) => {
        listener.received(buffer, start, end);
        this.#progress.received();
      },
      writable: () => listener.writable(),
    });
  }

  /** Members of a busy room answer a commit one by one. Each would cost a turn of both threads. */
  override write(frame: Buffer, length: number): boolean {
    const isWritten = super.write(frame, length);
    if (isWritten && !this.#pauses && this.#progress.pauseMs > 0) {
      this.#pauses = true;
      queueMicrotask(this.#pauseNow);
    }
    return isWritten;
  }

  readonly #pauseNow = (): void => {
    this.#pauses = false;
    const ms = this.#progress.pauseMs;
    if (ms > 0) this.pause(ms);
  };
}

/** The log thread's end. */
export class LogLink<Remote extends object, Local extends object> extends Link<Remote, Local> {
  readonly progress: ProgressWatcher;

  constructor(port: Port, { up, down, progress }: Rings, scheduler: Scheduler) {
    super(port, down, up, scheduler);
    this.progress = new ProgressWatcher(progress);
  }

  override write(frame: Buffer, length: number): boolean {
    const isWritten = super.write(frame, length);
    if (isWritten) this.progress.wrote();
    return isWritten;
  }
}
