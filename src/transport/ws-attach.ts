import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Server as SecureServer } from 'node:https';
import type { Duplex } from 'node:stream';
import type { Application, ConnectionOptions, HttpRequest, HttpResponse, Transport } from './transport.ts';
import { WsConnections } from './ws.ts';
import { answerRequest, offerRequest, requestOf, writeResponse } from './ws-http.ts';
import { HttpStreams } from './ws-stream.ts';

/** Node's own HTTP server, with or without TLS. */
export type HttpServer = Server | SecureServer;

/**
 * Answers a plain request, as a listener of the event 'request' or as a middleware.
 *
 * @param next called instead for requests that the application does not serve, and with the error
 * of a failure. Without it they are answered with 404, 405 and 500.
 */
export type RequestHandler = (
  request: IncomingMessage,
  response: ServerResponse,
  next?: (error?: unknown) => void,
) => void;

export interface AttachOptions extends ConnectionOptions {
  /** Reports whether the application serves a handshake. Others are left to other listeners. */
  readonly accepts: (request: HttpRequest) => boolean;
}

/** The transport ws on the program's own HTTP server, which it neither starts nor closes. */
export interface Attachment extends Omit<Transport, 'listen'> {
  /** Answers the plain requests that the program passes on. */
  readonly handler: RequestHandler;
}

const STOPPED: HttpResponse = { status: 503, headers: {}, body: 'stopped\n' };

// A second attachment would answer each handshake again, and so break its connection.
const attached = new WeakSet<HttpServer>();

/**
 * Serves an application on a program's HTTP server.
 *
 * @throws Error with a one-line message if the server has an attachment already.
 */
export function attach(server: HttpServer, application: Application, options: AttachOptions): Attachment {
  if (attached.has(server)) throw new Error('server: has another Pumphouse attached; stop that one first');
  attached.add(server);
  return new ServerAttachment(server, application, options);
}

class ServerAttachment implements Attachment {
  readonly name = 'ws';
  readonly #server: HttpServer;
  readonly #application: Application;
  readonly #accepts: AttachOptions['accepts'];
  readonly #connections: WsConnections;
  readonly #streams: HttpStreams;
  #detached = false;

  constructor(server: HttpServer, application: Application, options: AttachOptions) {
    this.#server = server;
    this.#application = application;
    this.#accepts = options.accepts;
    this.#connections = new WsConnections(application, options);
    this.#streams = new HttpStreams(options.maxBackpressure);
    server.on('upgrade', this.#upgrade);
  }

  readonly handler: RequestHandler = (request, response, next) => {
    if (next && this.#detached) next();
    else if (next) void offerRequest(request, response, this.#application, this.#streams, next);
    else if (this.#detached) writeResponse(request, response, STOPPED);
    else void answerRequest(request, response, this.#application, this.#streams);
  };

  /** Does nothing: the certificate is the program's. */
  async renewCertificate(): Promise<void> {}

  /** Does nothing: the server is the program's. Meanwhile the application rejects handshakes. */
  stopListening(): void {}

  /** Resolves at once: the connections are the program's. */
  async finish(): Promise<void> {
    if (this.#detached) return;
    this.#detached = true;
    this.#server.off('upgrade', this.#upgrade);
    attached.delete(this.#server);
  }

  terminate(): void {
    this.#connections.terminate();
    this.#streams.terminate();
  }

  /** A handshake that no other listener can answer is rejected by the application. */
  readonly #upgrade = (request: IncomingMessage, tcp: Duplex, head: Buffer): void => {
    if (!this.#accepts(requestOf(request)) && this.#server.listenerCount('upgrade') > 1) return;
    this.#connections.upgrade(request, tcp, head);
  };
}
