import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket as TcpSocket } from 'node:net';
import type { Close } from '../protocol/close-codes.ts';
import { COMMENT, closeEvent } from './event-stream.ts';
import { NodeSocket } from './node-socket.ts';
import { unmapIPv4 } from './remote-address.ts';
import { statusText } from './status-text.ts';
import type { HttpStream, SocketListener } from './transport.ts';

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
class NodeStream extends NodeSocket {
  readonly #tcp: TcpSocket;
  readonly #response: ServerResponse;
  readonly #chunked: boolean;
  #closedWith: Close = { code: 1006, reason: '' };

  constructor(
    tcp: TcpSocket,
    response: ServerResponse,
    listener: SocketListener,
    chunked: boolean,
    maxBackpressure: number,
  ) {
    super(tcp, listener, maxBackpressure);
    this.#tcp = tcp;
    this.#response = response;
    this.#chunked = chunked;
    tcp.setTimeout(0); // a program may have set one
    response.on('error', () => {});
    response.on('close', () => {
      this.isOpen = false;
      listener.close(this.#closedWith.code, this.#closedWith.reason);
    });
    this.write(COMMENT);
  }

  ping(): void {
    if (!this.awaitsDrain) this.send(COMMENT);
  }

  close(close: Close): void {
    if (!this.isOpen) return;
    if (close.code !== 1006 && !this.isFull) this.write(closeEvent(close));
    this.isOpen = false;
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

  get remoteAddress(): string {
    return unmapIPv4(this.#tcp.remoteAddress ?? '');
  }

  protected write(bytes: Uint8Array): void {
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
}
