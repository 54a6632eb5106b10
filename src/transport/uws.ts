import type * as UWS from 'uWebSockets.js';
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Close } from '../protocol/close-codes.ts';
import { truncateReason } from './close-reason.ts';
import { MAX_HEADER_BYTES } from './error-page.ts';
import { findFreePort } from './free-port.ts';
import { unmapIPv4 } from './remote-address.ts';
import { readTls } from './tls.ts';
import type {
  Application,
  SendStatus,
  Socket,
  SocketListener,
  Transport,
  TransportFactory,
  TransportOptions,
  Upgrade,
} from './transport.ts';
import { DROPPED } from './transport.ts';
import { SpareCork } from './uws-cork.ts';
import { answerHandshake, answerRequest } from './uws-http.ts';
import { glibcVersion, selectRelease } from './uws-release.ts';
import { StalledStreams, type StreamOptions } from './uws-stream.ts';

/** The transport on uWebSockets.js, or why it is unavailable on this machine. */
type LoadedUws =
  | { readonly kind: 'loaded'; readonly factory: TransportFactory }
  | { readonly kind: 'unavailable'; readonly reason: string };

/** Loads the release of uWebSockets.js that fits this machine. */
export function loadUws(): LoadedUws {
  const release = selectRelease(process.platform, Number(process.versions.node.split('.')[0]), glibcVersion());
  if (release.kind === 'unavailable') return release;
  try {
    const uws = requireUws(release.alias);
    return { kind: 'loaded', factory: (application, options) => new UwsTransport(uws, application, options) };
  } catch (error) {
    return { kind: 'unavailable', reason: `its binary does not load: ${(error as Error).message.split('\n')[0]}` };
  }
}

// uWebSockets.js answers a request with longer headers itself, before any handler runs, with a page
// that names it. The default of 4 KiB is less than the cookies of many development machines.
const HEADER_BUFFER_BYTES = 2 * MAX_HEADER_BYTES;

// Without this key the library names itself in a header of each response. Its typings lack the
// call.
const NO_NAME = '999999990007';

/** The binary reads the limit from the environment of the process, once, as it is loaded. */
function requireUws(alias: string): typeof UWS {
  const { UWS_HTTP_MAX_HEADERS_SIZE: before } = process.env;
  process.env['UWS_HTTP_MAX_HEADERS_SIZE'] = before ?? `${HEADER_BUFFER_BYTES}`;
  try {
    const uws = createRequire(import.meta.url)(alias) as typeof UWS & { _cfg?(key: string): void };
    uws._cfg?.(NO_NAME);
    return uws;
  } finally {
    if (before === undefined) delete process.env['UWS_HTTP_MAX_HEADERS_SIZE'];
  }
}

// Time for the last close frames to leave before connections are cut: the longer one for sockets
// that were closed with bytes still buffered.
const FLUSH_MS = 250;
const SLOW_FLUSH_MS = 4_000;

// uWebSockets.js cuts a closed socket whose peer does not read after at most this time.
const LINGER_MS = 16_000;

// Longer than any wire's pongWait, so that it never ends a client. With 0, a socket that is closed
// with bytes still buffered is cut within four seconds, and its close frame is lost.
const IDLE_SECONDS = 120;

/** The user data of a socket. uWebSockets.js copies these properties to its own object. */
interface Connection {
  readonly listener: SocketListener;
  socket: UwsSocket | undefined;
}

type Ws = UWS.WebSocket<Connection>;

/** The last close of a socket with bytes still buffered, which lives on for up to LINGER_MS. */
interface SlowClose {
  /** By `performance.now()`, in milliseconds. */
  lastAt: number;
}

class UwsSocket implements Socket {
  /** Undefined from the close handler on, since every later call on it throws. */
  ws: Ws | undefined;
  readonly #slowClose: SlowClose;

  constructor(ws: Ws, slowClose: SlowClose) {
    this.ws = ws;
    this.#slowClose = slowClose;
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

  /** The close handler runs inside `end` and `close`, so `ws` is cleared before either call. */
  close({ code, reason }: Close): void {
    const { ws } = this;
    if (ws !== undefined && ws.getBufferedAmount() > 0) this.#slowClose.lastAt = performance.now();
    this.ws = undefined;
    if (code === 1006) ws?.close();
    else if (code === 1005) ws?.end(0);
    else ws?.end(code, truncateReason(reason));
  }

  get bufferedAmount(): number {
    return this.ws?.getBufferedAmount() ?? 0;
  }

  get remoteAddress(): string {
    return this.ws ? unmapIPv4(Buffer.from(this.ws.getRemoteAddressAsText()).toString()) : '';
  }
}

// How many free ports are tried for port 0: another process may take one before the app listens.
const PORTS_TRIED = 5;

class UwsTransport implements Transport {
  readonly name = 'uws';
  readonly #uws: typeof UWS;
  readonly #application: Application;
  readonly #options: TransportOptions;
  readonly #slowClose: SlowClose = { lastAt: Number.NEGATIVE_INFINITY };
  readonly #streams: StreamOptions;
  readonly #spareCork: SpareCork<UWS.us_listen_socket>;
  /**
   * One app for each certificate. The newest accepts connections; the others keep their open ones.
   */
  readonly #apps: UWS.TemplatedApp[] = [];
  #listenSocket: UWS.us_listen_socket | undefined;
  #address: { readonly host: string; readonly port: number } | undefined;

