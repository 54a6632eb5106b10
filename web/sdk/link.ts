import { comesBack } from '../../src/protocol/close-codes.ts';
import { type ClientMessage, type ServerMessage, SUBPROTOCOL, type Welcome } from '../../src/protocol/v1.ts';
import type { Options, State, WebSocketClass, WebSocketLike } from './types.ts';

// The first delay is up to this, and each one twice the one before, up to the longest: a random part of it each time.
const FIRST_DELAY = 500;
const LONGEST_DELAY = 20_000;

// A server that takes a connection and loses it again at once is not tried without delay for ever.
const STEADY = 5_000;

// How long a server may take to welcome, and to answer a ping.
const OPENING = 10_000;
const ANSWER = 10_000;

// A token is renewed after this many milliseconds for each second that it lives: four fifths of it.
const OF_ITS_LIFE = 800;
const SOON = 1_000;
const LONGEST_TIMER = 2 ** 31 - 1;

/** What a link tells. */
interface LinkListener {
  state(state: State): void;
  /** The server's first message of a connection: it is live. */
  welcome(welcome: Welcome): void;
  message(message: ServerMessage): void;
}

/**
 * A WebSocket that comes back: after a random part of a delay that doubles, when the server said it should, and at once when the
 * network or the tab's reader returns. A server that has fallen silent is asked, and given up when it does not answer.
 */
export class Link {
  readonly #address: () => string;
  readonly #WebSocket: WebSocketClass;
  readonly #listener: LinkListener;
  readonly #token: Options['token'];
  #state: State = { name: 'connecting' };
  #socket: WebSocketLike | undefined;
  #attempts = 0;
  /** When to come back, as the server said. */
  #slot: number | undefined;
  #heardAt = 0;
  #liveSince = Number.POSITIVE_INFINITY;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #renewal: ReturnType<typeof setTimeout> | undefined;
  #heartbeat = 25_000;
  readonly #stop: () => void;

