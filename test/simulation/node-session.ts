import type { SlowPolicy } from '../../src/hub/settings.ts';
import type { ClientMessage, Gap, Place, ServerMessage } from '../../src/protocol/v1.ts';
import { Violation } from './session.ts';
import type { SharedLog } from './shared-log.ts';

/** A message as the client was shown it. */
interface Shown {
  readonly id: string;
  readonly from: string;
  readonly data: unknown;
}

/** The knowledge that a client has of a room. It outlives connections and servers. */
interface Knowledge {
  place: Place | undefined;
  /** Places that it had before, the last one of each epoch: another window may have stored one. */
  readonly earlier: Map<string, Place>;
  /** The messages that it was shown in the current epoch or one that shares them, by seq. */
  readonly shown: Map<number, Shown>;
}

/** A room as the messages of the current connection describe it. */
interface View {
  place: Place;
  /** The gap that must come next, as `joined` implies. */
  expectedGap: Pick<Gap, 'from' | 'to' | 'why'> | undefined;
  members: string[] | undefined;
  count: number;
  /** The highest `sent` in this membership: the server knows that the client knows of it. */
  lastSent: number;
}

interface Join {
  readonly since: Place | undefined;
  /** The place is not one that a server gave. */
  readonly isMadeUp: boolean;
}

interface SentMessage {
  readonly room: string;
  readonly data: string;
  /** The number of the connection that sent it first. */
  readonly connection: number;
  retried: boolean;
  /** Attempts in the current connection that are not answered. */
  open: number;
  /** Its place, by its acknowledgement. Undefined again once it is lost. */
  place: Place | undefined;
}

type ServerMessageOf<T extends ServerMessage['t']> = Extract<ServerMessage, { readonly t: T }>;

/** How often what happened, over all sessions. */
export interface Counts {
  shown: number;
  /** `joined` with `lost`, on a resume and unasked. */
  lostOnResume: number;
  lostWhileJoined: number;
  /** Messages that were shown or acknowledged, and that the client was told are lost. */
  toldLost: number;
  /**
   * Acknowledged messages that were lost, above the place with which their client resumed: it was
   * not told, and must send them again.
   */
  untold: number;
  recoveredElsewhere: number;
  refused: number;
}

/**
 * A client of `pumphouse.v1` that connects to any node and trusts none. Checks each message against
 * the protocol, against what it was shown before, and against the lives of the shared log.
 */
export class NodeSession {
  readonly user: string;
  readonly views = new Map<string, View>();
  readonly messages = new Map<string, SentMessage>();
  /** The rooms that it has asked to join and not to leave. */
  readonly rooms = new Set<string>();
  readonly #log: SharedLog;
  readonly #policy: (room: string) => SlowPolicy;
  readonly #counts: Counts;
  readonly #knowledge = new Map<string, Knowledge>();
  #joins = new Map<string, Join[]>();
  #leaves = new Map<string, number>();
  /** Requests for history without an answer, by id. */
  #requests = new Set<string>();
  /** Every message, in the order in which it was first sent. */
  readonly #sendOrder: { readonly room: string; readonly connection: number; readonly id: string }[] = [];
  /** Messages that were sent once, and acknowledged in the same connection. */
  readonly #sentOnce = new Set<string>();
  #connection = 0;
  #welcomed = false;
  #ids = 0;

  constructor(user: string, log: SharedLog, policy: (room: string) => SlowPolicy, counts: Counts) {
    this.user = user;
    this.#log = log;
    this.#policy = policy;
    this.#counts = counts;
  }

  placeIn(room: string): Place | undefined {
    return this.#knowledge.get(room)?.place;
  }

