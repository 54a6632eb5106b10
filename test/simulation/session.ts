import type { LogRecord } from '../../src/hub/log.ts';
import type { SlowPolicy } from '../../src/hub/settings.ts';
import type { ClientMessage, Gap, Place, ServerMessage } from '../../src/protocol/v1.ts';
import type { Disk } from './disk.ts';

/** A promise of the protocol was broken. */
export class Violation extends Error {}

/** A room as the messages of the server describe it. */
interface View {
  place: Place;
  /** The gap that must come next, as `joined` implies. */
  expectedGap: Pick<Gap, 'from' | 'to' | 'why'> | undefined;
  members: string[] | undefined;
  count: number;
}

interface SentMessage {
  readonly room: string;
  readonly data: string;
  /** The number of the connection that sent it first. */
  readonly connection: number;
  retried: boolean;
  /** Attempts in the current connection that are not answered. */
  open: number;
  /** Its place, by its acknowledgement. */
  place: Place | undefined;
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
  /** Joins that are not answered, with their `since`. */
  #joins = new Map<string, (Place | undefined)[]>();
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
    for (const message of this.messages.values()) message.open = 0;
  }

  join(room: string, since?: Place, history = 0): ClientMessage {
    this.rooms.add(room);
    this.#joins.set(room, [...(this.#joins.get(room) ?? []), since]);
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

  /** Checks a message of the server. @throws Violation */
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

  /** Checks the final state. @param membersOf returns the members of a room. @throws Violation */
  check(membersOf: (room: string) => string[]): void {
    for (const [room, { place, expectedGap, count, members }] of this.views) {
      const { head, epoch } = this.#disk.room(room);
      if (expectedGap) this.#fail(expectedGap, `never came in ${room}`);
      if (place.epoch !== epoch || place.seq !== head) this.#fail(place, `is not the head ${head} of ${room}`);
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
    const since = joins?.shift();
    const view = this.views.get(room);
    if (view) {
      if (view.place.seq !== seq || view.place.epoch !== epoch) {
        this.#fail(message, `rejoins at another place than ${view.place.seq}`);
      }
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
    this.views.set(room, { place: { epoch, seq }, expectedGap, members: members && [...members], count });
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
    const view = this.#view(message);
    const { seq, id, from, data } = message;
    if (view.expectedGap) this.#fail(message, `came before the gap ${JSON.stringify(view.expectedGap)}`);
    if (seq !== view.place.seq + 1) this.#fail(message, `does not follow ${view.place.seq}`);
    view.place = { epoch: view.place.epoch, seq };
    this.#checkStored(view.place, { id, from, data }, message);
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
      return;
    }
    if (from !== view.place.seq + 1 || to < from) this.#fail(message, `does not follow ${view.place.seq}`);
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
    this.#checkStored(message.place, { id, from: this.user, data: message.data }, acknowledgement);
  }

  #error(message: ServerMessageOf<'error'>): void {
    const { id, code } = message;
    if (id !== undefined) this.#answered(id, message);
    else if (code !== 'not_json' && code !== 'unknown_type') this.#fail(message, 'answers no request');
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
    const { epoch } = this.#disk.room(message.room);
    message.messages.forEach(({ seq, id, from, data }, i, all) => {
      if (i > 0 && seq !== (all[i - 1]?.seq as number) + 1) this.#fail(message, `has a hole before ${seq}`);
      this.#checkStored({ epoch, seq }, { id, from, data }, message);
    });
  }

  /** Checks that the disk has the same message at this place. */
  #checkStored(
    { epoch, seq }: Place,
    content: { id: string; from: string; data: unknown },
    message: ServerMessage,
  ): void {
    const record = this.#disk.written.get(`${epoch} ${seq}`) as LogRecord | undefined;
    const stored = record && { id: record.id, from: record.from, data: JSON.parse(record.data) };
    if (JSON.stringify(stored) !== JSON.stringify(content)) {
      this.#fail(message, `differs from the stored record ${JSON.stringify(stored)}`);
    }
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
