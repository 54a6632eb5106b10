import type { LogRecord } from '../../src/hub/log.ts';
import type { SlowPolicy } from '../../src/hub/settings.ts';
import type { Change, ClientMessage, Gap, Place, Send, SendChange, ServerMessage } from '../../src/protocol/v1.ts';
import type { Disk } from './disk.ts';
import { Copies, type Truth } from './truth.ts';

/** A promise of the protocol was broken. */
export class Violation extends Error {}

/** A room as the messages of the server describe it. */
interface View {
  place: Place;
  /** The gap that must come next, as `joined` implies. */
  expectedGap: Pick<Gap, 'from' | 'to' | 'why'> | undefined;
  members: string[] | undefined;
  count: number;
  /** Whether it has said in its last join that it understands changes. */
  changes: boolean;
}

/** What a `send` has beside its room and its id. */
export type SendFields = Omit<Send, 't' | 'room' | 'id'> | Omit<SendChange, 't' | 'room' | 'id'>;

interface SentMessage {
  readonly room: string;
  readonly fields: SendFields;
  /** The number of the connection that sent it first. */
  readonly connection: number;
  retried: boolean;
  /** Attempts in the current connection that are not answered. */
  open: number;
  /** Its place, by its acknowledgement. */
  place: Place | undefined;
  /** It may not be stored, by the last answer. */
  isRefused: boolean;
  /** The head of the log when it was first sent. */
  head: number;
}

interface Join {
  readonly since: Place | undefined;
  readonly changes: boolean;
}

interface HistoryAsked {
  readonly room: string;
  readonly changes: boolean | undefined;
}

type ServerMessageOf<T extends ServerMessage['t']> = Extract<ServerMessage, { readonly t: T }>;

/**
 * A client of `pumphouse.v1` that trusts nothing. It outlives its connections, and checks each
 * message against the protocol and against the disk.
 */
export class Session {
  readonly user: string;
  /** The rooms that it is in. */
  readonly views = new Map<string, View>();
  /** Its last places in the rooms that it was in. */
  readonly places = new Map<string, Place>();
  readonly messages = new Map<string, SentMessage>();
  /** The rooms that it has asked to join and not to leave. */
  readonly rooms = new Set<string>();
  readonly #disk: Disk;
  readonly #policy: (room: string) => SlowPolicy;
  /** The messages of each room as it shows them. */
  readonly #copies = new Map<string, Copies>();
  /** Joins that are not answered. */
  #joins = new Map<string, Join[]>();
  readonly #histories = new Map<string, HistoryAsked>();
  /** How many leaves are not answered. */
  #leaves = new Map<string, number>();
  /** Every message, in the order in which it was first sent. */
  readonly #sendOrder: { room: string; connection: number; id: string }[] = [];
  /** Seqs of messages that were sent once, and acknowledged in the same connection. */
  readonly #firstSeqs = new Map<string, number>();
  #connection = 0;
  #welcomed = false;
  #ids = 0;

  constructor(user: string, disk: Disk, policy: (room: string) => SlowPolicy) {
    this.user = user;
    this.#disk = disk;
    this.#policy = policy;
  }

  connected(): void {
    this.#connection++;
    this.#welcomed = false;
  }

  /** The connection is closed. Open requests stay unanswered. */
  disconnected(): void {
    for (const [room, { place }] of this.views) this.places.set(room, place);
    this.views.clear();
    this.rooms.clear();
    this.#joins.clear();
    this.#leaves.clear();
    this.#histories.clear();
    for (const message of this.messages.values()) message.open = 0;
  }

  join(room: string, changes: boolean, since?: Place, history = 0): ClientMessage {
    this.rooms.add(room);
    this.#joins.set(room, [...(this.#joins.get(room) ?? []), { since, changes }]);
    return { t: 'join', room, ...(since && { since }), ...(history > 0 && { history }), ...(changes && { changes }) };
  }

  history(room: string, range: object, limit: number, changes: boolean | undefined): ClientMessage {
    const id = `${this.user}-h${++this.#ids}`;
    this.#histories.set(id, { room, changes });
    return { t: 'history', room, id, limit, ...range, ...(changes !== undefined && { changes }) };
  }

