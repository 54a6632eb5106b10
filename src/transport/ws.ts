import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import { createServer as createSecureServer, type Server as SecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Close } from '../protocol/close-codes.ts';
import { clipReason, plainAddress } from './close-reason.ts';
import { readTls } from './tls.ts';
import type {
  Application,
  HttpRequest,
  HttpResponse,
  SendStatus,
  Socket,
  SocketListener,
  Transport,
  TransportFactory,
  TransportOptions,
  Upgrade,
} from './transport.ts';
import { DROPPED, QUEUED, SENT } from './transport.ts';

const TEXT = { binary: false, compress: false, fin: true };
const NOTHING = Buffer.alloc(0);

// Who has not sent its request after this long is cut; who takes no close frame too.
const REQUEST_TIMEOUT = 10_000;
const closeTimeout = { closeTimeout: 10_000 }; // an option that the typings do not know yet

/** The transport on `ws` and Node's own HTTP server: it runs wherever Node does. */
export const wsTransport: TransportFactory = (application, options) => new WsTransport(application, options);

class WsSocket implements Socket {
  readonly #ws: WebSocket;
  readonly #tcp: Duplex;
  readonly #listener: SocketListener;
  readonly #maxBackpressure: number;
  readonly remoteAddress: string;
  #awaitsDrain = false;
  #corked = false;
  #open = true;

