import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { type ClientOptions, WebSocket } from 'ws';
import type { Close } from '../protocol/close-codes.ts';
import { type ClientMessage, type ServerMessage, SUBPROTOCOL } from '../protocol/v1.ts';
import { errorText } from './exchange.ts';
import { LATE, type Late, type Scope } from './scope.ts';
import type { Walk } from './walk.ts';
import { Watch } from './watch.ts';

const MAX_BODY = 4 * 1024;

/** A frame that arrived, with the time by `performance.now()`. */
export interface Received {
  readonly message: ServerMessage;
  readonly at: number;
}

/** The response to a handshake. */
export type Handshake =
  | { readonly kind: 'open'; readonly connection: Connection; readonly ms: number }
  /** A status other than 101. */
  | {
      readonly kind: 'rejected';
      readonly status: number;
      readonly headers: IncomingHttpHeaders;
      readonly body: string;
    }
  /** 101, with headers that do not belong to the handshake. */
  | { readonly kind: 'invalid'; readonly detail: string; readonly subprotocol: string | undefined }
  | { readonly kind: 'failed'; readonly detail: string };

/** A WebSocket that offers `pumphouse.v1`. It records what arrives. */
export class Connection {
  readonly received: Received[] = [];
  /** When each ping of the server arrived. */
  readonly pings: number[] = [];
  /** When each pong arrived. */
  readonly pongs: number[] = [];
  closed: (Close & { readonly at: number }) | undefined;
  readonly #socket: WebSocket;
  readonly #watch: Watch;

  constructor(socket: WebSocket, scope: Scope) {
    this.#socket = socket;
    this.#watch = new Watch(scope);
    socket.on('message', (data) => {
      for (const line of String(data).split('\n')) this.#receive(line);
      this.#watch.changed();
    });
    socket.on('ping', () => this.pings.push(performance.now()));
    socket.on('pong', () => {
      this.pongs.push(performance.now());
      this.#watch.changed();
    });
    socket.on('close', (code, reason) => {
      this.closed = { code, reason: String(reason), at: performance.now() };
      this.#watch.changed();
    });
  }

  send(message: ClientMessage | string): void {
    this.#socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  sendBinary(): void {
    this.#socket.send(Buffer.from([0]));
  }

  ping(): void {
    this.#socket.ping();
  }

  /** Waits until `find` returns a value, and at most `ms`. It looks at whatever arrives. */
  until<T>(find: () => T | undefined, ms?: number): Promise<T | Late> {
    return this.#watch.until(find, ms);
  }

  /** Returns the first message from the index on that `test` accepts. */
  find(test: (message: ServerMessage) => boolean, from = 0): Received | undefined {
    return this.received.slice(from).find(({ message }) => test(message));
  }

  #receive(line: string): void {
    try {
      this.received.push({ message: JSON.parse(line) as ServerMessage, at: performance.now() });
    } catch {
      // Only a server that is not Pumphouse sends such a line: the checks miss its messages.
    }
  }
}

/**
 * Opens a WebSocket, and resolves with the response to its handshake. The scope ends the
 * connection.
 *
 * @param origin of the page. @default a program, which has none
 */
export async function connect(walk: Walk, scope: Scope, origin?: string): Promise<Handshake> {
  const options: ClientOptions = {
    ...walk.connection,
    headers: { ...walk.authorization },
    perMessageDeflate: false,
    skipUTF8Validation: true,
    ...(origin !== undefined && { origin }),
  };
  const started = performance.now();
  const socket = new WebSocket(walk.target.wsUrl, [SUBPROTOCOL], options);
  const connection = new Connection(socket, scope);
  let upgraded: IncomingMessage | undefined;
  const handshake = new Promise<Handshake>((resolve) => {
    socket.once('upgrade', (response) => {
      upgraded = response;
      walk.observe(response.headers);
    });
    socket.once('open', () => resolve({ kind: 'open', connection, ms: performance.now() - started }));
    socket.once('unexpected-response', (_, response) => readRejection(walk, response).then(resolve));
    socket.on('error', (error) => {
      const detail = errorText(error);
      const subprotocol = upgraded?.headers['sec-websocket-protocol'];
      resolve(upgraded ? { kind: 'invalid', detail, subprotocol } : { kind: 'failed', detail });
    });
  });
  scope.defer(() => socket.terminate());
  const result = await scope.wait(handshake);
  return result === LATE ? { kind: 'failed', detail: 'no answer to the handshake in time' } : result;
}

function readRejection(walk: Walk, response: IncomingMessage): Promise<Handshake> {
  const { statusCode: status = 0, headers } = response;
  let body = '';
  return new Promise((resolve) => {
    const finish = () => {
      walk.observe(headers, body);
      response.destroy();
      resolve({ kind: 'rejected', status, headers, body });
    };
    response.setEncoding('utf8');
    response.on('data', (text: string) => {
      body += text;
      if (body.length > MAX_BODY) finish();
    });
    response.on('error', () => {});
    response.once('close', finish);
  });
}
