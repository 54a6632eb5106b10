import type {
  ErrorMessage,
  Gap as GapMessage,
  History,
  HistoryRequest,
  Joined,
  Place,
  Presence,
  Message as Said,
  ServerMessage,
} from '../../src/protocol/v1.ts';
import { hubError } from './error.ts';
import { Events } from './events.ts';
import type { Link } from './link.ts';
import type { Outbox } from './outbox.ts';
import type { HubError, JoinOptions, Message, Pending, Room, RoomEvents } from './types.ts';

type Page<T> = { readonly messages: readonly Message<T>[]; readonly more: boolean };

/** A question about the past that is not answered yet. */
interface Asked<T> {
  readonly request: HistoryRequest;
  resolve(page: Page<T>): void;
  reject(error: HubError): void;
}

/** One room: where one stands in its log, and what waits for its answers. */
export class RoomClient<T, S> implements Room<T, S> {
  readonly name: string;
  place: Place | undefined;
  members: readonly string[] | undefined;
  count = 0;
  /** Whether this connection is a member. */
  joined = false;
  readonly #link: Link;
  readonly #outbox: Outbox;
  readonly #options: JoinOptions;
  readonly #left: () => void;
  readonly #events = new Events<RoomEvents<T, S>>();
  readonly #asked = new Map<string, Asked<T>>();
  #questions = 0;
  #again = false;
  #shown = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param left is called when one leaves. */
  constructor(name: string, link: Link, outbox: Outbox, options: JoinOptions, left: () => void) {
    this.name = name;
    this.#link = link;
    this.#outbox = outbox;
    this.#options = options;
    this.#left = left;
  }

  on<E extends keyof RoomEvents<T, S>>(event: E, handler: (told: RoomEvents<T, S>[E]) => void): () => void {
    return this.#events.on(event, handler);
  }

  get pending(): readonly Pending<T>[] {
    const mine = this.#outbox.items.filter(({ room }) => room === this.name);
    return mine.map(({ id, json }) => ({ id, data: JSON.parse(json) as T }));
  }

  send(data: T): Promise<number> {
    return this.#outbox.add(this.name, data);
  }

  signal(data: S): void {
    if (!this.joined || !this.#outbox.takeToken()) return;
    this.#link.send(JSON.stringify({ t: 'signal', room: this.name, data }));
  }

  history(of: { before?: number; after?: number; limit?: number } = {}): Promise<Page<T>> {
    const id = `${++this.#questions}`;
    const request: HistoryRequest = { t: 'history', room: this.name, id, ...of };
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { request, resolve, reject });
      if (this.joined) this.#link.send(request);
    });
  }

  shown(seq: number): void {
    if (seq <= this.#shown) return;
    this.#shown = seq;
    if (this.joined) this.#link.send({ t: 'ack', room: this.name, seq });
  }

  leave(): void {
    if (this.joined) this.#link.send({ t: 'leave', room: this.name });
    this.end(hubError('left', `${this.name} was left`, this.name));
    this.#left();
  }

  /** Asks for membership: a connection is live. Later ones go on where this one ends. */
  join(): void {
    const { history, since } = this.#options;
    const from = this.place ?? since;
    this.#link.send({ t: 'join', room: this.name, ...(from ? { since: from } : history && { history }) });
  }

  /** The connection is lost: the next one joins again. */
  lost(): void {
    this.joined = false;
    clearTimeout(this.#timer);
  }

  /** No answer comes any more. */
  end(error: HubError): void {
    this.lost();
    for (const { reject } of this.#asked.values()) reject(error);
    this.#asked.clear();
  }

  receive(message: ServerMessage): void {
    if (message.t === 'message') this.#onMessage(message);
    else if (message.t === 'joined') this.#onJoined(message);
    else if (message.t === 'gap') this.#onGap(message);
    else if (message.t === 'presence') this.#onPresence(message);
    else if (message.t === 'history') this.#onHistory(message);
    else if (message.t === 'signal') {
      this.#events.emit('signal', { from: message.from, data: message.data as S });
    }
  }

  sent(id: string, seq: number): void {
    this.#events.emit('sent', { id, seq });
  }

  failedToSend(id: string, data: unknown, error: HubError): void {
    this.#events.emit('failed', { id, data: data as T, error });
  }

  /** @returns whether the error is dealt with here: by asking again later, or by a promise. Who may not join need not wait for anything. */
  failed(error: ErrorMessage): boolean {
    const asked = error.id === undefined ? undefined : this.#asked.get(error.id);
    if (error.retry && asked) {
      setTimeout(() => this.joined && this.#link.send(asked.request), error.retryAfter);
      return true;
    }
    if (error.retry && !this.joined) {
      this.#timer = setTimeout(() => this.join(), error.retryAfter);
      return true;
    }
    const failure = hubError(error.code, error.message, this.name);
    if (asked) {
      this.#asked.delete(asked.request.id as string);
      asked.reject(failure);
    } else if (!this.joined) {
      this.end(failure);
      this.#outbox.drop(this.name, failure);
    }
    return asked !== undefined;
  }

  #onJoined({ epoch, seq, recovered, count, members }: Joined): void {
    const again = this.#again;
    this.#again = true;
    this.joined = true;
    this.place = { epoch, seq };
    this.count = count;
    this.members = members;
    this.#events.emit('joined', { place: this.place, recovered, again });
    for (const { request } of this.#asked.values()) this.#link.send(request);
    this.#outbox.flush();
  }

  #onMessage({ seq, id, from, at, data }: Said): void {
    if (!this.place || seq <= this.place.seq) return;
    this.place = { epoch: this.place.epoch, seq };
    this.#events.emit('message', { seq, id, from, at, data: data as T });
  }

  #onGap({ from, to, why }: GapMessage): void {
    if (this.place) this.place = { epoch: this.place.epoch, seq: Math.max(this.place.seq, to) };
    this.#events.emit('gap', { from, to, why });
  }

  #onPresence({ count, joined, left = [], members }: Presence): void {
    this.count = count;
    this.members = members ?? (joined && this.members && changed(this.members, joined, left));
    this.#events.emit('presence', { joined: joined ?? [], left });
  }

  #onHistory({ id = '', messages, more }: History): void {
    const asked = this.#asked.get(id);
    this.#asked.delete(id);
    asked?.resolve({ messages: messages as readonly Message<T>[], more });
  }
}

function changed(members: readonly string[], joined: readonly string[], left: readonly string[]): readonly string[] {
  const there = [...members, ...joined];
  for (const name of left) {
    const at = there.indexOf(name);
    if (at >= 0) there.splice(at, 1);
  }
  return there;
}
