import type {
  ErrorMessage,
  Gap as GapMessage,
  History,
  HistoryRequest,
  Join,
  Joined,
  Left,
  Place,
  Presence,
  Change as RoomChange,
  Message as RoomRecord,
} from '../../src/protocol/v1.ts';
import { hubError } from './error.ts';
import { Events } from './events.ts';
import { encodeData, withData } from './json.ts';
import type { Link, RoomMessage } from './link.ts';
import type { Outbox } from './outbox.ts';
import type { HubError, JoinOptions, Pending, PendingChange, Room, RoomEvents, SendOptions } from './types.ts';

type Page<T> = Awaited<ReturnType<Room<T, never>['history']>>;

/** A history request that the server has not answered. */
interface PendingRequest<T> {
  readonly request: HistoryRequest;
  resolve(page: Page<T>): void;
  reject(error: HubError): void;
}

/** A joined room: its place in the log, its members and its unanswered requests. */
export class RoomClient<T, S> implements Room<T, S> {
  readonly name: string;
  place: Place | undefined;
  members: readonly string[] | undefined;
  count = 0;
  /** Whether the current connection is a member. */
  joined = false;
  readonly #link: Link;
  readonly #outbox: Outbox;
  readonly #options: JoinOptions;
  readonly #onLeave: (error: HubError) => void;
  readonly #events = new Events<RoomEvents<T, S>>();
  readonly #requests = new Map<string, PendingRequest<T>>();
  #lastRequestId = 0;
  #shownSeq = 0;
  /** Whether this membership has yet to report `#shownSeq`, which an earlier one may have lost. */
  #shownUnsent = false;
  /** The error of requests that cannot succeed: the join was rejected, or the membership ended. */
  #ended: HubError | undefined;
  #joinTimer: ReturnType<typeof setTimeout> | undefined;

  /** @param onLeave called when the room was left, with the error of the unanswered requests. */
  constructor(name: string, link: Link, outbox: Outbox, options: JoinOptions, onLeave: (error: HubError) => void) {
    this.name = name;
    this.#link = link;
    this.#outbox = outbox;
    this.#options = options;
    this.#onLeave = onLeave;
  }

  on<E extends keyof RoomEvents<T, S>>(event: E, handler: (payload: RoomEvents<T, S>[E]) => void): () => void {
    return this.#events.on(event, handler);
  }

  get pending(): readonly Pending<T>[] {
    return this.#unsent.filter(({ op }) => !op);
  }

  get pendingChanges(): readonly PendingChange<T>[] {
    return this.#unsent.filter(({ op }) => op) as PendingChange<T>[];
  }