  earlierPlacesIn(room: string): readonly Place[] {
    return [...(this.#knowledge.get(room)?.earlier.values() ?? [])];
  }

  /** The rooms that it has a place in. */
  get placedRooms(): readonly string[] {
    return [...this.#knowledge].filter(([, { place }]) => place !== undefined).map(([room]) => room);
  }

  isJoining(room: string): boolean {
    return (this.#joins.get(room)?.length ?? 0) > 0;
  }

  connected(): void {
    this.#connection++;
    this.#welcomed = false;
  }

  /** The connection is closed. Open requests stay unanswered. */
  disconnected(): void {
    this.views.clear();
    this.rooms.clear();
    this.#joins.clear();
    this.#leaves.clear();
    this.#requests.clear();
    for (const message of this.messages.values()) message.open = 0;
  }

  join(room: string, since?: Place, history = 0, isMadeUp = false): ClientMessage {
    this.rooms.add(room);
    this.#joins.set(room, [...(this.#joins.get(room) ?? []), { since, isMadeUp }]);
    return { t: 'join', room, ...(since && { since }), ...(history > 0 && { history }) };
  }

  leave(room: string): ClientMessage {
    this.rooms.delete(room);
    this.#leaves.set(room, (this.#leaves.get(room) ?? 0) + 1);
    return { t: 'leave', room };
  }

  send(room: string, data: string): ClientMessage {
    const id = `${this.user}-${++this.#ids}`;
    this.messages.set(id, { room, data, connection: this.#connection, retried: false, open: 1, place: undefined });
    this.#sendOrder.push({ room, connection: this.#connection, id });
    return { t: 'send', room, id, data };
  }

  retry(id: string): ClientMessage {
    const message = this.messages.get(id) as SentMessage;
    message.open++;
    message.retried = true;
    return { t: 'send', room: message.room, id, data: message.data };
  }

  history(room: string, range: { readonly before?: number; readonly after?: number }, limit: number): ClientMessage {
    const id = `${this.user}-h${++this.#ids}`;
    this.#requests.add(id);
    return { t: 'history', room, id, limit, ...range };
  }

  /** Checks a message of a server. @throws Violation */
  receive(message: ServerMessage): void {
    if (!this.#welcomed && message.t !== 'welcome') this.#fail(message, 'came before the welcome');
    this.#welcomed = true;
    if (message.t === 'joined') this.#joined(message);
    else if (message.t === 'left') this.#left(message);
    else if (message.t === 'message') this.#message(message);
    else if (message.t === 'gap') this.#gap(message);
    else if (message.t === 'sent') this.#sent(message);
    else if (message.t === 'error') this.#error(message);
    else if (message.t === 'presence') this.#presence(message);
    else if (message.t === 'history') this.#history(message);
    else if (message.t === 'signal' && message.from === this.user) this.#fail(message, 'was returned to its sender');
  }

  /** Checks that nothing is open, and that it is where the logs are. @throws Violation */
  checkEnd(membersOf: (room: string) => string[]): void {
    for (const [room, { place, expectedGap, count, members }] of this.views) {
      const { epoch, records } = this.#log.life(room);
      if (expectedGap) this.#fail(expectedGap, `never came in ${room}`);
      if (place.epoch !== epoch || place.seq !== records.length) {
        this.#fail(place, `is not the head of ${room}: ${epoch} ${records.length}`);
      }
      const expected = membersOf(room);
      if (count !== expected.length) this.#fail(count, `is not the number of members of ${room}: ${expected.length}`);
      if (members && members.toSorted().join() !== expected.toSorted().join()) {
        this.#fail(members, `are not the members of ${room}: ${expected}`);
      }
    }
    for (const [room, joins] of this.#joins) if (joins.length > 0) this.#fail(room, 'has joins without an answer');
    for (const [room, leaves] of this.#leaves) if (leaves > 0) this.#fail(room, 'has leaves without an answer');
    if (this.#requests.size > 0) this.#fail([...this.#requests], 'are requests without an answer');
    for (const [id, { open }] of this.messages) if (open > 0) this.#fail(id, `has ${open} attempts without an answer`);
    this.#checkKnowledge();
    this.#checkSent();
  }

  /** Everything that it was shown, and was not told is lost, is in the logs, and each id once. */
  #checkKnowledge(): void {
    for (const [room, { place, shown }] of this.#knowledge) {
      const ids = new Map<string, number>();
      for (const [seq, message] of shown) {
        this.#checkRecord({ epoch: (place as Place).epoch, seq }, message, `at ${seq} of ${room}`);
        const key = `${message.from} ${message.id}`;
        if (message.id === '') continue;
        if (ids.has(key)) this.#fail(message, `was shown at ${ids.get(key)} and ${seq} of ${room}`);
        ids.set(key, seq);
      }
    }
  }

  /** Each acknowledged message is where it was acknowledged, in the order of the sends. */
  #checkSent(): void {
    const last = new Map<string, number>();
    for (const { room, connection, id } of this.#sendOrder) {
      const { place, data } = this.messages.get(id) as SentMessage;
      if (!place) this.#fail(id, 'was never acknowledged');
      const { epoch } = this.#log.life(room);
      const { seq } = place as Place;
      const end = this.#log.shared((place as Place).epoch, epoch) ?? 0;
      if (seq > end) this.#fail(id, `is lost at ${seq}, of which it was not told`);
      this.#checkRecord({ epoch, seq }, { id, from: this.user, data }, 'as acknowledged');
      if (!this.#sentOnce.has(id)) continue;
      const key = `${room} ${connection}`;
      if (seq < (last.get(key) ?? 0)) this.#fail(id, `is at ${seq} of ${room}, before a message that was sent earlier`);
      last.set(key, seq);
    }
  }

  // ── Joins and moves ───────────────────────────────────────────────────────────────────────────

  #joined(message: ServerMessageOf<'joined'>): void {
    const { room, epoch, seq, recovered, count, members } = message;
    const view = this.views.get(room);
    if (!this.#log.lifeOf(epoch)) this.#fail(message, 'names an epoch that never was');
    if (view && view.place.epoch !== epoch) {
      this.#moved(message, view);
      return;
    }
    const join = this.#joins.get(room)?.shift();
    if (!join) this.#fail(message, 'answers no join');
    if (view) {
      if (view.place.seq !== seq) this.#fail(message, `rejoins at another place than ${view.place.seq}`);
      view.members = members && [...members];
      view.count = count;
      return;
    }
    const { since, isMadeUp } = join as Join;
    const expectedGap = since && !isMadeUp ? this.#resumed(message, since) : this.#expectedGap(message, since);
    if (!since && !recovered) this.#fail(message, 'did not recover, but its join had no place');
    this.views.set(room, { place: { epoch, seq }, expectedGap, members: members && [...members], count, lastSent: 0 });
    this.#setPlace(room, { epoch, seq });
  }

  /** Returns the gap that an answer to a join implies, for one with a place that no server gave. */
  #expectedGap(message: ServerMessageOf<'joined'>, since: Place | undefined): View['expectedGap'] {
    const { room, epoch, seq, recovered } = message;
    this.#adoptEpoch(room, epoch, 0, undefined); // no loss is reported to it
    if (!since) return undefined;
    const end = this.#log.shared(since.epoch, epoch);
    if (end === undefined) {
      if (recovered) this.#fail(message, `recovered from the epoch ${since.epoch}`);
      return seq > 0 ? { from: 1, to: seq, why: 'epoch' } : undefined;
    }
    if (recovered && seq !== since.seq) this.#fail(message, `recovered, but not at ${since.seq}`);
    const at = Math.min(since.seq, end);
    return (!recovered && at < seq && end < Number.POSITIVE_INFINITY) || (since.seq < seq && !recovered)
      ? { from: at + 1, to: seq, why: 'trimmed' }
      : undefined;
  }

  /** The answer to a join after a place that a server gave. @returns the gap that must follow. */
  #resumed(message: ServerMessageOf<'joined'>, since: Place): View['expectedGap'] {
    const { room, epoch, seq, recovered, lost } = message;
    if (this.#indexOf(epoch) < this.#indexOf(since.epoch)) this.#fail(message, `is older than ${since.epoch}`);
    const end = this.#log.shared(since.epoch, epoch);
    this.#adoptEpoch(room, epoch, since.seq, lost);
    if (end === undefined) {
      if (recovered || lost) this.#fail(message, `recovered from another log, ${since.epoch}`);
      return seq > 0 ? { from: 1, to: seq, why: 'epoch' } : undefined;
    }
    if (since.seq > end) {
      if (recovered || lost?.from !== end + 1 || lost.to !== since.seq) {
        this.#fail(message, `does not tell that ${end + 1} to ${since.seq} are lost`);
      }
      this.#counts.lostOnResume++;
      return seq > end ? { from: end + 1, to: seq, why: 'trimmed' } : undefined;
    }
    if (lost) this.#fail(message, 'tells of lost messages that are stored');
    if (recovered && seq !== since.seq) this.#fail(message, `recovered, but not at ${since.seq}`);
    if (!recovered && seq <= since.seq) this.#fail(message, `did not recover at ${since.seq}, which it had`);
    if (recovered && epoch !== since.epoch) this.#counts.recoveredElsewhere++;
    return recovered ? undefined : { from: since.seq + 1, to: seq, why: 'trimmed' };
  }

  /** The room goes on in another epoch, as a `joined` that the member did not ask for says. */
  #moved(message: ServerMessageOf<'joined'>, view: View): void {
    const { room, epoch, seq, recovered, lost, count, members } = message;
    const { place, expectedGap, lastSent } = view;
    if (this.#indexOf(epoch) < this.#indexOf(place.epoch)) this.#fail(message, `is older than ${place.epoch}`);
    if (expectedGap) this.#fail(message, `came before the gap ${JSON.stringify(expectedGap)}`);
    const end = this.#log.shared(place.epoch, epoch) ?? 0;
    const last = Math.max(place.seq, lastSent);
    if (last > end && (lost?.from !== end + 1 || lost.to !== last || recovered)) {
      this.#fail(message, `does not tell that ${end + 1} to ${last} are lost`);
    }
    if (last <= end && (lost || !recovered)) this.#fail(message, `tells of lost messages, but ${last} is stored`);
    if (seq !== Math.min(place.seq, end)) this.#fail(message, `is not at ${Math.min(place.seq, end)}`);
    if (lost) this.#counts.lostWhileJoined++;
    this.#adoptEpoch(room, epoch, last, lost);
    view.place = { epoch, seq };
    view.lastSent = Math.min(lastSent, end);
    view.members = members && [...members];
    view.count = count;
    this.#setPlace(room, view.place);
  }

  /**
   * Forgets what is lost.
   *
   * @param last the last message that the server knows it to know of: it is not told of later ones.
   */
  #adoptEpoch(room: string, epoch: string, last: number, lost: { readonly to: number } | undefined): void {
    const knowledge = this.#knowledgeOf(room);
    const { place, shown } = knowledge;
    if (!place || place.epoch === epoch) return;
    // A client compares epochs alone. The log tells the simulation whether it is the same one.
    const end = this.#log.shared(place.epoch, epoch) ?? 0;
    for (const seq of [...shown.keys()]) if (seq > end) shown.delete(seq);
    for (const [id, message] of this.messages) {
      if (message.room !== room || !message.place) continue;
      const kept = this.#log.shared(message.place.epoch, epoch) ?? 0;
      if (message.place.seq <= kept) continue;
      if (message.place.seq > last) this.#counts.untold++;
      message.place = undefined;
      message.retried = true;
      this.#sentOnce.delete(id);
    }
    this.#counts.toldLost += lost ? lost.to - end : 0;
    knowledge.place = { epoch, seq: Math.min(place.seq, end) };
  }

  #left(message: ServerMessageOf<'left'>): void {
    const { room } = message;
    const leaves = this.#leaves.get(room) ?? 0;
    if (leaves === 0 && !this.#joins.get(room)?.length) this.#fail(message, 'answers no leave');
    this.#leaves.set(room, Math.max(0, leaves - 1));
    this.#view(message);
    this.views.delete(room);
    if (!this.#joins.get(room)?.length) this.rooms.delete(room); // its next join was refused
  }

  // ── Messages ──────────────────────────────────────────────────────────────────────────────────

  #message(message: ServerMessageOf<'message'>): void {
    const view = this.#view(message);
    const { room, seq, id, from, data } = message;
    if (view.expectedGap) this.#fail(message, `came before the gap ${JSON.stringify(view.expectedGap)}`);
    if (seq !== view.place.seq + 1) this.#fail(message, `does not follow ${view.place.seq}`);
    view.place = { epoch: view.place.epoch, seq };
    this.#setPlace(room, view.place);
    const shown = { id, from, data };
    const before = this.#knowledgeOf(room).shown.get(seq);
    if (before && JSON.stringify(before) !== JSON.stringify(shown)) {
      this.#fail(message, `was shown as ${JSON.stringify(before)} before`);
    }
    this.#checkRecord(view.place, shown, 'as received');
    this.#knowledgeOf(room).shown.set(seq, shown);
    this.#counts.shown++;
  }

  #gap(message: ServerMessageOf<'gap'>): void {
    const view = this.#view(message);
    const { room, from, to, why } = message;
    const expected = view.expectedGap;
    if (expected) {
      if (from !== expected.from || to !== expected.to || why !== expected.why) {
        this.#fail(message, `is not the expected gap ${JSON.stringify(expected)}`);
      }
      view.expectedGap = undefined;
    } else {
      if (from !== view.place.seq + 1 || to < from) this.#fail(message, `does not follow ${view.place.seq}`);
      if (why === 'epoch') this.#fail(message, 'came without a join from another epoch');
      if (why === 'slow' && this.#policy(room) === 'evict' && !this.#leaves.get(room)) {
        this.#fail(message, 'came in a room that evicts slow consumers');
      }
      view.place = { epoch: view.place.epoch, seq: to };
      this.#setPlace(room, view.place);
    }
    if (why === 'trimmed' && !this.#log.wasTrimmed(room, to)) this.#fail(message, 'includes records that are retained');
  }

  #sent(acknowledgement: ServerMessageOf<'sent'>): void {
    const { id, seq } = acknowledgement;
    const message = this.#answered(id, acknowledgement);
    const { place, room, data } = message;
    const view = this.views.get(room);
    if (!view) return; // it has left: the epoch of `seq` is not known, so it sends the message again
    const { epoch } = view.place;
    const kept = place && this.#log.shared(place.epoch, epoch);
    if (place && kept !== undefined && place.seq <= kept && place.seq !== seq) {
      this.#fail(acknowledgement, `was acknowledged at ${place.seq} before`);
    }
    view.lastSent = Math.max(view.lastSent, seq);
    if (message.connection === this.#connection && !message.retried) this.#sentOnce.add(id);
    message.place = { epoch, seq };
    this.#checkRecord(message.place, { id, from: this.user, data }, 'as acknowledged');
  }

  #error(message: ServerMessageOf<'error'>): void {
    const { id, code, room } = message;
    if (id !== undefined && this.#requests.delete(id)) return;
    if (id !== undefined) {
      this.#answered(id, message);
      return;
    }
    const join = code === 'unavailable' && room !== undefined && this.#joins.get(room)?.shift();
    if (join) {
      this.#counts.refused++;
      const leaves = this.#leaves.get(room) ?? 0;
      this.#leaves.set(room, this.views.has(room) ? Math.min(leaves, 1) : 0); // of a room that it is not in
      if (!this.views.has(room) && !this.#joins.get(room)?.length) this.rooms.delete(room);
    } else if (code !== 'not_json' && code !== 'unknown_type' && code !== 'bad_field') {
      this.#fail(message, 'answers no request');
    }
  }

  #history(message: ServerMessageOf<'history'>): void {
    const { room, id = '', messages } = message;
    if (!this.#requests.delete(id)) this.#fail(message, 'answers no request');
    const view = this.views.get(room);
    messages.forEach(({ seq, id, from, data }, i, all) => {
      if (i > 0 && seq !== (all[i - 1]?.seq as number) + 1) this.#fail(message, `has a hole before ${seq}`);
      if (view) this.#checkRecord({ epoch: view.place.epoch, seq }, { id, from, data }, 'in the history');
    });
  }

  #presence(message: ServerMessageOf<'presence'>): void {
    const view = this.#view(message);
    const { count, joined, left = [], members } = message;
    view.count = count;
    if (members) view.members = [...members];
    else if (!joined) view.members = undefined;
    else if (view.members) {
      view.members.push(...joined);
      for (const name of left) {
        const at = view.members.indexOf(name);
        if (at < 0) this.#fail(message, `removes ${name}, which was not a member`);
        view.members.splice(at, 1);
      }
    }
  }

  // ── Helpers ───────────────────────────────────────────────────────────────────────────────────

  #answered(id: string, answer: ServerMessage): SentMessage {
    const message = this.messages.get(id);
    if (!message || message.open === 0) this.#fail(answer, 'answers no open send');
    (message as SentMessage).open--;
    return message as SentMessage;
  }

  /** Checks that the life of the log has the same message at this place. */
  #checkRecord(place: Place, content: Shown, how: string): void {
    const record = this.#log.record(place);
    const stored = record && { id: record.id, from: record.from, data: dataOf(record) };
    if (JSON.stringify(stored) !== JSON.stringify(content)) {
      this.#fail({ place, content }, `${how}, differs from the stored record ${JSON.stringify(stored)}`);
    }
  }

  #setPlace(room: string, place: Place): void {
    const knowledge = this.#knowledgeOf(room);
    knowledge.place = place;
    knowledge.earlier.set(place.epoch, place);
  }

  #knowledgeOf(room: string): Knowledge {
    const knowledge = this.#knowledge.get(room) ?? { place: undefined, earlier: new Map(), shown: new Map() };
    this.#knowledge.set(room, knowledge);
    return knowledge;
  }

  #indexOf(epoch: string): number {
    return this.#log.lifeOf(epoch)?.index ?? -1;
  }

  #view(message: { readonly t: string; readonly room: string }): View {
    const view = this.views.get(message.room);
    if (!view) this.#fail(message, 'belongs to a room that the client is not in');
    return view as View;
  }

  #fail(subject: unknown, violation: string): never {
    throw new Violation(`${this.user}: ${JSON.stringify(subject)} ${violation}`);
  }
}

function dataOf({ json, data }: { readonly json: boolean; readonly data: string }): unknown {
  return json ? JSON.parse(data) : { text: data };
}
