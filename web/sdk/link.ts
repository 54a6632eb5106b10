import { comesBack } from '../../src/protocol/close-codes.ts';
import {
  type ClientMessage,
  type ErrorMessage,
  type ServerMessage,
  SUBPROTOCOL,
  type Welcome,
} from '../../src/protocol/v1.ts';
import type { Connection, ConnectionClass, RoomSource } from './connection.ts';
import type { End } from './report.ts';
import type { Options, State } from './types.ts';

// Milliseconds. Before each attempt the client waits a random part of the delay, which doubles from
// the first to the maximum.
const FIRST_DELAY = 500;
const MAX_DELAY = 20_000;

// Milliseconds that a connection must be live to reset the delay. Without this, a server that
// accepts connections and drops them at once would be retried in a tight loop.
const STABLE_AFTER = 5_000;

// Milliseconds that the server may take to send its welcome, and to answer a ping.
const WELCOME_TIMEOUT = 10_000;
const PONG_TIMEOUT = 10_000;

// Milliseconds after which the client falls back to HTTP if no WebSocket has opened: since its
// start, and since the first attempt to reconnect.
const FALLBACK_AFTER = 3_000;
const LATER_FALLBACK_AFTER = 15_000;

// A token is renewed at 80 % of its lifetime: milliseconds of delay for each second of lifetime.
const RENEWAL_MS_PER_SECOND = 800;
const MIN_RENEWAL_DELAY = 1_000;

// The longest delay of setTimeout, in milliseconds. A longer one fires at once.
const MAX_TIMER_DELAY = 2 ** 31 - 1;

// The close code for a page whose origin the server does not allow.
const ORIGIN_REFUSED = 4502;

/** The messages about rooms. A link handles those about the connection itself. */
export type RoomMessage = Exclude<ServerMessage, { t: 'welcome' | 'authenticated' | 'refresh' | 'drain' | 'pong' }>;

/** Receives the events of a link. */
interface LinkListener extends RoomSource {
  /** Returns the secret of the session to resume. Called for each attempt. */
  resume(): string | undefined;
  state(state: State): void;
  /** Called with the first message of a connection, before the state `live`. */
  welcome(welcome: Welcome): void;
  message(message: RoomMessage): void;
}

/**
 * A connection that reconnects: after a random part of a doubling delay, after the delay that a
 * draining server named, or at once when the network returns or the page becomes visible. If the
 * server rejected the connection until a later time, nothing makes the next attempt start earlier.
 * A silent server is pinged, and the connection is given up if no answer arrives. It is a WebSocket
 * until none opens, and a `FallbackConnection` from then on.
 */
export class Link {
  readonly #url: string;
  #Connection: ConnectionClass | undefined;
  readonly #listener: LinkListener;
  readonly #options: Options;
  #state: State = { name: 'connecting' };
  #socket: Connection | undefined;
  #attempts = 0;
  #mayFallBack = false;
  /** Set while no WebSocket opens. */
  #fallbackTimer: ReturnType<typeof setTimeout> | undefined;
  /** Whether no WebSocket has ever opened. */
  #isFirst = true;
  /** Milliseconds to wait before reconnecting, as a draining server asked. */
  #drainDelay: number | undefined;
  /** The error before the welcome that named the delay before the next attempt. */
  #rejection: ErrorMessage | undefined;
  /** When the next attempt may start, as in `performance.now()`. */
  #notBefore = 0;
  #receivedAt = 0;
  #liveSince = Number.POSITIVE_INFINITY;
  /** How the last live connection ended, until it is reported. */
  #end: End | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #renewalTimer: ReturnType<typeof setTimeout> | undefined;
  /** Milliseconds of silence after which the server is pinged. */
  #heartbeat = 0;
  readonly #unwatchPage: () => void;

