import type * as UWS from 'uWebSockets.js';
import { STATUS_CODES } from 'node:http';
import { createRequire } from 'node:module';
import type { Close } from '../protocol/close-codes.ts';
import { clipReason, plainAddress } from './close-reason.ts';
import { probe } from './free-port.ts';
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
} from './transport.ts';
import { DROPPED } from './transport.ts';
import { chooseUws, glibcVersion } from './uws-release.ts';

/** Loads uWebSockets.js. @returns its transport, or why it cannot be had here. */
export function loadUws(): { readonly factory: TransportFactory } | { readonly unavailable: string } {
  const choice = chooseUws(process.platform, Number(process.versions.node.split('.')[0]), glibcVersion());
  if ('unavailable' in choice) return choice;
  try {
    const uws = createRequire(import.meta.url)(choice.alias) as typeof UWS;
    return { factory: (application, options) => new UwsTransport(uws, application, options) };
  } catch (error) {
    return { unavailable: `its binary does not load: ${(error as Error).message.split('\n')[0]}` };
  }
}

const LAST_WORDS_MS = 250;
const SLOW_LAST_WORDS_MS = 4_000;

// uWebSockets.js lets go of who was sent away and takes nothing, after so long at the latest.
const LINGER_MS = 16_000;

// Longer than any wire's pongWait, so that it never ends a client. With 0 a socket that was sent away while it took nothing is
// cut off at the next sweep of four seconds, and its close frame with it.
const IDLE_SECONDS = 120;

/** What uWebSockets.js keeps with each socket: it copies these onto its own object. */
interface Connection {
  readonly listener: SocketListener;
  socket: UwsSocket | undefined;
}

type Ws = UWS.WebSocket<Connection>;

/** When, by `performance.now()`, a socket was last sent away that had not taken all it was sent: it lives on for some seconds. */
interface Leaving {
  slowlyAt: number;
}

class UwsSocket implements Socket {
  /** Any call on a socket after its close handler throws: from then on this is undefined. */
  ws: Ws | undefined;
  readonly #leaving: Leaving;

  constructor(ws: Ws, leaving: Leaving) {
    this.ws = ws;
    this.#leaving = leaving;
  }

  send(frame: Uint8Array): SendStatus {
    return this.ws === undefined ? DROPPED : (this.ws.send(frame, false, false) as SendStatus);
  }

  ping(payload: Uint8Array): void {
    this.ws?.ping(payload);
  }

  cork(work: () => void): void {
    if (this.ws) this.ws.cork(work);
    else work();
  }

  /** The close handler runs inside `end` and `close`, so the socket is dead before either is called. */
  close({ code, reason }: Close): void {
    const { ws } = this;
    if (ws !== undefined && ws.getBufferedAmount() > 0) this.#leaving.slowlyAt = performance.now();
    this.ws = undefined;
    if (code === 1006) ws?.close();
    else if (code === 1005) ws?.end(0);
    else ws?.end(code, clipReason(reason));
  }

  get bufferedAmount(): number {
    return this.ws?.getBufferedAmount() ?? 0;
  }

  get remoteAddress(): string {
    return this.ws ? plainAddress(Buffer.from(this.ws.getRemoteAddressAsText()).toString()) : '';
  }
}

class UwsTransport implements Transport {
  readonly name = 'uws';
  readonly #uws: typeof UWS;
  readonly #application: Application;
  readonly #options: TransportOptions;
  readonly #leaving: Leaving = { slowlyAt: Number.NEGATIVE_INFINITY };
  /** The newest takes connections; those before it have an older certificate, and keep theirs. */
  readonly #apps: UWS.TemplatedApp[] = [];
  #listening: UWS.us_listen_socket | undefined;
  #place: { readonly host: string; readonly port: number } | undefined;

  constructor(uws: typeof UWS, application: Application, options: TransportOptions) {
    this.#uws = uws;
    this.#application = application;
    this.#options = options;
  }

  async listen(host: string, port: number): Promise<number> {
    const app = this.#createApp();
    const free = await probe(host, port);
    this.#listening = await this.#listenWith(app, host, free);
    this.#place = { host, port: free };
    return free;
  }

