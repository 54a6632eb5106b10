import type { ErrorMessage, Joined, ServerMessage, Welcome } from '../../../src/protocol/v1.ts';
import type { Connection, ConnectionClass, RoomSource } from '../connection.ts';
import type { Options, Transport, WebSocketClass } from '../types.ts';
import { EventStream, type StreamEnd } from './event-stream.ts';
import { PostQueue } from './post-queue.ts';
import { Probe } from './probe.ts';
import { SocketStream } from './socket-stream.ts';

// Milliseconds that the server may take to send its welcome, and that a WebSocket may take to open.
const OPEN_TIMEOUT = 10_000;
const SOCKET_TIMEOUT = 3_000;

// Milliseconds that joins and leaves are collected, since each reopens the stream.
const REOPEN_DELAY = 10;

// Milliseconds of silence after which a stream is reopened to prove that it is alive.
const FRESH = 2_000;

// The server sends a comment once a heartbeat, at about the time when a WebSocket would be pinged.
const HEARTBEAT_SHARE = 1.4;

type Stream = EventStream | SocketStream;

/** What the connections of one link share. */
interface Shared {
  readonly source: RoomSource;
  readonly hasToken: boolean;
  readonly fetch: typeof fetch;
  /** Undefined to stay with HTTP. */
  readonly WebSocket: WebSocketClass | undefined;
  /** Whether the next connection starts over HTTP: the last did, or none has ever opened. */
  prefersHttp: boolean;
}

/**
 * Returns the class of connections over HTTP that move to a WebSocket when one opens.
 *
 * @param WebSocket undefined to stay with HTTP.
 * @param prefersHttp whether the first connection starts over HTTP.
 */
export function fallbackOf(
  WebSocket: WebSocketClass | undefined,
  { token, fetch = globalThis.fetch }: Options,
  source: RoomSource,
  prefersHttp: boolean,
): ConnectionClass {
  const shared: Shared = { source, hasToken: token !== undefined, fetch, WebSocket, prefersHttp };
  return class extends FallbackConnection {
    constructor(url: string, protocols: string[]) {
      super(url, protocols, shared);
    }
  };
}

/**
 * FallbackConnection does over HTTP what a WebSocket does: a stream brings the server's messages,
 * and requests take the client's. A join, a leave and a new token reopen the stream: the next one
 * takes the session over, and the link notices nothing of it. So does a WebSocket, as soon as one
 * opens; from then on all messages go through it.
 */
