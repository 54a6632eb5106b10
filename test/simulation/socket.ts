import type { Close } from '../../src/protocol/close-codes.ts';
import {
  DROPPED,
  QUEUED,
  SENT,
  type SendStatus,
  type Socket,
  type SocketListener,
} from '../../src/transport/transport.ts';

/** The behaviour of a simulated socket and its peer. */
export interface Behaviour {
  /** Bytes that the kernel buffers while the peer does not read. */
  readonly kernel: number;
  /** Bytes that the transport queues before it drops frames. */
  readonly backpressure: number;
  /** Whether the close handler runs inside `close`, as in uWebSockets.js, or later, as in ws. */
  readonly closesAtOnce: boolean;
  /** A planted fault: one in so many frames is lost, although `send` returns SENT. */
  readonly losesEvery?: number;
}

/**
 * A socket in memory. While the peer does not read, it fills the kernel's buffer, then its own
 * queue, then drops frames.
 */
export class SimulatedSocket implements Socket {
  readonly remoteAddress = 'simulated';
  /** The frames that the peer has received, in order. */
  readonly received: Uint8Array[] = [];
  /** Calls that break the contract of Socket. */
  readonly misuse: string[] = [];
  closedWith: Close | undefined;
  over = false;
  /** Is called with each frame that is sent. */
  sending: ((frame: Uint8Array) => void) | undefined;
  readonly #listener: SocketListener;
  readonly #behaviour: Behaviour;
  #reading = true;
  #inKernel: Uint8Array[] = [];
  #kernelBytes = 0;
  #queued: Uint8Array[] = [];
  #queuedBytes = 0;
  #owesDrain = false;
  #pings: Uint8Array[] = [];
  #frames = 0;

  constructor(listener: SocketListener, behaviour: Behaviour) {
    this.#listener = listener;
    this.#behaviour = behaviour;
  }

  get bufferedAmount(): number {
    return this.over ? 0 : this.#queuedBytes;
  }

  get stalled(): boolean {
    return !this.#reading;
  }

  send(frame: Uint8Array): SendStatus {
    if (this.over || this.closedWith) {
      this.misuse.push('send was called after close');
      return DROPPED;
    }
    this.sending?.(frame);
    this.#frames++;
    if (this.#behaviour.losesEvery && this.#frames % this.#behaviour.losesEvery === 0) return SENT;
    if (this.#queued.length === 0 && this.#kernelAccepts(frame)) return SENT;
    this.#owesDrain = true;
    if (this.#queuedBytes > this.#behaviour.backpressure) return DROPPED;
    this.#queued.push(frame);
    this.#queuedBytes += frame.byteLength;
    return QUEUED;
  }

  ping(payload: Uint8Array): void {
    if (this.over || this.closedWith) this.misuse.push('ping was called after close');
    this.#pings.push(payload);
  }

  cork(work: () => void): void {
    work();
  }

  close(close: Close): void {
    if (this.over || this.closedWith) {
      this.misuse.push('close was called twice');
      return;
    }
    this.closedWith = close;
    if (this.#behaviour.closesAtOnce) this.end(close.code);
  }

  /** The peer stops reading. */
  stall(): void {
    this.#reading = false;
  }

  /** The peer reads everything, and answers the pings. */
  read(): void {
    this.#reading = true;
    this.#kernelBytes = 0;
    this.received.push(...this.#inKernel.splice(0));
    while (this.#queued.length > 0) this.received.push(this.#queued.shift() as Uint8Array);
    this.#queuedBytes = 0;
    for (const ping of this.#pings.splice(0)) if (!this.over) this.#listener.pong(ping);
    if (this.#owesDrain && !this.over) {
      this.#owesDrain = false;
      this.#listener.drain();
    }
  }

  /** The peer reads one frame. */
  readSome(): void {
    const frame = this.#inKernel.shift();
    if (!frame) return;
    this.received.push(frame);
    this.#kernelBytes -= frame.byteLength;
    const next = this.#queued[0];
    if (next && this.#kernelAccepts(next)) {
      this.#queued.shift();
      this.#queuedBytes -= next.byteLength;
    }
    if (this.#queued.length === 0 && this.#owesDrain && !this.over) {
      this.#owesDrain = false;
      this.#listener.drain();
    }
  }

  /** Ends the connection. After a close frame the peer still receives the accepted frames. */
  end(code: number): void {
    if (this.over) return;
    this.over = true;
    const accepted = [...this.#inKernel.splice(0), ...this.#queued.splice(0)];
    if (this.closedWith && this.closedWith.code !== 1006) this.received.push(...accepted);
    this.#listener.close(code, '');
  }

  #kernelAccepts(frame: Uint8Array): boolean {
    if (this.#reading) {
      this.received.push(frame);
      return true;
    }
    if (this.#kernelBytes + frame.byteLength > this.#behaviour.kernel) return false;
    this.#inKernel.push(frame);
    this.#kernelBytes += frame.byteLength;
    return true;
  }
}
