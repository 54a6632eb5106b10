import type { SlowPolicy } from '../../src/hub/settings.ts';
import type { Change, ClientMessage, Gap, Place, ServerMessage } from '../../src/protocol/v1.ts';
import { checkHistory, isRecordOf, type SendFields, Violation } from './session.ts';
import type { Life, SharedLog } from './shared-log.ts';
import { Copies, type Truth } from './truth.ts';

/** The knowledge that a client has of a room. It outlives connections and servers. */
interface Knowledge {
  place: Place | undefined;
  /** Places that it had before, the last one of each epoch: another window may have stored one. */
  readonly earlier: Map<string, Place>;
  /** The ids of what it was shown in the current epoch or one that shares them, by seq. */
  readonly shown: Map<number, string>;
  /** The messages as it shows them. */
  readonly copies: Copies;
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
  /** Whether it has said in its last join that it understands changes. */
  changes: boolean;
}

interface Join {
  readonly since: Place | undefined;
  /** The place is not one that a server gave. */
  readonly isMadeUp: boolean;
  readonly changes: boolean;
}

interface SentMessage {
  readonly room: string;
  readonly fields: SendFields;
  /** The number of the connection that sent it first. */
  readonly connection: number;
  retried: boolean;
  /** Attempts in the current connection that are not answered. */
  open: number;
  /** Its place, by its acknowledgement. Undefined again once it is lost. */
  place: Place | undefined;
  /** It may not be stored, by the last answer. */
  isRefused: boolean;
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
  /** Changes that it has applied, and changes and replies that may not be stored. */
  applied: number;
  rejected: number;
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
  /** Requests for history without an answer, by id, with their `changes`. */
  #requests = new Map<string, boolean | undefined>();
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

  join(room: string, changes: boolean, since?: Place, history = 0, isMadeUp = false): ClientMessage {
    this.rooms.add(room);
    this.#joins.set(room, [...(this.#joins.get(room) ?? []), { since, isMadeUp, changes }]);
    return { t: 'join', room, ...(since && { since }), ...(history > 0 && { history }), ...(changes && { changes }) };
  }

  leave(room: string): ClientMessage {
    this.rooms.delete(room);
    this.#leaves.set(room, (this.#leaves.get(room) ?? 0) + 1);
    return { t: 'leave', room };
  }