  leave(room: string): ClientMessage {
    this.rooms.delete(room);
    this.#leaves.set(room, (this.#leaves.get(room) ?? 0) + 1);
    return { t: 'leave', room };
  }

  send(room: string, fields: SendFields): ClientMessage {
    const id = `${this.user}-${++this.#ids}`;
    const sent = { room, fields, retried: false, open: 1, place: undefined, isRefused: false };
    const { head } = this.#disk.room(room);
    this.messages.set(id, { ...sent, head, connection: this.#connection });
    this.#sendOrder.push({ room, connection: this.#connection, id });
    return { t: 'send', room, id, ...fields };
  }

  retry(id: string): ClientMessage {
    const message = this.messages.get(id) as SentMessage;
    message.open++;
    message.retried = true;
    message.isRefused = false;
    message.head = Math.min(message.head, this.#disk.room(message.room).head);
    return { t: 'send', room: message.room, id, ...message.fields };
  }

  /** Returns the ids of the last `count` messages that it has sent. */
  lastIds(count: number): string[] {
    return this.#sendOrder.slice(-count).map(({ id }) => id);
  }

  /** Checks a message of the server. @throws Violation */
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

  /** Checks the final state. @param membersOf returns the members of a room. @throws Violation */
  check(membersOf: (room: string) => string[]): void {
    for (const [room, { place, expectedGap, count, members }] of this.views) {
      const { head, epoch } = this.#disk.room(room);
      if (expectedGap) this.#fail(expectedGap, `never came in ${room}`);
      const isAtHead = place.seq === head || this.#passes(room, place, head);
      if (place.epoch !== epoch || !isAtHead) this.#fail(place, `is not the head ${head} of ${room}`);
      const difference = this.#copiesOf(room).compare(this.#disk.truth(epoch));
      if (difference) this.#fail(room, difference);
      const expected = membersOf(room);
      if (count !== expected.length) this.#fail(count, `is not the number of members of ${room}: ${expected.length}`);
      if (members && members.toSorted().join() !== expected.toSorted().join()) {
        this.#fail(members, `are not the members of ${room}: ${expected}`);
      }
    }
    for (const [id, { open }] of this.messages) if (open > 0) this.#fail(id, `has ${open} attempts without an answer`);
    this.#checkOrder();
  }

  /** Checks that each log has the messages of one connection in the order of their sends. */
  #checkOrder(): void {
    const last = new Map<string, number>();
    for (const { room, connection, id } of this.#sendOrder) {
      const seq = this.#firstSeqs.get(id);
      if (seq === undefined) continue;
      const key = `${room} ${connection}`;
      if (seq < (last.get(key) ?? 0)) this.#fail(id, `is at ${seq} of ${room}, before a message that was sent earlier`);
      last.set(key, seq);
    }
  }

  #joined(message: ServerMessageOf<'joined'>): void {
    const { room, epoch, seq, recovered, count, members } = message;
    const joins = this.#joins.get(room);
    if (!joins?.length) this.#fail(message, 'answers no join');
    const { since, changes } = (joins as Join[]).shift() as Join;
    const view = this.views.get(room);
    if (!changes) this.#copiesOf(room).forget();
    if (view) {
      if (view.place.epoch !== epoch || !this.#passes(room, view.place, seq)) {
        this.#fail(message, `rejoins at another place than ${view.place.seq}`);
      }
      view.place = { epoch, seq };
      view.changes = changes;
      view.members = members && [...members];
      view.count = count;
      return;
    }
    let expectedGap: View['expectedGap'];
    if (since?.epoch === epoch && recovered && seq !== since.seq)
      this.#fail(message, `recovered, but not at ${since.seq}`);
    if (since?.epoch === epoch && !recovered && since.seq < seq) {
      expectedGap = { from: since.seq + 1, to: seq, why: 'trimmed' };
    }
    if (since && since.epoch !== epoch) {
      if (recovered) this.#fail(message, `recovered from the epoch ${since.epoch}`);
      if (seq > 0) expectedGap = { from: 1, to: seq, why: 'epoch' };
    }
    if (!since && !recovered) this.#fail(message, 'did not recover, but its join had no place');
    const before = this.places.get(room);
    if (before?.epoch !== epoch || before.seq < seq) this.#copiesOf(room).forget(); // it may have missed changes
    const presence = { members: members && [...members], count };
    this.views.set(room, { place: { epoch, seq }, expectedGap, ...presence, changes });
  }

  #left(message: ServerMessageOf<'left'>): void {
    const leaves = this.#leaves.get(message.room) ?? 0;
    if (leaves === 0 && !this.#joins.get(message.room)?.length) this.#fail(message, 'answers no leave');
    this.#leaves.set(message.room, Math.max(0, leaves - 1));
    const view = this.#view(message);
    this.places.set(message.room, view.place);
    this.views.delete(message.room);
  }

  #message(message: ServerMessageOf<'message'>): void {
    const { t: _, room, ...fields } = message;
    const { changes, place } = this.#next(message);
    const truth = this.#disk.truth(place.epoch);
    const wrong = changes ? truth.checkMessage(fields) : truth.checkPlainMessage(fields);
    if (wrong) this.#fail(message, wrong);
    if (changes) this.#copiesOf(room).add(fields);
  }

