import type { Notice } from '../hub/ports.ts';
import type { Member } from '../hub/room.ts';
import { type Close, closes } from '../protocol/close-codes.ts';
import { errors } from '../protocol/v1.ts';
import type { Socket, SocketListener } from '../transport/port.ts';
import type { Wire } from '../wire/wire.ts';
import type { Identity, Term } from './identity.ts';
import type { Keepalive } from './keepalive.ts';
import { both } from './permit.ts';
import { type Reader, ReadPump, type ReadPumpContext } from './read-pump.ts';
import { WritePump } from './write-pump.ts';

/** What all clients of one Hub share. */
export interface ClientContext extends ReadPumpContext {
  readonly keepalive: Keepalive;
}

/** `opening` until it is in its rooms, `ready`, `closing` once the server has said goodbye, `closed`. */
export type ClientState = 'opening' | 'ready' | 'closing' | 'closed';

/**
 * One connection. It listens to its socket, and it alone with its write pump touches it: the read pump takes what comes in
 * to the Hub, the write pump takes what the Hub hands it to the socket.
 */
export class Client implements Reader, SocketListener {
  readonly id: string;
  readonly user: string;
  readonly wire: Wire;
  readonly memberships: Member[] = [];
  readonly pump: WritePump;
  /** The round trip of the last ping, in milliseconds: its pong waited behind everything queued for this client. */
  lag = 0;
  readonly #context: ClientContext;
  readonly #readPump: ReadPump;
  readonly #rooms: readonly string[];
  readonly #welcome: Notice | undefined;
  readonly #onOpen: (() => void) | undefined;
  #address: string;
  #state: ClientState = 'opening';
  #socket: Socket | undefined;
  /** What the server closed with. */
  #goodbye: Close | undefined;
  #pingedAt: number;
  #pongBy: number;
  #term: Term | undefined;

  /** @param id of the connection, or of the session that outlives it: a sender's ids are told apart by it. */
  constructor(id: string, wire: Wire, context: ClientContext, identity: Identity = {}) {
    this.id = id;
    this.user = identity.user ?? id;
    this.wire = wire;
    this.#rooms = identity.rooms ?? wire.rooms;
    this.#welcome = identity.welcome;
    this.#onOpen = identity.onOpen;
    this.#context = context;
    this.pump = new WritePump(wire, context.clock);
    this.#address = identity.address ?? '';
    this.#term = identity.term;
    this.#readPump = new ReadPump(this, wire, context, identity.permit && both(identity.permit, context.permit));
    this.#pingedAt = context.clock.now();
    this.#pongBy = this.#pingedAt + wire.pongWait;
  }

  get state(): ClientState {
    return this.#state;
  }

  /** Where it comes from; empty before it is open. */
  get address(): string {
    return this.#address;
  }

  get closed(): boolean {
    return this.#state === 'closing' || this.#state === 'closed';
  }

  open(socket: Socket): void {
    const { hub, keepalive } = this.#context;
    this.#socket = socket;
    this.pump.open(socket);
    this.#onOpen?.();
    keepalive.add(this);
    this.#address ||= socket.remoteAddress;
    hub.events.emit('connected', { client: this.id, wire: this.wire.name, remoteAddress: this.#address });
    if (this.#welcome) this.notify(this.#welcome);
    const close = this.#readPump.open(this.#rooms);
    if (close) this.end(close);
    else if (this.#rooms.length === 0) this.#state = 'ready';
  }

  message(data: Uint8Array, binary: boolean): void {
    if (this.closed) return;
    const close = this.#readPump.message(data, binary);
    if (close) this.end(close);
  }

  drain(): void {
    if (this.pump.resume()) this.#context.hub.drained(this);
  }

  /** Any pong keeps the client alive; the one that answers the last ping tells its lag. */
  pong(payload: Uint8Array): void {
    const { clock, keepalive } = this.#context;
    const now = clock.now();
    this.#pongBy = now + this.wire.pongWait;
    if (keepalive.sentAt(payload) === this.#pingedAt) this.lag = now - this.#pingedAt;
  }

  /** The socket is gone. */
  close(code: number, reason: string): void {
    if (this.#state === 'closed') return;
    this.#leave();
    this.#state = 'closed';
    this.#socket = undefined;
    this.#context.keepalive.remove(this);
    const by = this.#goodbye ? 'server' : 'peer';
    const close = this.#goodbye ?? { code, reason };
    const from = { client: this.id, wire: this.wire.name, remoteAddress: this.#address };
    this.#context.hub.events.emit('disconnected', { ...from, close, by });
  }

  /** Says goodbye. What this wire says for `close` is what the close frame, the log and the metric show. */
  end(close: Close): void {
    if (this.closed) return;
    this.#leave();
    this.#state = 'closing';
    this.#goodbye = this.wire.goodbye(close);
    this.#socket?.close(this.#goodbye);
  }

  refresh(token: string): void {
    const term = this.#term;
    void (term?.refresh(token) ?? Promise.resolve(undefined)).then((until) => {
      if (this.closed) return;
      if (term === undefined || until === undefined) {
        this.notify({ t: 'error', code: 'bad_token', ...errors.bad_token });
        return;
      }
      this.#term = { ...term, until };
      const expiresIn = Math.floor((until - this.#context.clock.now()) / 1000);
      this.notify({ t: 'authenticated', user: this.user, expiresIn });
    });
  }

  tell(line: string): void {
    if (!this.closed && !this.pump.tell(line)) this.end(closes.slowConsumer);
  }

  notify(notice: Notice): void {
    if (!this.wire.tells.has(notice.t)) return;
    this.tell(this.wire.notice(notice));
    this.pump.release();
  }

  /** Sends it away in an orderly end, to come back after so many milliseconds. */
  goAway(reconnectIn: number): void {
    if (!this.closed) this.notify({ t: 'drain', reconnectIn });
    this.end(closes.goingAway);
  }

  joined(_member: Member, _recovered: boolean): void {
    if (this.#state === 'opening' && this.memberships.length >= this.#rooms.length) this.#state = 'ready';
  }

  evict(close: Close, member: Member): void {
    if (this.closed) return;
    const { room, cursor, behind } = member;
    const at = { room: room.name, epoch: room.epoch, seq: cursor };
    this.#context.hub.events.emit('evicted', { client: this.id, ...at, records: behind, why: close.reason });
    this.end({ code: close.code, reason: `${close.reason}; resume ${room.epoch} after ${cursor}` });
  }

  /** Does what is due at `now`: sends a ping, or ends a client that does not answer or takes nothing. */
  tend(now: number, ping: Uint8Array): void {
    if (this.closed) return;
    if (now >= this.#pongBy) this.end(closes.pongTimeout);
    else if (this.#term !== undefined && now >= this.#term.until) this.end(closes.tokenExpired);
    else if (this.pump.stalledFor(now) >= this.wire.writeWait) this.#evictFurthest();
    else if (now - this.#pingedAt >= this.wire.pingPeriod) {
      this.#pingedAt = now;
      this.#socket?.ping(ping);
    }
  }

  #leave(): void {
    if (this.closed) return;
    this.pump.close();
    this.#context.hub.unregister(this);
  }

  #evictFurthest(): void {
    const furthest = this.memberships.toSorted((a, b) => b.behind - a.behind)[0];
    if (furthest) this.evict(closes.writeTimeout, furthest);
    else this.end(closes.writeTimeout);
  }
}