class FallbackConnection implements Connection {
  onopen: ((event: never) => unknown) | null = null;
  onmessage: ((event: never) => unknown) | null = null;
  onclose: ((event: never) => unknown) | null = null;
  onerror: ((event: never) => unknown) | null = null;
  readonly #url: string;
  readonly #shared: Shared;
  readonly #posts: PostQueue;
  readonly #probe: Probe | undefined;
  /** The stream whose messages are delivered. */
  #stream: Stream | undefined;
  /** The stream that takes the session over. */
  #next: Stream | undefined;
  #session: Welcome | undefined;
  #secret: string | undefined;
  #token: string | undefined;
  /** The rooms whose joins the next stream carries. */
  #requested = new Set<string>();
  /** The epochs of the rooms that the link has been told to be in. */
  readonly #epochs = new Map<string, string>();
  /** Rooms that a new stream has not confirmed. */
  readonly #unconfirmed = new Set<string>();
  /** Rooms whose joins the server has rejected for good. */
  readonly #rejected = new Set<string>();
  #reopensAgain = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #reopening: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  /** @param protocols those of a WebSocket, of which one may carry the secret of a session. */
  constructor(url: string, [, resume]: string[], shared: Shared) {
    this.#url = url;
    this.#shared = shared;
    this.#secret = resume?.slice('resume.'.length);
    this.#posts = new PostQueue({
      post: (body, signal) => this.#post('', body, signal),
      maxBytes: () => this.#session?.limits.message ?? 0,
      onLine: (line) => this.#deliver(line),
      onAnswer: () => this.#checkSilence(),
      onFailure: (code, reason) => this.#fail({ code, reason }),
    });
    const { WebSocket, hasToken } = shared;
    this.#probe = WebSocket && new Probe(WebSocket, url, () => this.#openSocket(WebSocket));
    queueMicrotask(() => {
      if (!hasToken) this.#open();
      else if (!this.#closed) this.onopen?.(undefined as never);
    });
  }

  get transport(): Transport {
    return this.#stream instanceof SocketStream ? 'websocket' : 'http';
  }

  send(text: string): void {
    const type = /^\{"t":"(\w+)"/.exec(text)?.[1];
    if (this.#stream instanceof SocketStream) this.#stream.send(text);
    else if (type === 'auth') this.#authenticate(JSON.parse(text).token);
    else if (type === 'ping') this.#check();
    else if (type === 'join') this.#join(JSON.parse(text).room);
    else if (type === 'leave') this.#leave(JSON.parse(text).room);
    else this.#posts.add(text);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#reopening);
    this.#probe?.stop();
    this.#posts.stop();
    this.#next?.close();
    this.#stream?.close();
  }

  #authenticate(token: string): void {
    this.#token = token;
    if (this.#session) this.#openStream();
    else this.#open();
  }

  /** The joins that follow the welcome are those that the stream came with. */
  #join(room: string): void {
    this.#rejected.delete(room);
    if (!this.#requested.delete(room)) this.#reopenSoon();
  }

  /** The next `joined` of this room is that of another membership. */
  #leave(room: string): void {
    this.#epochs.delete(room);
    this.#unconfirmed.delete(room);
    this.#reopenSoon();
  }

  #reopenSoon(): void {
    this.#reopening ??= setTimeout(() => this.#openStream(), REOPEN_DELAY);
  }

  /** Proves that the stream is alive, and looks for a WebSocket. */
  #check(): void {
    if (this.#next) return;
    if (this.#isSilentFor(FRESH)) this.#openStream();
    else this.#deliver('{"t":"pong"}');
    this.#probe?.run();
  }

  /** Answers to requests do not show that the stream is alive. */
  #checkSilence(): void {
    const heartbeat = (this.#session?.heartbeat ?? 0) * 1000;
    if (!this.#next && this.#isSilentFor(heartbeat * HEARTBEAT_SHARE)) this.#openStream();
  }

  #isSilentFor(ms: number): boolean {
    return this.#stream instanceof EventStream && performance.now() - this.#stream.heardAt > ms;
  }

  // ── Opening ─────────────────────────────────────────────────────────────────────────────────

  #open(): void {
    const { WebSocket, prefersHttp } = this.#shared;
    if (this.#closed) return;
    if (WebSocket && !prefersHttp) this.#openSocket(WebSocket);
    else this.#openStream();
  }

  /** From now on the messages of the current stream are ignored: the next one brings them again. */
  #openStream(): void {
    clearTimeout(this.#reopening);
    this.#reopening = undefined;
    if (this.#closed || this.#stream instanceof SocketStream) return;
    if (this.#next) {
      this.#reopensAgain = true;
      return;
    }
    const rooms = [...this.#shared.source.rooms.values()];
    const joins = rooms.map(({ request }) => request).filter(({ room }) => !this.#rejected.has(room));
    this.#requested = new Set(joins.map(({ room }) => room));
    const body = joins.map((join) => JSON.stringify(join)).join('\n');
    const stream: EventStream = new EventStream((signal) => this.#post('/events', body, signal), {
      onLine: (line) => this.#onLine(stream, line),
      onComment: () => this.#stream === stream && this.#deliver('{"t":"pong"}'),
      onEnd: (end) => this.#onEnd(stream, end),
    });
    this.#await(stream, OPEN_TIMEOUT);
  }

  /** The messages of a stream are delivered until the server closes it for the WebSocket. */
  #openSocket(WebSocket: WebSocketClass): void {
    if (this.#closed || this.#next) return;
    const socket: SocketStream = new SocketStream(WebSocket, this.#url, this.#secret, this.#token, {
      onLine: (line) => this.#onLine(socket, line),
      onEnd: (end) => this.#onEnd(socket, end),
    });
    this.#await(socket, SOCKET_TIMEOUT);
  }

  /** @param ms until the welcome; for a WebSocket, until it opens. */
  #await(next: Stream, ms: number): void {
    this.#next = next;
    this.#timer = setTimeout(() => {
      if (next.opened && ms < OPEN_TIMEOUT) {
        this.#await(next, OPEN_TIMEOUT);
        return;
      }
      next.close();
      this.#onEnd(next, { code: 1006, reason: 'the server did not answer' });
    }, ms);
  }

  #post(path: '' | '/events', body: string, signal: AbortSignal): Promise<Response> {
    const url = new URL(`api/v1/session${path}`, this.#url.replace('ws', 'http'));
    url.search = new URL(this.#url).search;
    const headers: Record<string, string> = { 'content-type': 'application/x-ndjson' };
    if (this.#secret) headers['pumphouse-session'] = this.#secret;
    if (this.#token) headers['authorization'] = `Bearer ${this.#token}`;
    const { fetch } = this.#shared; // it must not be called as a method
    return fetch(url, { method: 'POST', headers, body, signal, cache: 'no-store', credentials: 'include' });
  }

  // ── Receiving ───────────────────────────────────────────────────────────────────────────────

  #onLine(from: Stream, line: string): void {
    if (from === this.#next) this.#onFirstLine(from, line);
    else if (from !== this.#stream || this.#next instanceof EventStream) return;
    else if (from instanceof SocketStream) this.#deliver(line);
    else this.#receive(line);
  }

  #onFirstLine(from: Stream, line: string): void {
    const message = parse(line);
    if (message?.t === 'welcome') this.#onWelcome(from, message);
    else if (!this.#session) this.#deliver(line); // why there will be no welcome
  }

  #onWelcome(stream: Stream, welcome: Welcome): void {
    const previous = this.#session;
    clearTimeout(this.#timer);
    this.#stream?.close();
    this.#stream = stream;
    this.#next = undefined;
    if (previous && previous.session !== welcome.session) {
      this.#fail({ code: 1006, reason: 'the server has started another session' });
      return;
    }
    this.#session = welcome;
    this.#secret = welcome.resume;
    this.#shared.prefersHttp = stream instanceof EventStream;
    this.#unconfirmed.clear();
    for (const room of this.#epochs.keys()) this.#unconfirmed.add(room);
    if (stream instanceof SocketStream) this.#onSocketWelcome(welcome);
    else if (previous) this.#onTakeover(welcome);
    else this.#onFirstWelcome(welcome);
    if (this.#reopensAgain) this.#reopenSoon();
    this.#reopensAgain = false;
  }

  /**
   * The link starts over, as after any welcome: it joins its rooms at the places reached, and sends
   * all messages without an answer again.
   */
  #onSocketWelcome(welcome: Welcome): void {
    this.#probe?.stop();
    this.#posts.stop();
    this.#deliver(JSON.stringify(welcome));
  }

  /** The link joins its rooms. It has left those that only the stream has requested. */
  #onFirstWelcome(welcome: Welcome): void {
    this.#deliver(JSON.stringify({ ...welcome, heartbeat: welcome.heartbeat * HEARTBEAT_SHARE }));
    if (this.#requested.size > 0) this.#reopenSoon();
    this.#requested.clear();
    this.#probe?.start();
  }

  /** Tells the link what is new: the term of its token, and that the server answers. */
  #onTakeover({ user, expiresIn }: Welcome): void {
    if (expiresIn !== undefined) this.#deliver(JSON.stringify({ t: 'authenticated', user, expiresIn }));
    this.#deliver('{"t":"pong"}');
  }

  #receive(line: string): void {
    const message = /^\{"t":"(joined|error)"/.test(line) ? parse(line) : undefined;
    if (message?.t === 'joined') this.#onJoined(message, line);
    else if (message?.t === 'error' && message.id === undefined) this.#onError(message, line);
    else this.#deliver(line);
  }

  #onError({ room = '', message, retry }: ErrorMessage, line: string): void {
    // The link would not expect it of a room in which it is: it has to start over.
    if (this.#unconfirmed.has(room)) this.#fail({ code: 1006, reason: message });
    else if (!retry && !this.#epochs.has(room)) this.#rejected.add(room);
    this.#deliver(line);
  }

  /** A room that goes on where it was has, for the link, at most other members. */
  #onJoined({ room, epoch, recovered, lost, count, members }: Joined, line: string): void {
    const isSame = this.#unconfirmed.delete(room) && this.#epochs.get(room) === epoch && recovered && !lost;
    this.#epochs.set(room, epoch);
    this.#deliver(isSame ? JSON.stringify({ t: 'presence', room, count, members }) : line);
  }

  #deliver(data: string): void {
    if (!this.#closed) this.onmessage?.({ data } as never);
  }

  // ── Ending ──────────────────────────────────────────────────────────────────────────────────

  #onEnd(stream: Stream, end: StreamEnd): void {
    if (stream === this.#stream) {
      this.#stream = undefined;
      if (!this.#next) this.#fail(end); // else the server has closed it for the next one
    } else if (stream === this.#next) {
      clearTimeout(this.#timer);
      this.#next = undefined;
      if (stream instanceof EventStream) this.#onStreamFailure(end);
      else this.#onSocketFailure(stream, end);
    }
  }

  #onStreamFailure(end: StreamEnd): void {
    if (!this.#session) this.#shared.prefersHttp = false;
    this.#fail(end);
  }

  #onSocketFailure({ opened }: SocketStream, end: StreamEnd): void {
    if (!this.#session) {
      // The answer of the server counts; without one, HTTP may get one.
      if (opened) this.#fail(end);
      else this.#openStream();
      return;
    }
    // A WebSocket that opened and failed may have taken the session over, for nothing.
    this.#probe?.slowDown();
    if (!this.#stream) this.#fail({ code: 1006, reason: '' });
    else if (this.#reopensAgain) this.#reopenSoon();
    this.#reopensAgain = false;
  }

  #fail({ code, reason, retryAfter }: StreamEnd): void {
    if (this.#closed) return;
    if (retryAfter !== undefined && !this.#session) {
      const error = { t: 'error', code: 'unavailable', message: reason, retry: true, retryAfter };
      this.#deliver(JSON.stringify(error));
    }
    this.close();
    this.onclose?.({ code, reason } as never);
  }
}

function parse(line: string): ServerMessage | undefined {
  try {
    return JSON.parse(line) as ServerMessage;
  } catch {
    return undefined;
  }
}
