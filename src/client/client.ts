import type { Eviction, Notice } from '../hub/subscriber.ts';
import { type Close, closes } from '../protocol/close-codes.ts';
import type { NowOrLater } from '../protocol/now-or-later.ts';
import { type ErrorCode, errors } from '../protocol/v1.ts';
import type { Socket, SocketListener } from '../transport/transport.ts';
import type { Wire } from '../wire/wire.ts';
import { both, type Decision } from './authorizer.ts';
import type { Identity, Term } from './identity.ts';
import type { Connection, Keepalive } from './keepalive.ts';
import type { LifeRecorder, Living, Standing, Verdict } from './lives.ts';
import { type Reader, ReadPump, type ReadPumpContext, type RoomStart } from './read-pump.ts';
import { WritePump } from './write-pump.ts';

/** The context that all clients of one Hub share. */
export interface ClientContext extends ReadPumpContext {
  readonly keepalive: Keepalive;
}

/**
 * `opening` until it is in its rooms, `ready`, `closing` once the server has decided to close it,
 * `closed`.
 */
export type ClientState = 'opening' | 'ready' | 'closing' | 'closed';

// What is recorded of a client that no handshake has created.
const UNKNOWN: Verdict = { authentication: 'none', resumed: false };

/**
 * Client is a middleman between one connection and the Hub. Its read pump takes messages from the
 * socket to the Hub, its write pump takes frames from the Hub to the socket. No one else touches
 * the socket.
 */
export class Client implements Reader, SocketListener, Connection, Living {
  readonly id: string;
  readonly user: string;
  readonly isVerified: boolean;
  readonly wire: Wire;
  readonly pump: WritePump;
  readonly #context: ClientContext;
  readonly #readPump: ReadPump;
  readonly #rooms: readonly string[];
  /** Released once it is open, with everything that they refer to. */
  #welcome: Notice | undefined;
  #start: RoomStart | undefined;
  #onOpen: (() => Close | undefined) | undefined;
  #onEnd: (() => void) | undefined;
  #address: string;
  #state: ClientState = 'opening';
  /** How many of its first rooms it has joined. */
  #joined = 0;
  #socket: Socket | undefined;
  /** The close frame that the server sent. */
  #closedWith: Close | undefined;
  /** By the clock, in whole milliseconds, which need no object of their own in V8. */
  #pingedAt: number;
  #pongBy: number;
  #lag = 0;
  #life = -1;
  #term: Term | undefined;
  #issued: number;

