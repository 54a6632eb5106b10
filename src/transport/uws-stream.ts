import type { Close } from '../protocol/close-codes.ts';
import { COMMENT, closeEvent } from './event-stream.ts';
import { unmapIPv4 } from './remote-address.ts';
import { DROPPED, QUEUED, SENT, type SendStatus, type Socket, type SocketListener } from './transport.ts';

/**
 * The methods of uWebSockets.js's response that a stream calls. After an abort, every call throws.
 */
export interface StreamResponse {
  cork(work: () => void): unknown;
  write(chunk: Uint8Array): boolean;
  onWritable(handler: (offset: number) => boolean): unknown;
  end(): unknown;
  close(): unknown;
  pause(): unknown;
  resume(): unknown;
  getRemoteAddressAsText(): ArrayBuffer;
}

/** The parts that all streams of a transport share. */
export interface StreamOptions {
  readonly maxBackpressure: number;
  readonly stalled: StalledStreams;
  /** Called for each stream that is closed with bytes still buffered. */
  readonly onSlowClose: () => void;
}

// An empty line between two events: readers ignore it. The status of its write tells whether
// everything before it is written, since uWebSockets.js does not report what it buffers.
const PROBE = Buffer.from('\n');

// uWebSockets.js cuts a response whose writes fail for 8 to 12 seconds.
const REARM_MS = 4_000;

/**
 * Keeps uWebSockets.js from cutting the streams whose peers accept nothing: how long they may do so
 * is for the application to decide.
 */
export class StalledStreams {
  readonly #responses = new Set<StreamResponse>();
  #timer: NodeJS.Timeout | undefined;

  add(response: StreamResponse): void {
    this.#responses.add(response);
    this.#timer ??= setInterval(() => this.#rearm(), REARM_MS).unref();
  }

  remove(response: StreamResponse): void {
    this.#responses.delete(response);
    if (this.#responses.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Resuming a response starts its timeout again. */
  #rearm(): void {
    for (const response of this.#responses) {
      response.pause();
      response.resume();
    }
  }
}

/**
 * A stream on a response of uWebSockets.js. Each write is corked: otherwise each part of a chunk
 * would be a system call. The status of a corked write below 16 KiB is not reported, so the first
 * such frame that the kernel does not accept counts as SENT; the next one is QUEUED.
 */
export class UwsStream implements Socket {
  /** The write in progress: the callbacks for `cork` are shared by all streams. */
  static #target: StreamResponse;
  static #bytes: Uint8Array;
  static #accepted = true;
  static readonly #writeBytes = () => {
    UwsStream.#accepted = UwsStream.#target.write(UwsStream.#bytes);
  };

  /** Undefined once it is closed, since every later call on it throws. */
  #response: StreamResponse | undefined;
  readonly #listener: SocketListener;
  readonly #options: StreamOptions;
  /** At most so many bytes are buffered. 0 if no frame has been QUEUED since the last drain. */
  #buffered = 0;
  #corked = false;

  /** @param response has its status and headers. */
  constructor(response: StreamResponse, listener: SocketListener, options: StreamOptions) {
    this.#response = response;
    this.#listener = listener;
    this.#options = options;
    response.onWritable(() => this.#onWritable());
    response.write(COMMENT);
  }

  send(frame: Uint8Array): SendStatus {
    const response = this.#response;
    if (response === undefined || this.#buffered > this.#options.maxBackpressure) return DROPPED;
    if (this.#write(response, frame)) return SENT;
    if (this.#buffered === 0) this.#options.stalled.add(response);
    this.#buffered += frame.byteLength;
    return this.#corked ? SENT : QUEUED;
  }

  ping(): void {
    if (this.#buffered === 0) this.send(COMMENT);
  }

  cork(work: () => void): void {
    this.#corked = true;
    if (this.#response) this.#response.cork(work);
    else work();
    this.#corked = false;
  }

  close(close: Close): void {
    const response = this.#response;
    if (response === undefined) return;
    if (close.code === 1006) {
      response.close(); // calls `aborted`
      return;
    }
    this.#release(response);
    if (this.#buffered > 0) this.#options.onSlowClose();
    response.cork(() => {
      if (this.#buffered <= this.#options.maxBackpressure) response.write(closeEvent(close));
      response.end();
    });
    this.#listener.close(close.code, close.reason);
  }

  /** The connection is closed. */
  aborted(): void {
    if (this.#response === undefined) return;
    this.#release(this.#response);
    this.#listener.close(1006, '');
  }

  get bufferedAmount(): number {
    return this.#response ? this.#buffered : 0;
  }

  get remoteAddress(): string {
    return this.#response ? unmapIPv4(Buffer.from(this.#response.getRemoteAddressAsText()).toString()) : '';
  }

  /** @returns whether nothing is buffered, as far as uWebSockets.js reports it. */
  #write(response: StreamResponse, bytes: Uint8Array): boolean {
    UwsStream.#target = response;
    UwsStream.#bytes = bytes;
    if (this.#corked) UwsStream.#writeBytes();
    else response.cork(UwsStream.#writeBytes);
    return UwsStream.#accepted;
  }

  /** Where there is a handler, uWebSockets.js writes its buffer only ahead of the next write. */
  #onWritable(): boolean {
    const response = this.#response;
    if (response === undefined) return true;
    const waited = this.#buffered > 0;
    if (!this.#write(response, PROBE)) {
      if (!waited) this.#options.stalled.add(response);
      this.#buffered = Math.max(1, this.#buffered - 1); // some of it is written
    } else if (waited) {
      this.#buffered = 0;
      this.#options.stalled.remove(response);
      this.#listener.drain();
    }
    return true;
  }

  #release(response: StreamResponse): void {
    this.#response = undefined;
    this.#options.stalled.remove(response);
  }
}