  #change(message: Change): void {
    const { changes, place } = this.#next(message);
    if (!changes) this.#fail(message, 'came to a member that knows no changes');
    const wrong = this.#disk.truth(place.epoch).checkChange(message);
    if (wrong) this.#fail(message, wrong);
    this.#copiesOf(message.room).apply(message);
  }

  /** The record follows the last one. @returns the view, which is at its place. */
  #next(message: ServerMessageOf<'message' | 'change'>): View {
    const view = this.#view(message);
    const { room, seq } = message;
    if (view.expectedGap) this.#fail(message, `came before the gap ${JSON.stringify(view.expectedGap)}`);
    if (seq <= view.place.seq || !this.#passes(room, view.place, seq - 1)) {
      this.#fail(message, `does not follow ${view.place.seq}`);
    }
    view.place = { epoch: view.place.epoch, seq };
    return view;
  }

  /** Whether the client may be past all records up to `seq`: it is shown nothing of them. */
  #passes(room: string, { epoch, seq: from }: Place, seq: number): boolean {
    if (from === seq) return true;
    return from < seq && this.views.get(room)?.changes === false && this.#disk.truth(epoch).areHidden(from + 1, seq);
  }

  #copiesOf(room: string): Copies {
    const copies = this.#copies.get(room) ?? new Copies();
    this.#copies.set(room, copies);
    return copies;
  }

  #gap(message: ServerMessageOf<'gap'>): void {
    const view = this.#view(message);
    const { room, from, to, why } = message;
    const expected = view.expectedGap;
    this.#copiesOf(room).forget(); // changes of what it has may be among the missing records
    if (expected) {
      if (from !== expected.from || to !== expected.to || why !== expected.why) {
        this.#fail(message, `is not the expected gap ${JSON.stringify(expected)}`);
      }
      view.expectedGap = undefined;
      return;
    }
    if (to < from || !this.#passes(room, view.place, from - 1)) {
      this.#fail(message, `does not follow ${view.place.seq}`);
    }
    if (why === 'epoch') this.#fail(message, 'came without a join from another epoch');
    if (why === 'slow' && this.#policy(room) === 'evict' && !this.#leaves.get(room)) {
      this.#fail(message, 'came in a room that evicts slow consumers');
    }
    if (why === 'trimmed' && to >= this.#disk.first(room)) this.#fail(message, 'includes records that are retained');
    view.place = { epoch: view.place.epoch, seq: to };
  }

  #sent(acknowledgement: ServerMessageOf<'sent'>): void {
    const { id, seq } = acknowledgement;
    const message = this.#answered(id, acknowledgement);
    const { epoch } = this.#disk.room(message.room);
    const { place } = message;
    // A restarted server recalls the ids of the records that are retained.
    if (place?.epoch === epoch && place.seq !== seq && seq - place.seq < this.#disk.retention) {
      this.#fail(acknowledgement, `was acknowledged at ${place.seq} before`);
    }
    if (message.connection === this.#connection && !message.retried) this.#firstSeqs.set(id, seq);
    message.place = { epoch, seq };
    this.#checkAcknowledged(this.#disk.truth(epoch), seq, id, message.fields, acknowledgement);
  }

  /** Checks that the disk has what was sent at this place. */
  #checkAcknowledged(truth: Truth, seq: number, id: string, fields: SendFields, message: ServerMessage): void {
    const record = truth.record(seq);
    const isSame = record?.id === id && record.from === this.user && isRecordOf(fields, record);
    if (!isSame) this.#fail(message, `differs from the stored record ${JSON.stringify(record)}`);
  }

  #error(message: ServerMessageOf<'error'>): void {
    const { id, code } = message;
    if (id !== undefined && this.#histories.delete(id)) return;
    if (id !== undefined) this.#rejected(this.#answered(id, message), message);
    else if (code !== 'not_json' && code !== 'unknown_type') this.#fail(message, 'answers no request');
  }

  /** Checks that a refusal is right. */
  #rejected(sent: SentMessage, error: ServerMessageOf<'error'>): void {
    const { room, fields, place } = sent;
    if (error.code !== 'not_found' && error.code !== 'forbidden') return;
    sent.isRefused = true;
    const { epoch, head } = this.#disk.room(room);
    if (place?.epoch === epoch && place.seq >= this.#disk.first(room)) {
      this.#fail(error, `refuses what is stored at ${place.seq}`);
    }
    const truth = this.#disk.truth(epoch);
    const target = 'of' in fields ? fields.of : (fields.reply ?? 0);
    const record = truth.record(target);
    const isOwn = record?.from === this.user;
    const isThere = 'of' in fields ? truth.isMessage(target) && truth.deletion(target) === undefined : target <= head;
    if (error.code === 'forbidden' && isOwn) this.#fail(error, 'refuses a change of its own message');
    if (error.code === 'not_found' && isThere && target <= sent.head && target >= this.#disk.first(room)) {
      this.#fail(error, `refuses a change of ${JSON.stringify(record)}`);
    }
  }

  #answered(id: string, answer: ServerMessage): SentMessage {
    const message = this.messages.get(id);
    if (!message || message.open === 0) this.#fail(answer, 'answers no open send');
    (message as SentMessage).open--;
    return message as SentMessage;
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

  #history(message: ServerMessageOf<'history'>): void {
    const { id = '', messages, from, to, room } = message;
    const asked = this.#histories.get(id);
    if (!asked) this.#fail(message, 'answers no request');
    this.#histories.delete(id);
    const truth = this.#disk.truth(this.#disk.room(room).epoch);
    const changes = asked?.changes;
    const wrong = checkHistory(truth, messages, from, to, changes);
    if (wrong) this.#fail(message, wrong);
    const view = this.views.get(room);
    if (view?.changes) for (const each of messages) if (each.seq <= view.place.seq) this.#copiesOf(room).add(each);
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

