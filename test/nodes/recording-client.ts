import { WebSocket } from 'ws';
import type { HistoryRequest, Join, Json, Place, Send, ServerMessage } from '../../src/protocol/v1.ts';
import { SUBPROTOCOL } from '../../src/protocol/v1.ts';
import { waitUntil } from '../redis/wait.ts';
import type { ClientEvent, ClientHistory, Lost, Timed } from './history.ts';

type Joined = Extract<ServerMessage, { t: 'joined' }> & { readonly lost?: Lost };

export interface RecordingClientOptions {
  /** The ports of the nodes. Each connection goes to the next one. */
  readonly ports: readonly number[];
  /** The user name; unique, since the checker recognizes senders by it. */
  readonly name: string;
  /** @default 'r' */
  readonly room?: string;
  /** Milliseconds before it reconnects. @default 30 */
  readonly reconnectMs?: number;
  /** Whether it reconnects by itself after a connection ends. @default true */
  readonly reconnects?: boolean;
}

/**
 * A plain client of `pumphouse.v1` in one room, which records all that it does and receives. It
 * resumes its session and its place on any node, and resends unacknowledged messages with their
 * ids, in order; in another epoch also acknowledged ones that it has not received, which may be
 * lost. It judges nothing: that is the checker's job.
 */
export class RecordingClient {
  /** The ports that connections go to, in turn. May be changed. */
  ports: readonly number[];
  /** Whether it reconnects by itself. May be changed. */
  reconnects: boolean;
  readonly history: ClientHistory;
  readonly #events: Timed[] = [];
  readonly #reconnectMs: number;
  /** Sent but unacknowledged messages, oldest first. */
  readonly #pending = new Map<string, Json>();
  /** Acknowledged messages that it has not received, oldest first. */
  readonly #unseen = new Map<string, Json>();
  /** The ids of its own messages that it has received. */
  readonly #seen = new Set<string>();
  /** Messages that a node has rejected for now; they are sent again after a delay. */
  readonly #rejected = new Set<string>();
  #socket: WebSocket | undefined;
  readonly #sockets = new Set<WebSocket>();
  #secret: string | undefined;
  #place: Place | undefined;
  #joined = false;
  #attempts = 0;
  /** Milliseconds that the last `drain` asked it to wait. */
  #reconnectIn = 0;
  #nextId = 0;
  #nextRequest = 0;
  #stopped = false;
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor({ ports, name, room = 'r', reconnectMs = 30, reconnects = true }: RecordingClientOptions) {
    this.ports = ports;
    this.reconnects = reconnects;
    this.history = { name, room, events: this.#events };
    this.#reconnectMs = reconnectMs;
    this.connect();
  }

  /** Whether the client is a member of the room now. */
  get joined(): boolean {
    return this.#joined;
  }

  /** The end of its last message or gap; undefined before `joined`. */
  get place(): Place | undefined {
    return this.#place;
  }

  /** The number of messages without an answer. */
  get pending(): number {
    return this.#pending.size;
  }

  /** The secret of the session, for `resume.SECRET`. */
  get secret(): string | undefined {
    return this.#secret;
  }

  /** Events of one kind, oldest first. */
  events<K extends ClientEvent['kind']>(kind: K): Extract<Timed, { kind: K }>[] {
    return this.#events.filter((event): event is Extract<Timed, { kind: K }> => event.kind === kind);
  }

  /** Sends a message, now or when it has joined. @param data its id by default. @returns its id. */
  send(data?: Json): string {
    const id = `${this.history.name}-${this.#nextId++}`;
    this.#pending.set(id, data ?? id);
    if (this.#joined) this.#transmit(id, data ?? id);
    return id;
  }

  /** Requests messages, which are recorded when they come. Without a connection nothing happens. */
  requestHistory(range: Pick<HistoryRequest, 'before' | 'after' | 'limit'> = {}): void {
    this.#write({ t: 'history', room: this.history.room, id: `h${this.#nextRequest++}`, ...range });
  }

  /** Requests the whole history in pages, and waits for it. Needs the membership. */
  async readAll(): Promise<void> {
    for (let after = 0, more = true; more; ) {
      const count = this.events('history').length;
      this.requestHistory({ after, limit: 1000 });
      await waitUntil('the history arrives', () => this.events('history').length > count);
      const last = this.events('history').at(-1)?.messages.at(-1)?.seq;
      more = last !== undefined;
      after = last ?? after;
    }
  }

  /** Waits until it is a member and everything it sent has an answer. */
  async settled(ms?: number): Promise<void> {
    await waitUntil(`${this.history.name} has joined and every answer`, () => this.#joined && this.pending === 0, ms);
  }

  /**
   * Connects, also while an older connection is open: then that one is left alone, and its events
   * are recorded no more, as for a client that has lost its network.
   *
   * @param port a port instead of the next one. @param since a place instead of its own.
   */
  connect(port?: number, since: Place | undefined = this.#place): void {
    if (this.#stopped) return;
    const target = port ?? (this.ports[this.#attempts++ % this.ports.length] as number);
    const protocols = this.#secret === undefined ? [SUBPROTOCOL] : [SUBPROTOCOL, `resume.${this.#secret}`];
    const user = encodeURIComponent(this.history.name);
    const socket = new WebSocket(`ws://127.0.0.1:${target}/ws?user=${user}`, protocols, { handshakeTimeout: 5_000 });
    this.#socket = socket;
    this.#sockets.add(socket);
    this.#joined = false;
    const isCurrent = () => socket === this.#socket && !this.#stopped;
    socket.on('error', () => {});
    socket.on('open', () => {
      if (!isCurrent()) return;
      this.#record({ kind: 'opened', port: target });
      this.#join(since);
    });
    socket.on('message', (frame) => {
      if (!isCurrent()) return;
      for (const line of String(frame).split('\n')) this.#receive(JSON.parse(line));
    });
    socket.on('close', (code, reason) => {
      this.#sockets.delete(socket);
      if (!isCurrent()) return;
      this.#joined = false;
      this.#record({ kind: 'closed', code, reason: String(reason) });
      const wait = Math.max(this.#reconnectMs, this.#reconnectIn);
      this.#reconnectIn = 0;
      if (this.reconnects) this.#after(wait, () => this.connect());
    });
  }

  /** Ends the connection without a close frame. It reconnects if it does so by itself. */
  disconnect(): void {
    this.#socket?.terminate();
  }

  /** Stops reading from the socket, as a client on a dead network would. */
  pauseReading(): void {
    this.#socket?.pause();
  }

  resumeReading(): void {
    this.#socket?.resume();
  }

  /** Ends the connection for good. */
  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers) clearTimeout(timer);
    for (const socket of this.#sockets) socket.terminate();
  }

  #record(event: ClientEvent): void {
    this.#events.push({ ...event, time: Date.now() });
  }

  #write(message: object): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #join(since: Place | undefined): void {
    this.#record({ kind: 'join', ...(since && { since }) });
    this.#write({ t: 'join', room: this.history.room, ...(since && { since }) } satisfies Join);
  }

  #transmit(id: string, data: Json): void {
    this.#record({ kind: 'send', id, data });
    this.#write({ t: 'send', room: this.history.room, id, data } satisfies Send);
  }

  #receive(message: ServerMessage): void {
    if (message.t === 'welcome') {
      this.#secret = message.resume;
      this.#record({ kind: 'welcome', session: message.session, user: message.user });
    } else if (message.t === 'joined') this.#onJoined(message);
    else if (message.t === 'message') {
      const { seq, id, from, at, data } = message;
      this.#place = { epoch: this.#place?.epoch ?? '', seq };
      if (from === this.history.name) this.#see(id);
      this.#record({ kind: 'message', seq, id, from, at, data: data as Json });
    } else if (message.t === 'gap') {
      const { from, to, why } = message;
      this.#place = { epoch: this.#place?.epoch ?? '', seq: to };
      this.#record({ kind: 'gap', from, to, why });
    } else if (message.t === 'sent') {
      this.#onSent(message.id);
      this.#record({ kind: 'sent', id: message.id, seq: message.seq, duplicate: message.duplicate === true });
    } else if (message.t === 'drain') {
      this.#reconnectIn = message.reconnectIn;
      this.#record({ kind: 'drain', reconnectIn: message.reconnectIn });
    } else if (message.t === 'history') this.#record({ kind: 'history', messages: message.messages });
    else if (message.t === 'error') this.#onError(message);
  }

  #onJoined({ epoch, seq, recovered, lost }: Joined): void {
    this.#record({ kind: 'joined', epoch, seq, recovered, ...(lost && { lost }) });
    const isOther = this.#place !== undefined && this.#place.epoch !== epoch;
    this.#place = { epoch, seq };
    const isNew = !this.#joined;
    this.#joined = true;
    if (isNew) this.#rejected.clear();
    const inFlight = isNew ? [...this.#pending] : []; // the node answers them if the room moved
    const again = [...(isOther ? this.#unseen : []), ...inFlight];
    if (isOther) for (const [id, data] of this.#unseen) this.#pending.set(id, data);
    if (isOther) this.#unseen.clear();
    for (const [id, data] of again) this.#transmit(id, data);
  }

  #onSent(id: string): void {
    const data = this.#pending.get(id);
    if (data !== undefined && !this.#seen.has(id)) this.#unseen.set(id, data);
    this.#pending.delete(id);
    this.#rejected.delete(id);
  }

  #see(id: string): void {
    this.#seen.add(id);
    this.#unseen.delete(id);
  }

  #onError({ code, id, retry, retryAfter = 1_000 }: Extract<ServerMessage, { t: 'error' }>): void {
    this.#record({ kind: 'error', code, ...(id !== undefined && { id }), retry });
    if (id === undefined) {
      if (retry && !this.#joined) this.#after(retryAfter, () => this.#rejoin());
      return;
    }
    if (!retry) this.#pending.delete(id);
    else if (this.#pending.has(id) && !this.#rejected.has(id)) {
      this.#rejected.add(id);
      this.#after(Math.min(retryAfter, 1_000), () => this.#resend(id));
    }
  }

  #rejoin(): void {
    if (!this.#joined && this.#socket?.readyState === WebSocket.OPEN) this.#join(this.#place);
  }

  #resend(id: string): void {
    const data = this.#pending.get(id);
    if (this.#rejected.delete(id) && data !== undefined && this.#joined) this.#transmit(id, data);
  }

  #after(ms: number, run: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (!this.#stopped) run();
    }, ms);
    this.#timers.add(timer);
  }
}