  constructor(address: () => string, WebSocket: WebSocketClass, token: Options['token'], listener: LinkListener) {
    this.#address = address;
    this.#WebSocket = WebSocket;
    this.#listener = listener;
    this.#token = token;
    this.#stop = onReturn(
      () => this.#hurry(),
      () => this.#state.name === 'reconnecting' && this.#enter(offline(this.#state)),
    );
  }

  get state(): State {
    return this.#state;
  }

  /** Connects now, unless it is about to or is. */
  open(): void {
    if (this.#socket || this.#state.name === 'closed') return;
    clearTimeout(this.#timer);
    const socket = new this.#WebSocket(this.#address(), SUBPROTOCOL);
    this.#socket = socket;
    socket.onmessage = ({ data }: { data: unknown }) => this.#frame(socket, String(data));
    socket.onclose = ({ code, reason }: { code: number; reason: string }) => this.#closed(socket, code, reason);
    if (this.#token !== undefined) socket.onopen = () => this.#authenticate(socket);
    socket.onerror = () => {}; // the close that follows is enough
    this.#timer = setTimeout(() => this.#lose('the server did not answer'), OPENING);
    this.#enter({ name: 'connecting' });
  }

  send(message: ClientMessage | string): void {
    if (this.#state.name === 'live')
      this.#socket?.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  close(): void {
    this.#stop();
    this.#drop();
    this.#enter({ name: 'closed' });
  }

  #frame(socket: WebSocketLike, frame: string): void {
    this.#heardAt = performance.now();
    for (const line of frame.split('\n')) {
      if (socket !== this.#socket) return; // a listener ended it, or the line before did
      const message = parse(line);
      if (!message) this.#lose('the server does not speak the protocol');
      else if (message.t === 'welcome') this.#welcome(message);
      else if (message.t === 'authenticated') this.#renew(message.expiresIn);
      else if (message.t === 'drain') this.#slot = message.reconnectIn;
      else if (message.t !== 'pong') this.#listener.message(message);
    }
  }

  #welcome(welcome: Welcome): void {
    const { user, session, limits, heartbeat, expiresIn } = welcome;
    this.#renew(expiresIn);
    this.#heartbeat = heartbeat * 1000;
    this.#liveSince = this.#heardAt;
    this.#watch(this.#heartbeat);
    this.#listener.welcome(welcome);
    this.#enter({ name: 'live', user, session, limits });
  }

  async #authenticate(socket: WebSocketLike): Promise<void> {
    try {
      const token = typeof this.#token === 'function' ? await this.#token() : this.#token;
      if (socket === this.#socket) socket.send(JSON.stringify({ t: 'auth', token }));
    } catch {
      if (socket === this.#socket) this.#lose('there was no token to be had');
    }
  }

  /** Shows another token some time before this one expires. */
  #renew(expiresIn: number | undefined): void {
    const socket = this.#socket;
    clearTimeout(this.#renewal);
    if (expiresIn === undefined || !socket || typeof this.#token !== 'function') return;
    const ms = Math.min(Math.max(expiresIn * OF_ITS_LIFE, SOON), LONGEST_TIMER);
    this.#renewal = setTimeout(() => this.#authenticate(socket), ms);
  }

  /** Asks a server that was silent for so long. */
  #watch(silence: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const rest = this.#heardAt + this.#heartbeat - performance.now();
      if (rest > 0) this.#watch(rest);
      else this.#ask();
    }, silence);
  }

  #ask(): void {
    const askedAt = performance.now();
    this.send({ t: 'ping' });
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (this.#heardAt >= askedAt) this.#watch(this.#heardAt + this.#heartbeat - performance.now());
      else this.#lose('the server fell silent');
    }, ANSWER);
  }

  /** Someone is back, or the network is: a connection that waits is made now, and one that may have died is asked. */
  #hurry(): void {
    if (this.#state.name === 'live') this.#ask();
    else if (this.#state.name !== 'refused') this.open();
  }

  #closed(socket: WebSocketLike, code: number, reason: string): void {
    if (socket !== this.#socket) return;
    if (comesBack(code)) this.#lose(reason || 'the connection was lost', code);
    else {
      this.#drop();
      this.#enter({ name: 'refused', code, why: reason || `the server closed it with ${code}` });
    }
  }

  /** The connection is dead, or as good as. */
  #lose(why: string, code?: number): void {
    this.#drop();
    if (performance.now() - this.#liveSince > STEADY) this.#attempts = 0;
    this.#liveSince = Number.POSITIVE_INFINITY;
    const longest = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.#attempts++);
    const delay = this.#slot ?? Math.random() * longest;
    this.#slot = undefined;
    this.#timer = setTimeout(() => this.open(), delay);
    const lost = { why, ...(code !== undefined && { code }) };
    this.#enter(isOffline() ? offline(lost) : { name: 'reconnecting', in: delay, ...lost });
  }

  #drop(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#renewal);
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
  }

  #enter(state: State): void {
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

function offline({ why, code }: { why: string; code?: number }): State {
  return { name: 'offline', why, ...(code !== undefined && { code }) };
}

function isOffline(): boolean {
  return globalThis.navigator?.onLine === false;
}

/** Calls `hurry` when the network comes back or the page is looked at again, `away` when the network goes. @returns what ends that. */
function onReturn(hurry: () => void, away: () => void): () => void {
  const { window, document } = globalThis;
  if (!window?.addEventListener || !document) return () => {};
  const shown = () => {
    if (!document.hidden) hurry();
  };
  window.addEventListener('online', hurry);
  window.addEventListener('offline', away);
  document.addEventListener('visibilitychange', shown);
  return () => {
    window.removeEventListener('online', hurry);
    window.removeEventListener('offline', away);
    document.removeEventListener('visibilitychange', shown);
  };
}