  constructor(uws: typeof UWS, application: Application, options: TransportOptions) {
    this.#uws = uws;
    this.#application = application;
    this.#options = options;
    this.#streams = {
      maxBackpressure: options.maxBackpressure,
      stalled: new StalledStreams(),
      onSlowClose: () => {
        this.#slowClose.lastAt = performance.now();
      },
    };
    this.#spareCork = new SpareCork(uws);
  }

  async listen(host: string, port: number, shared = false): Promise<number> {
    await this.#spareCork.open();
    const app = this.#createApp();
    for (let attempt = 1; ; attempt++) {
      const free = shared ? port : await findFreePort(host, port);
      try {
        this.#listenSocket = await this.#listenWith(app, host, free);
        this.#address = { host, port: free };
        return free;
      } catch (error) {
        if (port !== 0 || attempt === PORTS_TRIED) throw error;
      }
    }
  }

  /**
   * Opens another app on the same port, which uWebSockets.js shares: an app cannot change its
   * certificate.
   */
  async renewCertificate(): Promise<void> {
    if (!this.#options.tls || !this.#address || !this.#listenSocket) return;
    const app = this.#createApp();
    const old = this.#listenSocket;
    this.#listenSocket = await this.#listenWith(app, this.#address.host, this.#address.port);
    this.#uws.us_listen_socket_close(old);
  }

  #createApp(): UWS.TemplatedApp {
    const { tls } = this.#options;
    if (tls) readTls(tls);
    const app = tls ? this.#uws.SSLApp({ cert_file_name: tls.cert, key_file_name: tls.key }) : this.#uws.App();
    const behavior = createBehavior(this.#uws, this.#application, this.#options, this.#slowClose, this.#spareCork);
    app.ws<Connection>('/*', behavior);
    app.any('/*', (res, req) => answerRequest(res, req, this.#application, this.#streams));
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
    if (this.#listenSocket) this.#uws.us_listen_socket_close(this.#listenSocket);
    this.#listenSocket = undefined;
  }

  /**
   * Cuts connections after a delay: at once, sockets with bytes still buffered would lose their
   * close frames.
   */
  async finish(): Promise<void> {
    const slow = performance.now() - this.#slowClose.lastAt < LINGER_MS;
    await sleep(slow ? SLOW_FLUSH_MS : FLUSH_MS);
    this.terminate();
  }

  terminate(): void {
    this.#listenSocket = undefined;
    for (const app of this.#apps) app.close();
    this.#spareCork.close();
  }
}

const INVALID_CLOSE_PAYLOAD = 'Received invalid close payload';

/**
 * uWebSockets.js takes the codes 1012 to 1014 and 3000 to 3999 for invalid. It answers them with an
 * empty close frame before the close handler runs, and reports 1006 in place of code and reason. A
 * close frame did arrive, so the code becomes that of the answer. No peer can send 1006 itself.
 */
function reportedClose(code: number, reason: string): Close {
  if (code !== 1006 || reason !== INVALID_CLOSE_PAYLOAD) return { code, reason };
  return { code: 1005, reason: 'a close code or reason that uWebSockets.js does not accept' };
}

function createBehavior(
  uws: typeof UWS,
  application: Application,
  options: TransportOptions,
  slowClose: SlowClose,
  spareCork: SpareCork<UWS.us_listen_socket>,
): UWS.WebSocketBehavior<Connection> {
  return {
    maxPayloadLength: options.maxPayload,
    maxBackpressure: options.maxBackpressure,
    closeOnBackpressureLimit: false,
    compression: uws.DISABLED,
    // Any inbound data resets the idle timeout, so it is no pong deadline: the keepalive keeps its
    // own.
    idleTimeout: IDLE_SECONDS,
    sendPingsAutomatically: false,
    maxLifetime: 0,
    upgrade(res, req, context) {
      const key = req.getHeader('sec-websocket-key');
      const accept = ({ listener, protocol }: Upgrade) => {
        res.upgrade<Connection>({ listener, socket: undefined }, key, protocol, '', context);
      };
      answerHandshake(res, req, application, accept, spareCork);
    },
    open(ws) {
      const connection = ws.getUserData();
      connection.socket = new UwsSocket(ws, slowClose);
      connection.listener.open(connection.socket);
    },
    message(ws, data, binary) {
      ws.getUserData().listener.message(Buffer.from(data), binary);
    },
    pong(ws, payload) {
      ws.getUserData().listener.pong(Buffer.from(payload));
    },
    drain(ws) {
      // uWebSockets.js calls this after every partial write, too.
      if (ws.getBufferedAmount() === 0) ws.getUserData().listener.drain();
    },
    close(ws, code, reason) {
      const { listener, socket } = ws.getUserData();
      if (socket) socket.ws = undefined;
      const close = reportedClose(code, Buffer.from(reason).toString());
      listener.close(close.code, close.reason);
    },
  };
}
