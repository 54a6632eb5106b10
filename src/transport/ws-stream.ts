import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket as TcpSocket } from 'node:net';
import type { Close } from '../protocol/close-codes.ts';
import { COMMENT, closeEvent } from './event-stream.ts';
import { unmapIPv4 } from './remote-address.ts';
import { statusText } from './status-text.ts';
import {
  DROPPED,
  type HttpStream,
  QUEUED,
  SENT,
  type SendStatus,
  type Socket,
  type SocketListener,
} from './transport.ts';

const NO_BYTES = Buffer.alloc(0);
const CRLF = Buffer.from('\r\n');

// Time for a peer to read what is queued once the stream has ended.
const LINGER_MS = 10_000;

/** Opens streams on responses of Node's HTTP server, and holds those that are open. */
export class HttpStreams {
  readonly #maxBackpressure: number;
  readonly #streams = new Set<NodeStream>();

  constructor(maxBackpressure: number) {
    this.#maxBackpressure = maxBackpressure;
  }

  /** Does nothing if the client has disconnected, or the program has answered already. */
  open(request: IncomingMessage, response: ServerResponse, { headers, listener }: HttpStream): void {
    if (response.destroyed || response.headersSent) return;
    // Clients of HTTP/1.0 do not know chunks: there the end of the connection ends the stream.
    const chunked = request.httpVersion !== '1.0';
    const encoding = chunked ? { 'transfer-encoding': 'chunked' } : {};
    response.writeHead(200, statusText(200), { ...headers, ...encoding, connection: 'close' });
    response.flushHeaders();
    const stream = new NodeStream(request.socket, response, listener, chunked, this.#maxBackpressure);
    this.#streams.add(stream);
    response.on('close', () => this.#streams.delete(stream));
    listener.open(stream);
  }

  /** Cuts every open stream. */
  terminate(): void {
    for (const stream of this.#streams) stream.terminate();
  }
}

/**
 * A stream on a response of Node. It writes chunks to the connection itself: the response would
 * hold each one until the next tick, and so never report what the kernel accepts.
 */
class NodeStream implements Socket {
  readonly #tcp: TcpSocket;
  readonly #response: ServerResponse;
  readonly #listener: SocketListener;
  readonly #chunked: boolean;
  readonly #maxBackpressure: number;
  #awaitsDrain = false;
  #corked = false;
  #open = true;
  #closedWith: Close = { code: 1006, reason: '' };

  constructor(
    tcp: TcpSocket,
    response: ServerResponse,
    listener: SocketListener,
    chunked: boolean,
    maxBackpressure: number,
  ) {
    this.#tcp = tcp;
    this.#response = response;
    this.#listener = listener;
    this.#chunked = chunked;
    this.#maxBackpressure = maxBackpressure;
    tcp.setTimeout(0); // a program may have set one
    response.on('error', () => {});
    response.on('close', () => {
      this.#open = false;
      listener.close(this.#closedWith.code, this.#closedWith.reason);
    });
    this.#write(COMMENT);
  }

  send(frame: Uint8Array): SendStatus {
    if (!this.#open) return DROPPED;
    if (this.#tcp.writableLength > this.#maxBackpressure) {
      this.#awaitDrain();
      return DROPPED;
    }
    const corked = this.#corked && !this.#awaitsDrain;
    this.#write(frame);
    if (corked || this.#tcp.writableLength === 0) return SENT;
    this.#awaitDrain();
    return QUEUED;
  }

  ping(): void {
    if (!this.#awaitsDrain) this.send(COMMENT);
  }

  cork(work: () => void): void {
    this.#corked = true;
    this.#tcp.cork();
    work();
    this.#tcp.uncork();
    this.#corked = false;
    if (this.bufferedAmount > 0) this.#awaitDrain();
  }

  close(close: Close): void {
    if (!this.#open) return;
    if (close.code !== 1006 && this.#tcp.writableLength <= this.#maxBackpressure) this.#write(closeEvent(close));
    this.#open = false;
    this.#closedWith = close;
    if (close.code === 1006) {
      this.terminate();
      return;
    }
    this.#response.end();
    const linger = setTimeout(() => this.#tcp.destroy(), LINGER_MS).unref();
    this.#tcp.once('close', () => clearTimeout(linger));
  }

  terminate(): void {
    this.#tcp.destroy();
  }

  get bufferedAmount(): number {
    return this.#open ? this.#tcp.writableLength : 0;
  }

  get remoteAddress(): string {
    return unmapIPv4(this.#tcp.remoteAddress ?? '');
  }

  #write(bytes: Uint8Array): void {
    if (!this.#chunked) {
      this.#tcp.write(bytes);
      return;
    }
    this.#tcp.cork();
    this.#tcp.write(`${bytes.byteLength.toString(16)}\r\n`, 'latin1');
    this.#tcp.write(bytes);
    this.#tcp.write(CRLF);
    this.#tcp.uncork();
  }

  /** Reports a drain through an empty write, whose callback runs after all earlier writes. */
  #awaitDrain(): void {
    if (this.#awaitsDrain) return;
    this.#awaitsDrain = true;
    this.#tcp.write(NO_BYTES, (error) => {
      this.#awaitsDrain = false;
      if (!this.#open || error) return;
      if (this.#tcp.writableLength > 0) this.#awaitDrain();
      else this.#listener.drain();
    });
  }
}