  /** Its apps have one certificate for their life: another one takes over the port, which uWebSockets.js shares. */
  async renewCertificate(): Promise<void> {
    if (!this.#options.tls || !this.#place || !this.#listening) return;
    const app = this.#createApp();
    const old = this.#listening;
    this.#listening = await this.#listenWith(app, this.#place.host, this.#place.port);
    this.#uws.us_listen_socket_close(old);
  }

  #createApp(): UWS.TemplatedApp {
    const { tls } = this.#options;
    if (tls) readTls(tls);
    const app = tls ? this.#uws.SSLApp({ cert_file_name: tls.cert, key_file_name: tls.key }) : this.#uws.App();
    app.ws<Connection>('/*', behaviour(this.#uws, this.#application, this.#options, this.#leaving));
    app.any('/*', (res, req) => answer(res, req, this.#application));
    this.#apps.push(app);
    return app;
  }

  #listenWith(app: UWS.TemplatedApp, host: string, port: number): Promise<UWS.us_listen_socket> {
    return new Promise((resolve, reject) => {
      app.listen(host, port, (socket) => {
        if (socket) resolve(socket);
        else reject(Object.assign(new Error(`cannot listen on ${host}:${port}`), { code: 'EADDRNOTAVAIL' }));
      });
    });
  }

  stopListening(): void {
    if (this.#listening) this.#uws.us_listen_socket_close(this.#listening);
    this.#listening = undefined;
  }

  /** Not at once: who is still sending would lose its close frame with the connection. */
  finish(): void {
    const someoneIsSlow = performance.now() - this.#leaving.slowlyAt < LINGER_MS;
    setTimeout(() => this.terminate(), someoneIsSlow ? SLOW_LAST_WORDS_MS : LAST_WORDS_MS);
  }

  terminate(): void {
    this.#listening = undefined;
    for (const app of this.#apps) app.close();
  }
}

function behaviour(
  uws: typeof UWS,
  application: Application,
  options: TransportOptions,
  leaving: Leaving,
): UWS.WebSocketBehavior<Connection> {
  return {
    maxPayloadLength: options.maxPayload,
    maxBackpressure: options.maxBackpressure,
    closeOnBackpressureLimit: false,
    compression: uws.DISABLED,
    // Both are reset by any inbound data, so they are no pong deadline: the keepalive has its own.
    idleTimeout: IDLE_SECONDS,
    sendPingsAutomatically: false,
    maxLifetime: 0,
    upgrade(res, req, context) {
      const key = req.getHeader('sec-websocket-key');
      const head = req.getMethod() === 'head';
      const accepted = decide(application, requestOf(res, req));
      finish(res, new Exchange(res), accepted, (accepted) => {
        if ('status' in accepted) return write(res, head, accepted);
        res.upgrade<Connection>(
          { listener: accepted.listener, socket: undefined },
          key,
          accepted.protocol,
          '',
          context,
        );
      });
    },
    open(ws) {
      const connection = ws.getUserData();
      connection.socket = new UwsSocket(ws, leaving);
      connection.listener.open(connection.socket);
    },
    message(ws, data, binary) {
      ws.getUserData().listener.message(Buffer.from(data), binary);
    },
    pong(ws, payload) {
      ws.getUserData().listener.pong(Buffer.from(payload));
    },
    drain(ws) {
      // It is called whenever something left, also when something is left.
      if (ws.getBufferedAmount() === 0) ws.getUserData().listener.drain();
    },
    close(ws, code, reason) {
      const { listener, socket } = ws.getUserData();
      if (socket) socket.ws = undefined;
      listener.close(code, Buffer.from(reason).toString());
    },
  };
}

function decide(application: Application, request: HttpRequest): ReturnType<Application['upgrade']> {
  try {
    return application.upgrade(request);
  } catch {
    return FAILED;
  }
}

const FAILED: HttpResponse = { status: 500, headers: {}, body: 'Internal Server Error\n' };

/** A request whose body or answer may come late. Without an abort handler either terminates the process when the client has gone. */
class Exchange {
  aborted = false;
  readonly #res: UWS.HttpResponse;
  #onAborted = () => {};

  constructor(res: UWS.HttpResponse) {
    this.#res = res;
    res.onAborted(() => {
      this.aborted = true;
      this.#onAborted();
    });
  }

  body(most: number): Promise<Uint8Array | undefined> {
    const whole = new Promise<Uint8Array | undefined>((resolve, reject) => {
      this.#onAborted = () => reject(new Error('the client has gone'));
      const chunks: Buffer[] = [];
      let length = 0;
      this.#res.onData((chunk, last) => {
        length += chunk.byteLength;
        if (length > most) resolve(undefined);
        else chunks.push(Buffer.from(Buffer.from(chunk))); // the bytes live only during the call
        if (last) resolve(Buffer.concat(chunks));
      });
    });
    whole.catch(() => {}); // who asked may have lost interest
    return whole;
  }
}

function answer(res: UWS.HttpResponse, req: UWS.HttpRequest, application: Application): void {
  const exchange = new Exchange(res);
  const request = requestOf(res, req, exchange);
  const head = request.method === 'HEAD';
  let response: HttpResponse | Promise<HttpResponse>;
  try {
    response = application.handle(request);
  } catch {
    response = FAILED;
  }
  finish(res, exchange, response, (answered) => write(res, head, answered));
}

/** Goes on with an answer, now or when it is there. Late it may find that the client has gone: touching the response then would throw. */
function finish<T>(
  res: UWS.HttpResponse,
  exchange: Exchange,
  answer: T | Promise<T>,
  goOn: (answer: T | HttpResponse) => void,
): void {
  if (!(answer instanceof Promise)) {
    goOn(answer);
    return;
  }
  const late = (known: T | HttpResponse) => {
    if (!exchange.aborted) res.cork(() => goOn(known));
  };
  answer.then(late, () => late(FAILED));
}

function write(res: UWS.HttpResponse, head: boolean, { status, headers, body }: HttpResponse): void {
  res.writeStatus(`${status} ${STATUS_CODES[status] ?? ''}`);
  for (const [name, value] of Object.entries(headers)) res.writeHeader(name, value);
  if (!head) {
    res.end(body);
    return;
  }
  res.endWithoutBody(Buffer.byteLength(body));
}

/** Only valid while uWebSockets.js's handler runs, as its own request is. */
function requestOf(res: UWS.HttpResponse, req: UWS.HttpRequest, exchange?: Exchange): HttpRequest {
  return {
    body: (most) => exchange?.body(most) ?? Promise.resolve(new Uint8Array()),
    method: req.getMethod().toUpperCase(),
    path: req.getUrl(),
    query: req.getQuery() ?? '',
    get remoteAddress() {
      return plainAddress(Buffer.from(res.getRemoteAddressAsText()).toString());
    },
    header: (name) => req.getHeader(name),
    get headers() {
      const all: Record<string, string> = {};
      req.forEach((name, value) => {
        all[name] = value;
      });
      return all;
    },
  };
}