  constructor(url: string, options: Options, listener: LinkListener) {
    this.#url = url;
    this.#listener = listener;
    this.#options = options;
    this.#unwatchPage = watchPage(
      () => this.#wake(),
      () => this.#goOffline(),
    );
  }

  get state(): State {
    return this.#state;
  }

  /**
   * Connects for the first time. Until then the link does nothing.
   *
   * @param WebSocket undefined to connect over HTTP alone.
   */
  start(WebSocket: ConnectionClass | undefined): void {
    this.#Connection = WebSocket;
    this.#mayFallBack = this.#options.transport !== 'websocket';
    if (WebSocket) this.open();
    else void this.#fallBack();
  }

  /**
   * Connects now, or at the time that the server gave. Does nothing if the link is connecting, live
   * or closed, or was not started.
   */
  open(): void {
    if (!this.#Connection || this.#socket || this.#state.name === 'closed') return;
    const wait = this.#notBefore - performance.now();
    if (wait > 0) {
      this.#openAfter(wait);
      return;
    }
    this.#rejection = undefined;
    if (this.#mayFallBack) {
      const delay = this.#isFirst ? FALLBACK_AFTER : LATER_FALLBACK_AFTER;
      this.#fallbackTimer ??= setTimeout(() => this.#fallBack(), delay);
    }
    const socket: Connection = new this.#Connection(this.#url, protocolsOf(this.#listener.resume()));
    this.#socket = socket;
    socket.onmessage = ({ data }: { data: unknown }) => this.#onFrame(socket, `${data}`);
    socket.onclose = ({ code, reason }: { code: number; reason: string }) => this.#onClose(socket, code, reason);
    socket.onopen = () => this.#onOpen(socket);
    socket.onerror = () => {}; // a close event follows
    this.#schedule(WELCOME_TIMEOUT, () => this.#retryLater('the server did not answer'));
    this.#setState({ name: 'connecting' });
  }

  /** Sends a message, or drops it if the link is not live. */
  send(message: ClientMessage | string): void {
    if (this.#state.name === 'live')
      this.#socket?.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  close(): void {
    this.#unwatchPage();
    this.#stopFallback();
    this.#drop();
    this.#setState({ name: 'closed' });
  }

  /** From now on an attempt may go over HTTP. */
  async #fallBack(): Promise<void> {
    const fallback = await import('./fallback/fallback.ts').catch(() => undefined);
    if (!fallback) setTimeout(() => this.#fallBack(), FALLBACK_AFTER);
    else if (this.#fallbackTimer || !this.#Connection) {
      this.#mayFallBack = false;
      this.#Connection = fallback.fallbackOf(this.#Connection, this.#options, this.#listener, this.#isFirst);
      this.#drop();
      this.open();
    }
  }

  /** A WebSocket has opened, or the link is closed. */
  #stopFallback(): void {
    clearTimeout(this.#fallbackTimer);
    this.#fallbackTimer = undefined;
    this.#isFirst = false;
  }

  #onOpen(socket: Connection): void {
    this.#stopFallback();
    if (this.#options.token !== undefined) void this.#authenticate(socket);
  }

  #onFrame(socket: Connection, frame: string): void {
    this.#receivedAt = performance.now();
    for (const line of frame.split('\n')) {
      if (socket !== this.#socket) return; // the line before, or a listener, ended this connection
      const message = parse(line);
      if (!message) this.#retryLater('the server sent a line that is not JSON');
      else if (message.t === 'welcome') this.#onWelcome(message);
      else if (message.t === 'authenticated') this.#scheduleRenewal(message.expiresIn);
      else if (message.t === 'refresh') this.#scheduleRenewal(0, 0);
      else if (message.t === 'drain') this.#drainDelay = message.reconnectIn;
      else if (message.t === 'error' && message.retryAfter && this.#state.name === 'connecting')
        this.#rejection = message;
      else if (message.t !== 'pong') this.#listener.message(message);
    }
  }

  #onWelcome(welcome: Welcome): void {
    const { user, session, limits } = welcome;
    this.#scheduleRenewal(welcome.expiresIn);
    this.#heartbeat = welcome.heartbeat * 1000;
    this.#rejection = undefined;
    this.#liveSince = this.#receivedAt;
    this.#pingAfter(this.#heartbeat);
    this.#listener.welcome(welcome);
    const end = this.#end;
    this.#setState({ name: 'live', user, session, limits, transport: this.#socket?.transport ?? 'websocket' });
    this.#end = undefined; // also after a move from HTTP to a WebSocket, which ends nothing
    if (end && welcome.reports)
      import('./report.ts').then(
        (report) => this.send(report.reportOf(end)),
        () => {}, // it is for operators only: the file is not loaded again
      );
  }

  async #authenticate(socket: Connection): Promise<void> {
    try {
      const { token: source } = this.#options;
      const token = typeof source === 'function' ? await source() : source;
      if (socket === this.#socket) socket.send(JSON.stringify({ t: 'auth', token }));
    } catch {
      if (socket === this.#socket) this.#retryLater('the token function failed');
    }
  }

  /**
   * Renews a token before it expires. A fixed one cannot be renewed.
   *
   * @param expiresIn seconds until the current token expires.
   * @param minDelay in milliseconds.
   */
  #scheduleRenewal(expiresIn: number | undefined, minDelay = MIN_RENEWAL_DELAY): void {
    const socket = this.#socket;
    clearTimeout(this.#renewalTimer);
    if (expiresIn === undefined || !socket || typeof this.#options.token !== 'function') return;
    const ms = Math.min(Math.max(expiresIn * RENEWAL_MS_PER_SECOND, minDelay), MAX_TIMER_DELAY);
    this.#renewalTimer = setTimeout(() => this.#authenticate(socket), ms);
  }

  /** Pings the server in `ms` milliseconds, or later if it sends something in between. */
  #pingAfter(ms: number): void {
    this.#schedule(ms, () => {
      const remaining = this.#receivedAt + this.#heartbeat - performance.now();
      if (remaining > 0) this.#pingAfter(remaining);
      else this.#ping();
    });
  }

  /** Pings the server, and gives the connection up unless something arrives before the timeout. */
  #ping(): void {
    const pingedAt = performance.now();
    this.send({ t: 'ping' });
    this.#schedule(PONG_TIMEOUT, () => {
      if (this.#receivedAt >= pingedAt) this.#pingAfter(this.#receivedAt + this.#heartbeat - performance.now());
      else this.#retryLater('the server stopped answering');
    });
  }

  /** Ends a retry delay, or pings a live connection, which may have died unnoticed. */
  #wake(): void {
    if (this.#state.name === 'live') this.#ping();
    else if (this.#state.name !== 'refused') this.open();
  }

  #goOffline(): void {
    if (this.#state.name !== 'reconnecting') return;
    const { in: _, ...cause } = this.#state;
    this.#setState({ ...cause, name: 'offline' });
  }

  #onClose(socket: Connection, code: number, reason: string): void {
    if (socket !== this.#socket) return;
    if (comesBack(code)) {
      this.#retryLater(reason || this.#rejection?.message || 'the connection was lost', code);
    } else {
      if (code === ORIGIN_REFUSED)
        void import('./fallback/fallback.ts').then((fallback) => fallback.warnOfOrigin(this.#url));
      this.#drop();
      this.#setState({ name: 'refused', code, why: reason || `the server closed the connection with code ${code}` });
    }
  }

  /** Gives the connection up and schedules the next attempt. */
  #retryLater(why: string, code?: number): void {
    this.#drop();
    if (performance.now() - this.#liveSince > STABLE_AFTER) this.#attempts = 0;
    const cause = { why, ...(code !== undefined && { code }) };
    const retryAfter = this.#rejection?.retryAfter;
    const maxDelay = Math.min(MAX_DELAY, FIRST_DELAY * 2 ** this.#attempts++);
    const delay = retryAfter ?? this.#drainDelay ?? Math.random() * maxDelay;
    this.#drainDelay = undefined;
    this.#notBefore = performance.now() + (retryAfter ?? 0);
    this.#openAfter(delay);
    if (!retryAfter && globalThis.navigator?.onLine === false) this.#setState({ name: 'offline', ...cause });
    else this.#setState({ name: retryAfter ? 'waiting' : 'reconnecting', in: delay, ...cause });
    this.#liveSince = Number.POSITIVE_INFINITY;
  }

  /** A timer may fire early, so `open` checks the time again. */
  #openAfter(ms: number): void {
    this.#schedule(Math.min(ms, MAX_TIMER_DELAY), () => this.open());
  }

  /** The link waits for one thing at a time. */
  #schedule(ms: number, run: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(run, ms);
  }

  #drop(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#renewalTimer);
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
  }

  #setState(state: State): void {
    if (this.#state.name === 'live')
      this.#end = [
        state,
        this.#liveSince,
        performance.now(),
        globalThis.navigator?.onLine,
        globalThis.document?.hidden,
      ];
    this.#state = state;
    this.#listener.state(state);
  }
}

function parse(line: string): ServerMessage | undefined {
  try {
    return JSON.parse(line) as ServerMessage;
  } catch {
    return undefined;
  }
}

/**
 * Offers the secret as a subprotocol: unlike a URL, it is kept out of the logs of proxies and of
 * error messages. An invalid subprotocol would make the WebSocket throw an error that quotes it.
 */
function protocolsOf(resume: string | undefined): string[] {
  return resume && /^[\w.-]+$/.test(resume) ? [SUBPROTOCOL, `resume.${resume}`] : [SUBPROTOCOL];
}

/**
 * Calls `onWake` when the network returns or the page becomes visible, and `onOffline` when the
 * network is lost. Outside browsers it calls neither.
 *
 * @returns a function that stops watching.
 */
function watchPage(onWake: () => void, onOffline: () => void): () => void {
  const { window, document } = globalThis;
  const watch = new AbortController(); // its `signal` is the option that removes the listeners
  window?.addEventListener?.('online', onWake, watch);
  window?.addEventListener?.('offline', onOffline, watch);
  document?.addEventListener('visibilitychange', () => document.hidden || onWake(), watch);
  return () => watch.abort();
}