  send(room: string, fields: SendFields): ClientMessage {
    const id = `${this.user}-${++this.#ids}`;
    const sent = { room, fields, retried: false, open: 1, place: undefined, isRefused: false };
    this.messages.set(id, { ...sent, connection: this.#connection });
    this.#sendOrder.push({ room, connection: this.#connection, id });
    return { t: 'send', room, id, ...fields };
  }

  retry(id: string): ClientMessage {
    const message = this.messages.get(id) as SentMessage;
    message.open++;
    message.retried = true;
    message.isRefused = false;
    return { t: 'send', room: message.room, id, ...message.fields };
  }

  /** Returns the ids of the last `count` messages that it has sent to rooms that it is in. */
  lastIds(count: number): string[] {
    const ids: string[] = [];
    for (let i = this.#sendOrder.length - 1; i >= 0 && ids.length < count; i--) {
      const { room, id } = this.#sendOrder[i] as { room: string; id: string };
      if (this.rooms.has(room)) ids.push(id);
    }
    return ids.reverse();
  }

  history(room: string, range: object, limit: number, changes: boolean | undefined): ClientMessage {
    const id = `${this.user}-h${++this.#ids}`;
    this.#requests.set(id, changes);
    return { t: 'history', room, id, limit, ...range, ...(changes !== undefined && { changes }) };
  }

  /** Checks a message of a server. @throws Violation */
  receive(message: ServerMessage): void {
    if (!this.#welcomed && message.t !== 'welcome') this.#fail(message, 'came before the welcome');
    this.#welcomed = true;
    if (message.t === 'joined') this.#joined(message);
    else if (message.t === 'left') this.#left(message);
    else if (message.t === 'message') this.#message(message);
    else if (message.t === 'change') this.#change(message);
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
      if (place.epoch !== epoch || !this.#passes(room, place, records.length)) {
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
    if (this.#requests.size > 0) this.#fail([...this.#requests.keys()], 'are requests without an answer');
    for (const [id, { open }] of this.messages) if (open > 0) this.#fail(id, `has ${open} attempts without an answer`);
    this.#checkKnowledge();
    this.#checkSent();
  }

  /** Everything that it was shown, and was not told is lost, is in the logs, and each id once. */
  #checkKnowledge(): void {
    for (const [room, { place, shown, copies }] of this.#knowledge) {
      const ids = new Map<string, number>();
      const truth = this.#truthOf((place as Place).epoch);
      for (const [seq, id] of shown) {
        if (truth.record(seq)?.id !== id) this.#fail(id, `was shown at ${seq} of ${room}, but is not there`);
        if (id === '') continue;
        if (ids.has(id)) this.#fail(id, `was shown at ${ids.get(id)} and ${seq} of ${room}`);
        ids.set(id, seq);
      }
      const difference = copies.compare(truth);
      if (difference) this.#fail(room, difference);
    }
  }

  /** Each acknowledged message is where it was acknowledged, in the order of the sends. */
  #checkSent(): void {
    const last = new Map<string, number>();
    for (const { room, connection, id } of this.#sendOrder) {
      const { place, fields, isRefused } = this.messages.get(id) as SentMessage;
      if (!place && isRefused) continue;
      if (!place) this.#fail(id, 'was never acknowledged');
      const { epoch } = this.#log.life(room);
      const { seq } = place as Place;
      const end = this.#log.shared((place as Place).epoch, epoch) ?? 0;
      if (seq > end) this.#fail(id, `is lost at ${seq}, of which it was not told`);
      this.#checkAcknowledged({ epoch, seq }, id, fields);
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
    const { since, isMadeUp, changes } = join as Join;
    if (!changes) this.#knowledgeOf(room).copies.forget();
    if (view) {
      if (!this.#passes(room, view.place, seq)) this.#fail(message, `rejoins at another place than ${view.place.seq}`);
      view.place = { epoch, seq };
      view.changes = changes;
      this.#setPlace(room, view.place);
      view.members = members && [...members];
      view.count = count;
      return;
    }
    const expectedGap = since && !isMadeUp ? this.#resumed(message, since) : this.#expectedGap(message, since);
    if (!since && !recovered) this.#fail(message, 'did not recover, but its join had no place');
    const { place, copies } = this.#knowledgeOf(room);
    if (place?.epoch !== epoch || place.seq < seq) copies.forget(); // it may have missed changes
    const presence = { members: members && [...members], count };
    this.views.set(room, { place: { epoch, seq }, expectedGap, ...presence, lastSent: 0, changes });
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
    const isLast = (to: number) => to === last || this.#passes(room, { epoch: place.epoch, seq: last }, to);
    if (last > end && (lost?.from !== end + 1 || !isLast(lost.to) || recovered)) {
      this.#fail(message, `does not tell that ${end + 1} to ${last} are lost`);
    }
    const tellsOfHidden = lost && lost.from === end + 1 && isLast(lost.to) && !recovered;
    if (last <= end && (lost || !recovered) && !tellsOfHidden) {
      this.#fail(message, `tells of lost messages, but ${last} is stored`);
    }
    const isAt = seq === end || seq === place.seq || this.#passes(room, place, seq);
    if (seq < Math.min(place.seq, end) || seq > end || !isAt) {
      this.#fail(message, `is not at ${Math.min(place.seq, end)}`);
    }
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
    const { place, shown, copies } = knowledge;
    if (!place || place.epoch === epoch) return;
    // A client compares epochs alone. The log tells the simulation whether it is the same one.
    const end = this.#log.shared(place.epoch, epoch) ?? 0;
    for (const seq of [...shown.keys()]) if (seq > end) shown.delete(seq);
    copies.cut(end);
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
    const { t: _, room, ...fields } = message;
    const { changes, place } = this.#next(message);
    const checks = this.#livesFrom(room, place).map(({ truth }) =>
      changes ? truth.checkMessage(fields) : truth.checkPlainMessage(fields),
    );
    if (!checks.includes(undefined)) this.#fail(message, checks[0] as string);
    if (changes) this.#knowledgeOf(room).copies.add(fields);
    this.#counts.shown++;
  }

  #change(message: Change): void {
    const { changes, place } = this.#next(message);
    if (!changes) this.#fail(message, 'came to a member that knows no changes');
    const checks = this.#livesFrom(message.room, place).map(({ truth }) => truth.checkChange(message));
    if (!checks.includes(undefined)) this.#fail(message, checks[0] as string);
    if (this.#knowledgeOf(message.room).copies.apply(message)) this.#counts.applied++;
  }

  /** The record follows the last one. @returns the view, which is at its place. */
  #next(message: ServerMessageOf<'message' | 'change'>): View {
    const view = this.#view(message);
    const { room, seq, id } = message;
    if (view.expectedGap) this.#fail(message, `came before the gap ${JSON.stringify(view.expectedGap)}`);
    if (seq <= view.place.seq || !this.#passes(room, view.place, seq - 1)) {
      this.#fail(message, `does not follow ${view.place.seq}`);
    }
    view.place = { epoch: view.place.epoch, seq };
    this.#setPlace(room, view.place);
    const { shown } = this.#knowledgeOf(room);
    const before = shown.get(seq);
    if (before !== undefined && before !== id) this.#fail(message, `was shown as ${before} before`);
    shown.set(seq, id);
    return view;
  }

  /** Whether the client may be past all records up to `seq`: it is shown nothing of them. */
  #passes(room: string, place: Place, seq: number): boolean {
    const from = place.seq;
    if (from === seq) return true;
    if (from > seq || this.views.get(room)?.changes !== false) return false;
    return this.#livesFrom(room, place).some(({ truth }) => truth.areHidden(from + 1, seq));
  }

  #gap(message: ServerMessageOf<'gap'>): void {
    const view = this.#view(message);
    const { room, from, to, why } = message;
    const expected = view.expectedGap;
    this.#knowledgeOf(room).copies.forget(); // changes of what it has may be among the missing records
    if (expected) {
      if (from !== expected.from || to !== expected.to || why !== expected.why) {
        this.#fail(message, `is not the expected gap ${JSON.stringify(expected)}`);
      }
      view.expectedGap = undefined;
    } else {
      if (to < from || !this.#passes(room, view.place, from - 1)) {
        this.#fail(message, `does not follow ${view.place.seq}`);
      }
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
    const { place, room, fields } = message;
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
    this.#checkAcknowledged(message.place, id, fields);
  }

  #error(message: ServerMessageOf<'error'>): void {
    const { id, code, room } = message;
    if (id !== undefined && this.#requests.delete(id)) return;
    if (id !== undefined) {
      this.#rejected(this.#answered(id, message), message);
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

  /** Checks that a refusal is right. */
  #rejected(sent: SentMessage, error: ServerMessageOf<'error'>): void {
    const { room, fields, place } = sent;
    if (error.code !== 'not_found' && error.code !== 'forbidden') return;
    sent.isRefused = true;
    this.#counts.rejected++;
    const lives = this.#log.lives(room);
    const { epoch } = this.#log.life(room);
    const isStored = place && place.seq <= (this.#log.shared(place.epoch, epoch) ?? 0);
    if (isStored && lives.every(({ records }) => records[place.seq - 1]?.id === error.id)) {
      this.#fail(error, `refuses what is stored at ${place.seq}`);
    }
    const target = 'of' in fields ? fields.of : (fields.reply ?? 0);
    const isOwn = lives.every(({ truth }) => truth.record(target)?.sender === this.user);
    if (error.code === 'forbidden' && isOwn) this.#fail(error, 'refuses a change of its own message');
  }

  #history(message: ServerMessageOf<'history'>): void {
    const { room, id = '', messages, from, to } = message;
    if (!this.#requests.has(id)) this.#fail(message, 'answers no request');
    const changes = this.#requests.get(id);
    this.#requests.delete(id);
    const view = this.views.get(room);
    if (!view) return;
    const wrong = this.#livesFrom(room, view.place).map(({ truth }) =>
      checkHistory(truth, messages, from, to, changes),
    );
    if (!wrong.includes(undefined)) this.#fail(message, wrong[0] as string);
    const { copies } = this.#knowledgeOf(room);
    if (view.changes) for (const each of messages) if (each.seq <= view.place.seq) copies.add(each);
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

  /** Checks that the life of the log has what was sent at this place. */
  #checkAcknowledged({ epoch, seq }: Place, id: string, fields: SendFields): void {
    const record = this.#truthOf(epoch).record(seq);
    if (record?.id !== id || record.from !== this.user || !isRecordOf(fields, record)) {
      this.#fail({ epoch, seq, id, fields }, `as acknowledged, differs from ${JSON.stringify(record)}`);
    }
  }

  /**
   * Returns the life that a place is in, and the later ones: the engine may have read a record in
   * one of them already, with the changes that it has there.
   */
  #livesFrom(room: string, { epoch }: Place): readonly Life[] {
    return this.#log.lives(room).slice(this.#indexOf(epoch));
  }

  #truthOf(epoch: string): Truth {
    const life = this.#log.lifeOf(epoch);
    return life ? life.truth : this.#fail(epoch, 'is an epoch that never was');
  }

  #setPlace(room: string, place: Place): void {
    const knowledge = this.#knowledgeOf(room);
    knowledge.place = place;
    knowledge.earlier.set(place.epoch, place);
  }

  #knowledgeOf(room: string): Knowledge {
    const known = this.#knowledge.get(room);
    if (known) return known;
    const knowledge = { place: undefined, earlier: new Map(), shown: new Map(), copies: new Copies() };
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