/** Returns what is wrong with an answer to a request for history. */
export function checkHistory(
  truth: Truth,
  messages: ServerMessageOf<'history'>['messages'],
  from: number,
  to: number,
  changes: boolean | undefined,
): string | undefined {
  const seqs = new Set(messages.map(({ seq }) => seq));
  if (messages.some(({ seq }, i) => seq < from || seq > to || (i > 0 && seq <= (messages[i - 1]?.seq ?? 0)))) {
    return 'is not in order';
  }
  for (let seq = from; seq <= to; seq++) {
    if (seqs.has(seq) || !truth.isMessage(seq)) continue;
    if (changes === true || truth.deletion(seq) === undefined) return `lacks ${seq}`;
  }
  for (const message of messages) {
    const wrong = truth.checkMessage(message);
    if (wrong) return wrong;
    if (changes === false && message.deleted) return `has the deleted message ${message.seq}`;
  }
  return undefined;
}

/** Whether a record is what was sent. */
export function isRecordOf(fields: SendFields, { data, extra }: LogRecord): boolean {
  if (!('op' in fields)) {
    const reply = extra?.kind === 'message' ? extra.reply : undefined;
    return data === JSON.stringify(fields.data) && fields.reply === reply && extra?.kind !== 'change';
  }
  if (extra?.kind !== 'change' || extra.op !== fields.op || extra.of !== fields.of) return false;
  return data === (fields.op === 'edit' ? JSON.stringify(fields.data) : (fields.reaction ?? ''));
}