  /**
   * @param id of the connection, or of the session that outlives it. It is the scope of its
   * messages' ids.
   */
  constructor(id: string, wire: Wire, context: ClientContext, identity: Identity = {}) {
    this.id = id;
    this.user = identity.user ?? id;
    this.isVerified = identity.isVerified ?? false;
    this.wire = wire;
    this.#rooms = identity.rooms ?? wire.rooms;
    this.#welcome = identity.welcome;
    this.#start = identity.start;
    this.#onOpen = recorded(identity, context.lives, (life) => {
      this.#life = life;
    });
    this.#context = context;
    this.pump = new WritePump(wire, context.clock);
    this.#address = identity.address ?? '';
    this.#term = identity.term;
    this.#issued = identity.issued ?? 0;
    const { authorizer } = identity;
    this.#readPump = new ReadPump(this, wire, context, authorizer && both(authorizer, context.authorizer));
    this.#pingedAt = Math.floor(context.clock.now());
    this.#pongBy = this.#pingedAt + wire.pongWait;
  }

  get state(): ClientState {
    return this.#state;
  }

  get reading(): boolean {
    return this.#state === 'opening' || this.#state === 'ready';
  }

  /** Its address; empty before it is open. */
  get address(): string {
    return this.#address;
  }

  /**
   * Round trip of the last ping, in milliseconds. Its pong waited behind everything queued for this
   * client.
   */
  get lag(): number {
    return this.#lag;
  }

  /** When its credential was issued, in milliseconds since 1970; 0 if that is unknown. */
  get issued(): number {
    return this.#issued;
  }

  /** Whether it was authenticated by a token. */
  get hasToken(): boolean {
    return this.#term !== undefined;
  }

  /** The index of the record of its life; -1 without one. */
  get life(): number {
    return this.#life;
  }

  /** Its rooms, and how far it has received each of them. */
  get places(): readonly Standing[] {
    return this.#context.hub.memberships(this);
  }

  get closed(): boolean {
    return this.#closedWith !== undefined || this.#state === 'closed';
  }

  /** Decides whether it may join a room. Ask before it is open. */
  permission(room: string): NowOrLater<Decision> {
    return this.#readPump.permission(room);
  }

  open(socket: Socket): void {
    const { hub, keepalive } = this.#context;
    this.#socket = socket;
    this.pump.open(socket);
    const refusal = this.#onOpen?.();
    keepalive.add(this);
    this.#address ||= socket.remoteAddress;
    hub.events.emit('connected', { client: this.id, wire: this.wire.name, remoteAddress: this.#address });
    if (this.#welcome && !refusal) this.reply(this.#welcome);
    this.#welcome = undefined;
    this.#onOpen = undefined;
    if (refusal) {
      this.end(refusal);
      return;
    }
    const start = this.#start;
    this.#start = undefined;
    const close = this.#readPump.open(this.#rooms, start);
    if (close) this.end(close);
    else if (this.#rooms.length === 0) this.#state = 'ready';
  }

  message(data: Uint8Array, binary: boolean): void {
    if (!this.reading) return;
    const close = this.#readPump.message(data, binary);
    if (close) this.endInOrder(close);
  }

  drain(): void {
    if (this.#life >= 0) this.#context.lives?.drained(this.#life, this.places);
    if (this.pump.resume()) this.#context.hub.drained(this);
  }

  /** Any pong extends the deadline; the pong that answers the last ping measures the lag. */
  pong(payload: Uint8Array): void {
    const { clock, keepalive } = this.#context;
    const now = Math.floor(clock.now());
    this.#pongBy = now + this.wire.pongWait;
    if (keepalive.sentAt(payload) !== this.#pingedAt) return;
    this.#lag = now - this.#pingedAt;
    if (this.#life >= 0) this.#context.lives?.roundTrip(this.#life, this.#lag);
  }

  /** The socket is closed. */
  close(code: number, reason: string): void {
    if (this.#state === 'closed') return;
    this.#leave();
    this.#state = 'closed';
    this.#socket = undefined;
    this.#context.keepalive.remove(this);
    const by = this.#closedWith ? 'server' : 'peer';
    const close = this.#closedWith ?? { code, reason };
    const connection = { client: this.id, wire: this.wire.name, remoteAddress: this.#address };
    this.#context.hub.events.emit('disconnected', { ...connection, close, by });
    if (this.#life >= 0) this.#context.lives?.closed(this, close, by);
    this.#life = -1;
    this.#ended();
  }

  /**
   * Closes the connection. The close frame, the log and the metric all show what this wire makes of
   * `close`.
   */
  end(close: Close): void {
    if (this.closed) return;
    this.#leave();
    this.#state = 'closing';
    this.#closedWith = this.wire.closeFrame(close);
    this.#socket?.close(this.#closedWith);
    this.#ended();
  }

  endInOrder(close: Close): void {
    if (!this.reading) return;
    this.#state = 'closing';
    this.#context.hub.closeInOrder(this, close);
  }

  /**
   * Stops reading, and closes the connection once its posts that the Hub has accepted are decided.
   *
   * @param done called once it receives and sends nothing more.
   */
  letGo(close: Close, done: () => void): void {
    if (this.closed) {
      done();
      return;
    }
    const others = this.#onEnd;
    this.#onEnd = () => {
      others?.();
      done();
    };
    this.endInOrder(close);
  }

  refresh(token: string): void {
    const term = this.#term;
    void (term?.refresh(token) ?? Promise.resolve(undefined)).then((renewal) => {
      if (this.closed) return;
      if (term === undefined || renewal === undefined) {
        this.reply({ t: 'error', code: 'bad_token', ...errors.bad_token });
        return;
      }
      const { until, issued } = renewal;
      this.#term = { ...term, until };
      this.#issued = issued;
      const expiresIn = Math.floor((until - this.#context.clock.now()) / 1000);
      this.reply({ t: 'authenticated', user: this.user, expiresIn });
    });
  }

  /**
   * Asks for a new token. A client whose wire cannot express that is closed, so that it comes back
   * with one. A client without a token has none to renew.
   *
   * @param within seconds after which it is closed, unless it has sent a token.
   */
  demandToken(within: number): 'asked' | 'closed' | 'unaffected' {
    const term = this.#term;
    if (term === undefined) return 'unaffected';
    if (!this.wire.notices.has('refresh')) {
      this.end(closes.tokenExpired);
      return 'closed';
    }
    const now = this.#context.clock.now();
    const until = Math.min(term.until, now + within * 1000);
    this.#term = { ...term, until };
    this.reply({ t: 'refresh', within: Math.max(0, Math.round((until - now) / 1000)) });
    return 'asked';
  }

  /**
   * Ends its membership of a room. A client whose wire cannot express that is closed.
   *
   * @returns `absent` for a room that it is not in.
   */
  removeFrom(room: string): 'left' | 'closed' | 'absent' {
    const removed = this.#readPump.removeFrom(room);
    if (removed !== 'silently') return removed;
    this.end(closes.disconnected);
    return 'closed';
  }

  notify(line: string): void {
    if (!this.closed && !this.pump.queue(line)) this.end(closes.slowConsumer);
  }

  reply(notice: Notice): void {
    if (!this.wire.notices.has(notice.t)) return;
    if (notice.t === 'error') this.refused(notice.code, notice.room);
    this.notify(this.wire.encodeNotice(notice));
    this.pump.release();
  }

  goAway(reconnectIn: number): void {
    if (!this.closed) this.reply({ t: 'drain', reconnectIn });
    this.end(closes.goingAway);
  }

  joined(room: string, _recovered: boolean): void {
    if (this.#life >= 0) this.#context.lives?.joined(this.#life, room);
    if (this.#state === 'opening' && ++this.#joined >= this.#rooms.length) this.#state = 'ready';
  }

  left(room: string): void {
    if (this.#life >= 0) this.#context.lives?.left(this.#life, room);
  }

  parked(room: string, behind: number): void {
    if (this.#life >= 0) this.#context.lives?.parked(this.#life, room, behind);
  }

  caughtUp(room: string): void {
    if (this.#life >= 0) this.#context.lives?.caughtUp(this.#life, room);
  }

  refused(code: ErrorCode, room: string | undefined): void {
    if (this.#life >= 0) this.#context.lives?.refused(this.#life, code, room);
  }

  evict(close: Close, at: Eviction | undefined): void {
    if (this.closed) return;
    if (at === undefined) {
      this.end(close);
      return;
    }
    this.#context.hub.events.emit('evicted', { client: this.id, user: this.user, ...at, why: close.reason });
    this.end({ code: close.code, reason: `${close.reason}; resume ${at.epoch} after ${at.seq}` });
  }

  tend(now: number, ping: Uint8Array): void {
    if (this.closed) return;
    if (now >= this.#pongBy && this.wire.pongWait > 0) this.end(closes.pongTimeout);
    else if (this.#term !== undefined && now >= this.#term.until) this.end(closes.tokenExpired);
    else if (this.pump.stalledFor(now) >= this.wire.writeWait) this.#context.hub.stalled(this);
    else if (now - this.#pingedAt >= this.wire.pingPeriod) {
      this.#pingedAt = now;
      this.#socket?.ping(ping);
    }
  }

  #ended(): void {
    const done = this.#onEnd;
    this.#onEnd = undefined;
    done?.();
  }

  #leave(): void {
    if (this.closed) return;
    if (this.#life >= 0) this.#context.lives?.leaving(this.#life, this.places);
    this.pump.close();
    this.#context.hub.unregister(this);
  }
}

/** Returns an `onOpen` that starts a record, too. It is released once the connection is open. */
function recorded(
  { onOpen, verdict = UNKNOWN }: Identity,
  lives: LifeRecorder | undefined,
  started: (life: number) => void,
): Identity['onOpen'] {
  if (lives === undefined) return onOpen;
  return () => {
    started(lives.opened(verdict));
    return onOpen?.();
  };
}