  get #unsent(): readonly (Pending<T> & SendOptions)[] {
    const items = this.#outbox.items.filter(({ room }) => room === this.name);
    return items.map(({ id, json, more }) => ({ id, data: JSON.parse(json), ...more }));
  }

  send(data: unknown, more?: SendOptions): Promise<number> {
    return this.#outbox.add(this.name, data, this.#ended, more);
  }

  signal(data: unknown): void {
    const json = encodeData(data, 'signal');
    if (!this.joined || !this.#outbox.takeToken()) return;
    this.#link.send(withData({ t: 'signal', room: this.name }, json));
  }

  history(of: { before?: number; after?: number; limit?: number } = {}): Promise<Page<T>> {
    if (this.#ended) return Promise.reject(this.#ended);
    const id = `${++this.#lastRequestId}`;
    const { changes } = this.#options; // JSON leaves out undefined
    const request = { t: 'history', room: this.name, id, changes, ...of } as HistoryRequest;
    return new Promise((resolve, reject) => {
      this.#requests.set(id, { request, resolve, reject });
      if (this.joined) this.#link.send(request);
    });
  }

  shown(seq: number): void {
    if (seq <= this.#shownSeq) return;
    this.#shownSeq = seq;
    if (this.joined) this.#sendShown();
  }

  leave(): void {
    if (this.joined) this.#link.send({ t: 'leave', room: this.name });
    const left = hubError({ code: 'left', message: `left the room ${this.name}`, room: this.name });
    this.end(left);
    this.#onLeave(left);
  }

  /** The request for membership: a reconnection resumes at the place reached before. */
  get request(): Join {
    const { history, since, changes } = this.#options;
    const resumeFrom = this.place ?? since;
    return {
      t: 'join',
      room: this.name,
      changes,
      ...(resumeFrom ? { since: resumeFrom } : history && { history }),
    } as Join;
  }

  /** Requests membership on a live connection. */
  join(): void {
    this.#link.send(this.request);
  }

  /**
   * Ends the membership with the connection. Unanswered requests are sent again after the next
   * join.
   */
  disconnect(): void {
    this.joined = false;
    this.#shownUnsent = false;
    this.#ended = undefined;
    clearTimeout(this.#joinTimer);
  }

  /** Ends the membership and rejects all unanswered requests. */
  end(error: HubError): void {
    this.disconnect();
    this.#ended = error;
    for (const { reject } of this.#requests.values()) reject(error);
    this.#requests.clear();
  }

  receive(message: RoomMessage): void {
    if (message.t === 'message' || message.t === 'change') this.#onRecord(message);
    else if (message.t === 'joined') this.#onJoined(message);
    else if (message.t === 'gap') this.#onGap(message);
    else if (message.t === 'presence') this.#onPresence(message);
    else if (message.t === 'left') this.#onLeft(message);
    else if (message.t === 'history') this.#onHistory(message);
    else if (message.t === 'signal' || message.t === 'read') {
      const { t, room: _, ...payload } = message;
      this.#events.emit(t, payload as never);
    }
    // The server rejects the report of a message that it has not delivered in this membership.
    if (this.#shownUnsent && this.#shownSeq <= (this.place?.seq ?? 0)) this.#sendShown();
  }

  /** Reports what became of a message that was sent. */
  emit<K extends 'sent' | 'failed'>(name: K, event: RoomEvents<T, S>[K]): void {
    this.#events.emit(name, event);
  }

  /**
   * Handles an error of a history request or of the join. If the server allows a retry, sends the
   * request again later. If the join is rejected for good, fails all unanswered requests and
   * messages, and later ones at once until the next connection.
   *
   * @returns whether the error is fully handled. If not, the hub must emit it.
   */
  handleError(error: ErrorMessage): boolean {
    const pending = this.#requests.get(error.id as string);
    if (error.retry && pending) {
      setTimeout(() => this.joined && this.#link.send(pending.request), error.retryAfter);
      return true;
    }
    if (error.retry && !this.joined) {
      this.#joinTimer = setTimeout(() => this.join(), error.retryAfter);
      return true;
    }
    const failure = hubError(error);
    if (pending) {
      this.#requests.delete(pending.request.id as string);
      pending.reject(failure);
    } else if (!this.joined) {
      this.end(failure);
      this.#outbox.drop(this.name, failure);
    }
    return pending !== undefined;
  }

  #sendShown(): void {
    this.#shownUnsent = false;
    this.#link.send({ t: 'ack', room: this.name, seq: this.#shownSeq });
  }

  /**
   * Handles the reply to a join, or a log that continues in another epoch. In the latter case the
   * server still answers the requests in flight.
   */
  #onJoined({ epoch, seq, recovered, lost, count, members }: Joined): void {
    const previous = this.place ?? this.#options.since;
    // A log that was replaced counts from 1 again; one that lost messages, from the first of them.
    if (lost) this.#shownSeq = Math.min(this.#shownSeq, lost.from - 1);
    else if (!recovered && previous && previous.epoch !== epoch) {
      this.#shownSeq = 0;
      // Their numbers are those of other messages now.
      this.#outbox.drop(this.name, hubError({ code: 'not_found', message: 'the message was lost' }), true);
    }
    this.#shownUnsent = this.#shownSeq > 0;
    const again = !!this.place;
    const unasked = this.joined;
    this.joined = true;
    this.place = { epoch, seq };
    this.count = count;
    this.members = members;
    // Those of a handler of `joined` are sent by themselves.
    if (!unasked) for (const { request } of this.#requests.values()) this.#link.send(request);
    this.#events.emit('joined', { place: this.place, recovered, again, lost });
    this.#outbox.flush();
  }

  #onRecord({ t, room: _, ...record }: RoomRecord | RoomChange): void {
    const { seq } = record;
    if (!this.place || seq <= this.place.seq) return;
    this.place = { ...this.place, seq };
    this.#events.emit(t, record as never);
  }

  #onGap({ from, to, why }: GapMessage): void {
    if (this.place) this.place = { ...this.place, seq: Math.max(this.place.seq, to) };
    this.#events.emit('gap', { from, to, why });
  }

  #onPresence({ count, joined, left = [], members }: Presence): void {
    this.count = count;
    this.members = members ?? (joined && this.members && updateMembers(this.members, joined, left));
    this.#events.emit('presence', { joined: joined ?? [], left });
  }

  /** Ignores the answer to a `leave()` before the room was joined again. */
  #onLeft({ removed }: Left): void {
    if (!removed || !this.joined) return;
    const error = hubError({ code: 'removed', message: `removed from the room ${this.name}`, room: this.name });
    this.end(error);
    this.#onLeave(error);
    this.#events.emit('removed', error);
  }

  #onHistory({ t: _t, room: _, id = '', ...page }: History): void {
    const pending = this.#requests.get(id);
    this.#requests.delete(id);
    pending?.resolve(page as Page<T>);
  }
}

/**
 * Removes one entry for each name in `left`, since a user with several connections is listed
 * several times.
 */
function updateMembers(members: readonly string[], joined: readonly string[], left: readonly string[]) {
  const updated = [...members, ...joined];
  for (const name of left) {
    const index = updated.indexOf(name);
    if (index >= 0) updated.splice(index, 1);
  }
  return updated;
}