  constructor(ws: WebSocket, tcp: Duplex, listener: SocketListener, maxBackpressure: number, remoteAddress: string) {
    this.#ws = ws;
    this.#tcp = tcp;
    this.#listener = listener;
    this.#maxBackpressure = maxBackpressure;
    this.remoteAddress = remoteAddress;
    ws.on('message', (data, binary) => {
      if (this.#open) listener.message(data as Buffer, binary);
    });
    ws.on('pong', (payload) => {
      if (this.#open) listener.pong(payload);
    });
    // ws closes the connection itself, with the code for what the peer did wrong.
    ws.on('error', () => {});
    ws.on('close', (code, reason) => {
      this.#open = false;
      listener.close(code, reason.toString());
    });
  }

  send(frame: Uint8Array): SendStatus {
    if (!this.#open) return DROPPED;
    if (this.#tcp.writableLength > this.#maxBackpressure) {
      this.#awaitDrain();
      return DROPPED;
    }
    const corked = this.#corked && !this.#awaitsDrain;
    this.#ws.send(frame, TEXT);
    if (corked || this.#tcp.writableLength === 0) return SENT;
    this.#awaitDrain();
    return QUEUED;
  }

  ping(payload: Uint8Array): void {
    if (this.#open) this.#ws.ping(payload);
  }

  cork(work: () => void): void {
    this.#corked = true;
    this.#tcp.cork();
    work();
    this.#tcp.uncork();
    this.#corked = false;
    if (this.bufferedAmount > 0) this.#awaitDrain();
  }

  close({ code, reason }: Close): void {
    if (!this.#open) return;
    this.#open = false;
    if (code === 1006) this.#ws.terminate();
    else if (code === 1005) this.#ws.close();
    else this.#ws.close(code, clipReason(reason));
  }

  terminate(): void {
    this.#ws.terminate();
  }

  get bufferedAmount(): number {
    return this.#open ? this.#tcp.writableLength : 0;
  }

  /** Node tells of a drain only past its own mark, but of each write in order: one of nothing comes last. */
  #awaitDrain(): void {
    if (this.#awaitsDrain) return;
    this.#awaitsDrain = true;
    this.#tcp.write(NOTHING, (error) => {
      this.#awaitsDrain = false;
      if (!this.#open || error) return;
      if (this.#tcp.writableLength > 0) this.#awaitDrain();
      else this.#listener.drain();
    });
  }
}

class WsTransport implements Transport {
  readonly name = 'ws';
  readonly #application: Application;
  readonly #options: TransportOptions;
  readonly #server: Server | SecureServer;
  readonly #wss: WebSocketServer;
  readonly #sockets = new Set<WsSocket>();
  /** The subprotocol of the handshake that is being answered. */
  #protocol = '';

  constructor(application: Application, options: TransportOptions) {
    this.#application = application;
    this.#options = options;
    this.#wss = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: options.maxPayload,
      handleProtocols: () => this.#protocol || false,
      ...closeTimeout,
    });
    const timeouts = {
      headersTimeout: REQUEST_TIMEOUT,
      requestTimeout: REQUEST_TIMEOUT,
      connectionsCheckingInterval: 2_000,
    };
    const answer = (request: IncomingMessage, response: ServerResponse) => void this.#answer(request, response);
    this.#server = options.tls
      ? createSecureServer({ ...timeouts, ...readTls(options.tls) }, answer)
      : createServer(timeouts, answer);
    this.#server.on('upgrade', (request, tcp, head) => this.#upgrade(request, tcp, head));
  }

  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port, exclusive: true }, () => {
        this.#server.off('error', reject);
        this.#server.on('error', () => {}); // such as no file descriptor left to accept with: those who are here stay
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  async renewCertificate(): Promise<void> {
    if (this.#options.tls) (this.#server as SecureServer).setSecureContext(readTls(this.#options.tls));
  }

  stopListening(): void {
    this.#server.close();
    this.#server.closeIdleConnections();
  }

  finish(): void {
    this.#server.closeIdleConnections();
  }

  terminate(): void {
    this.stopListening();
    this.#server.closeAllConnections();
    for (const socket of this.#sockets) socket.terminate();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let answer = FAILED;
    try {
      const answered = this.#application.handle(requestOf(request));
      request.resume(); // a body that is not wanted must be read for the next request to follow
      answer = await answered;
    } catch {}
    if (response.destroyed) return;
    response.writeHead(answer.status, { ...answer.headers, 'content-length': Buffer.byteLength(answer.body) });
    response.end(request.method === 'HEAD' ? undefined : answer.body);
  }

  #upgrade(request: IncomingMessage, tcp: Duplex, head: Buffer): void {
    tcp.on('error', () => tcp.destroy());
    const accepted = this.#decide(request);
    const goOn = (known: Upgrade | HttpResponse) => this.#goOn(known, request, tcp, head);
    if (accepted instanceof Promise) accepted.then(goOn, () => goOn(FAILED));
    else goOn(accepted);
  }

  #goOn(accepted: Upgrade | HttpResponse, request: IncomingMessage, tcp: Duplex, head: Buffer): void {
    if (tcp.destroyed) return;
    if ('status' in accepted) {
      refuse(tcp, accepted);
      return;
    }
    this.#protocol = accepted.protocol;
    this.#wss.handleUpgrade(request, tcp, head, (ws) => {
      const address = plainAddress(request.socket.remoteAddress ?? '');
      const socket = new WsSocket(ws, tcp, accepted.listener, this.#options.maxBackpressure, address);
      this.#sockets.add(socket);
      ws.on('close', () => this.#sockets.delete(socket));
      accepted.listener.open(socket);
    });
  }

  #decide(request: IncomingMessage) {
    try {
      return this.#application.upgrade(requestOf(request));
    } catch {
      return FAILED;
    }
  }
}

const FAILED: HttpResponse = { status: 500, headers: {}, body: 'Internal Server Error\n' };

function refuse(tcp: Duplex, { status, headers, body }: HttpResponse): void {
  const all = { connection: 'close', ...headers, 'content-length': `${Buffer.byteLength(body)}` };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  tcp.write(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('')}\r\n`);
  tcp.end(body);
}

function textOf(header: string | string[] | undefined): string {
  return Array.isArray(header) ? header.join(', ') : (header ?? '');
}

function bodyOf(request: IncomingMessage, most: number): Promise<Uint8Array | undefined> {
  const whole = new Promise<Uint8Array | undefined>((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    request.on('data', (chunk: Buffer) => {
      length += chunk.byteLength;
      if (length > most) resolve(undefined);
      else chunks.push(chunk);
    });
    request.on('end', () => resolve(Buffer.concat(chunks)));
    request.on('close', () => reject(new Error('the client has gone'))); // also after the end, then without effect
  });
  whole.catch(() => {}); // who asked may have lost interest
  return whole;
}

function requestOf(request: IncomingMessage): HttpRequest {
  const [path = '', ...query] = (request.url ?? '').split('?');
  return {
    method: request.method ?? '',
    path,
    query: query.join('?'),
    remoteAddress: plainAddress(request.socket.remoteAddress ?? ''),
    header: (name) => textOf(request.headers[name]),
    body: (most) => bodyOf(request, most),
    get headers() {
      return Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, textOf(value)]));
    },
  };
}
