import type { Duplex } from 'node:stream';
import type { Close } from '../protocol/close-codes.ts';
import { DROPPED, QUEUED, SENT, type SendStatus, type Socket, type SocketListener } from './transport.ts';

const NO_BYTES = Buffer.alloc(0);

/** A socket on a connection of Node's own servers: reports what the kernel has accepted of it. */
export abstract class NodeSocket implements Socket {
  abstract readonly remoteAddress: string;
  protected readonly listener: SocketListener;
  /** It sends nothing any more once it is not. */
  protected isOpen = true;
  readonly #tcp: Duplex;
  readonly #maxBackpressure: number;
  #awaitsDrain = false;
  #corked = false;

  constructor(tcp: Duplex, listener: SocketListener, maxBackpressure: number) {
    this.#tcp = tcp;
    this.listener = listener;
    this.#maxBackpressure = maxBackpressure;
  }

  /** Writes a frame to the connection. */
  protected abstract write(frame: Uint8Array): void;
  abstract ping(payload: Uint8Array): void;
  abstract close(close: Close): void;
  abstract terminate(): void;

  send(frame: Uint8Array): SendStatus {
    if (!this.isOpen) return DROPPED;
    if (this.isFull) {
      this.#awaitDrain();
      return DROPPED;
    }
    const corked = this.#corked && !this.#awaitsDrain;
    this.write(frame);
    if (corked || this.#tcp.writableLength === 0) return SENT;
    this.#awaitDrain();
    return QUEUED;
  }

  cork(work: () => void): void {
    this.#corked = true;
    this.#tcp.cork();
    work();
    this.#tcp.uncork();
    this.#corked = false;
    if (this.bufferedAmount > 0) this.#awaitDrain();
  }

  get bufferedAmount(): number {
    return this.isOpen ? this.#tcp.writableLength : 0;
  }

  /** Whether more is queued than may be: nothing is added to it. */
  protected get isFull(): boolean {
    return this.#tcp.writableLength > this.#maxBackpressure;
  }

  /** Whether the kernel has not accepted all yet. */
  protected get awaitsDrain(): boolean {
    return this.#awaitsDrain;
  }

  /**
   * Reports a drain through an empty write, whose callback runs after all earlier writes. Node's
   * own 'drain' event comes only if the buffer exceeded the high-water mark.
   */
  #awaitDrain(): void {
    if (this.#awaitsDrain) return;
    this.#awaitsDrain = true;
    this.#tcp.write(NO_BYTES, (error) => {
      this.#awaitsDrain = false;
      if (!this.isOpen || error) return;
      if (this.#tcp.writableLength > 0) this.#awaitDrain();
      else this.listener.drain();
    });
  }
}
