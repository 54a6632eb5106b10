import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer, type Server as SecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Close } from '../protocol/close-codes.ts';
import { decideHandshake, INTERNAL_ERROR } from './application.ts';
import { truncateReason } from './close-reason.ts';
import { MAX_HEADER_BYTES } from './error-page.ts';
import { NodeSocket } from './node-socket.ts';
import { readTls, type TlsFiles } from './tls.ts';
import type {
  Application,
  ConnectionOptions,
  HttpResponse,
  SocketListener,
  Transport,
  TransportFactory,
  TransportOptions,
  Upgrade,
} from './transport.ts';
import { isUpgrade } from './transport.ts';
import { answerRequest, rejectHandshake, rejectUnreadable, remoteAddressOf, requestOf } from './ws-http.ts';
import { HttpStreams } from './ws-stream.ts';

const TEXT = { binary: false, compress: false, fin: true };

// Time for a client to send its whole request.
const REQUEST_TIMEOUT_MS = 10_000;
const CHECK_REQUESTS_EVERY_MS = 2_000;

// Time for a peer to read what is queued and answer a close frame. The typings of ws lack the
// option.
const closeTimeout = { closeTimeout: 10_000 };

/** The transport on the package ws and Node's own HTTP server. It runs wherever Node does. */
export const wsTransport: TransportFactory = (application, options) => new WsTransport(application, options);

class WsSocket extends NodeSocket {
  readonly remoteAddress: string;
  readonly #ws: WebSocket;

  constructor(ws: WebSocket, tcp: Duplex, listener: SocketListener, maxBackpressure: number, remoteAddress: string) {
    super(tcp, listener, maxBackpressure);
    this.#ws = ws;
    this.remoteAddress = remoteAddress;
    ws.on('message', (data, binary) => {
      if (this.isOpen) listener.message(data as Buffer, binary);
    });
    ws.on('pong', (payload) => {
      if (this.isOpen) listener.pong(payload);
    });
    // After a protocol error of the peer, ws closes the connection itself with the right code.
    ws.on('error', () => {});
    ws.on('close', (code, reason) => {
      this.isOpen = false;
      listener.close(code, reason.toString());
    });
  }

  ping(payload: Uint8Array): void {
    if (this.isOpen) this.#ws.ping(payload);
  }

  close({ code, reason }: Close): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    if (code === 1006) this.#ws.terminate();
    else if (code === 1005) this.#ws.close();
    else this.#ws.close(code, truncateReason(reason));
  }

  terminate(): void {
    this.#ws.terminate();
  }

  protected write(frame: Uint8Array): void {
    this.#ws.send(frame, TEXT);
  }
}

/** Completes the handshakes of an HTTP server, and holds their open sockets. */
export class WsConnections {
  readonly #application: Application;
  readonly #maxBackpressure: number;
  readonly #wss: WebSocketServer;
  readonly #sockets = new Set<WsSocket>();
  /** The subprotocol of the handshake in progress, read by `handleProtocols`. */
  #protocol = '';

  constructor(application: Application, { maxPayload, maxBackpressure }: ConnectionOptions) {
    this.#application = application;
    this.#maxBackpressure = maxBackpressure;
    this.#wss = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload,
      handleProtocols: () => this.#protocol || false,
      ...closeTimeout,
    });
  }

  /** Answers a handshake, by the arguments of the event 'upgrade'. */
  upgrade(request: IncomingMessage, tcp: Duplex, head: Buffer): void {
    tcp.on('error', () => tcp.destroy());
    const answer = (decision: Upgrade | HttpResponse) => this.#answerHandshake(decision, request, tcp, head);
    const decision = decideHandshake(this.#application, requestOf(request));
    if (decision instanceof Promise) decision.then(answer, () => answer(INTERNAL_ERROR));
    else answer(decision);
  }

  /** Cuts every open socket without a close frame. */
  terminate(): void {
    for (const socket of this.#sockets) socket.terminate();
  }

  #answerHandshake(decision: Upgrade | HttpResponse, request: IncomingMessage, tcp: Duplex, head: Buffer): void {
    if (tcp.destroyed) return;
    if (!isUpgrade(decision)) {
      rejectHandshake(tcp, decision);
      return;
    }
    const { listener, protocol } = decision;
    this.#protocol = protocol;
    this.#wss.handleUpgrade(request, tcp, head, (ws) => {
      const socket = new WsSocket(ws, tcp, listener, this.#maxBackpressure, remoteAddressOf(request));
      this.#sockets.add(socket);
      ws.on('close', () => this.#sockets.delete(socket));
      listener.open(socket);
    });
  }
}

class WsTransport implements Transport {
  readonly name = 'ws';
  readonly #tls: TlsFiles | undefined;
  readonly #server: Server | SecureServer;
  readonly #connections: WsConnections;

  constructor(application: Application, options: TransportOptions) {
    this.#tls = options.tls;
    this.#connections = new WsConnections(application, options);
    const limits = {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: REQUEST_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: CHECK_REQUESTS_EVERY_MS,
    };
    const streams = new HttpStreams(options.maxBackpressure);
    const answer = (request: IncomingMessage, response: ServerResponse) => {
      void answerRequest(request, response, application, streams);
    };
    this.#server = options.tls
      ? createSecureServer({ ...limits, ...readTls(options.tls) }, answer)
      : createServer(limits, answer);
    this.#server.on('clientError', rejectUnreadable);
    this.#server.on('upgrade', (request, tcp, head) => this.#connections.upgrade(request, tcp, head));
  }

  listen(host: string, port: number, shared = false): Promise<number> {
    // The typings of Node 20 lack the option, which came with Node 22.12.
    const sharing: object = shared ? { reusePort: true } : {};
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port, exclusive: true, ...sharing }, () => {
        this.#server.off('error', reject);
        this.#server.on('error', () => {}); // such as EMFILE on accept: open connections stay
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  async renewCertificate(): Promise<void> {
    if (this.#tls) (this.#server as SecureServer).setSecureContext(readTls(this.#tls));
  }

  stopListening(): void {
    this.#server.close();
    this.#server.closeIdleConnections();
  }

  finish(): Promise<void> {
    this.#server.closeIdleConnections();
    // The callback comes after the last connection, with an error if the server has closed before.
    return new Promise((resolve) => void this.#server.close(() => resolve()));
  }

  terminate(): void {
    this.stopListening();
    this.#server.closeAllConnections();
    this.#connections.terminate();
  }
}
