import type { Socket } from 'node:net';

/** Bytes that wait in one direction before the source is no longer read. */
const HIGH_WATER = 1 << 20;

interface Waiting {
  readonly bytes: Buffer;
  /** When it may leave, by `performance.now()`. */
  readonly due: number;
}

/**
 * One direction of a proxied connection: a queue of RESP values that leave in order, at their time,
 * unless they are held. A full queue stops the reading of the source, so that the peer's own
 * buffers fill.
 */
export class Lane {
  /** Milliseconds by which values are delayed. */
  delayMs = 0;
  readonly #source: Socket;
  readonly #target: Socket;
  readonly #queue: Waiting[] = [];
  #bytes = 0;
  #held = false;
  #ended = false;
  /** Bytes that may still pass before the connection is cut. */
  #allowance = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  constructor(source: Socket, target: Socket) {
    this.#source = source;
    this.#target = target;
    target.on('drain', () => this.#pump());
  }

  push(bytes: Buffer): void {
    this.#queue.push({ bytes, due: performance.now() + this.delayMs });
    this.#bytes += bytes.length;
    this.#pump();
  }

  /** Ends the target after what is queued, like the end of the source. A held end waits too. */
  end(): void {
    this.#ended = true;
    this.#pump();
  }

  hold(): void {
    this.#held = true;
  }

  release(): void {
    this.#held = false;
    this.#pump();
  }

  /** Lets so many further bytes pass, then cuts the connection in both directions. */
  cutAfter(bytes: number): void {
    this.#allowance = bytes;
  }

  /** Takes the values that have not left. */
  take(): Buffer {
    this.#bytes = 0;
    return Buffer.concat(this.#queue.splice(0).map(({ bytes }) => bytes));
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#queue.length = 0;
  }

  #pump(): void {
    clearTimeout(this.#timer);
    if (this.#target.destroyed) return;
    while (!this.#held && this.#queue.length > 0) {
      const wait = (this.#queue[0] as Waiting).due - performance.now();
      if (wait > 0) {
        this.#timer = setTimeout(() => this.#pump(), Math.ceil(wait));
        break;
      }
      if (this.#target.writableNeedDrain) break;
      const { bytes } = this.#queue.shift() as Waiting;
      this.#bytes -= bytes.length;
      this.#write(bytes);
    }
    if (this.#bytes > HIGH_WATER) this.#source.pause();
    else if (this.#source.isPaused()) this.#source.resume();
    if (this.#ended && !this.#held && this.#queue.length === 0) this.#target.end();
  }

  #write(bytes: Buffer): void {
    if (bytes.length < this.#allowance) {
      this.#allowance -= bytes.length;
      this.#target.write(bytes);
      return;
    }
    this.#target.write(bytes.subarray(0, this.#allowance), () => {
      this.#source.destroy();
      this.#target.destroy();
    });
    this.stop();
    this.#held = true;
  }
}
