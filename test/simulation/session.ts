import type { LogRecord } from '../../src/hub/log.ts';
import type { SlowPolicy } from '../../src/hub/settings.ts';
import type { ClientMessage, Gap, Place, ServerMessage } from '../../src/protocol/v1.ts';
import type { Disk } from './disk.ts';

/** Something that must never happen, did. */
export class Violation extends Error {}

/** What a session knows of a room, from what it was told. */
interface View {
  place: Place;
  /** The gap that must come next: `joined` promised it. */
  owed: Pick<Gap, 'from' | 'to' | 'why'> | undefined;
  members: string[] | undefined;
  count: number;
}

interface Said {
  readonly room: string;
  readonly data: string;
  /** In which connection it was sent first, and how often in the present one without an answer. */
  readonly connection: number;
  again: boolean;
  open: number;
  /** Where it is, by the answer. */
  at: Place | undefined;
}

/**
 * A client of `pumphouse.v1` that believes nothing: it keeps what it was told over all its connections, and checks each message
 * against what was promised and against what is on the disk.
 */
export class Session {
  readonly user: string;
  /** The rooms it is in, and where it stood in those it left with its connection. */
  readonly views = new Map<string, View>();
  readonly places = new Map<string, Place>();
  readonly said = new Map<string, Said>();
  /** The rooms that it has asked to be in. */
  readonly rooms = new Set<string>();
  readonly #disk: Disk;
  readonly #policy: (room: string) => SlowPolicy;
  #joins = new Map<string, (Place | undefined)[]>();
  #leaves = new Map<string, number>();
  /** Ids in the order they were first sent, by room and connection. */
  readonly #order: { room: string; connection: number; id: string }[] = [];
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

  /** The connection is over: what was open stays unknown. */
  disconnected(): void {
    for (const [room, { place }] of this.views) this.places.set(room, place);
    this.views.clear();
    this.rooms.clear();
    this.#joins.clear();
    this.#leaves.clear();
    for (const said of this.said.values()) said.open = 0;
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
    this.said.set(id, { room, data, connection: this.#connection, again: false, open: 1, at: undefined });
    this.#order.push({ room, connection: this.#connection, id });
    return { t: 'send', room, id, data };
  }

  again(id: string): ClientMessage {
    const said = this.said.get(id) as Said;
    said.open++;
    said.again = true;
    return { t: 'send', room: said.room, id, data: said.data };
  }

  hear(message: ServerMessage): void {
    if (!this.#welcomed && message.t !== 'welcome') this.#wrong(message, 'came before the welcome');
    this.#welcomed = true;
    if (message.t === 'joined') this.#joined(message);
    else if (message.t === 'left') this.#left(message);
    else if (message.t === 'message') this.#message(message);
    else if (message.t === 'gap') this.#gap(message);
    else if (message.t === 'sent') this.#sent(message.id, message.seq, message);
    else if (message.t === 'error') this.#error(message);
    else if (message.t === 'presence') this.#presence(message);
    else if (message.t === 'history') this.#history(message);
    else if (message.t === 'signal' && message.from === this.user) this.#wrong(message, 'came back to its sender');
  }

  /** What must hold once everything has come to rest. @param members who is in each room. */
  check(members: (room: string) => string[]): void {
    for (const [room, view] of this.views) {
      const { head, epoch } = this.#disk.room(room);
      if (view.owed) this.#wrong(view, `still owes a gap of ${room}`);
      if (view.place.epoch !== epoch || view.place.seq !== head)
        this.#wrong(view.place, `is not the head ${head} of ${room}`);
      const there = members(room);
      if (view.count !== there.length) this.#wrong(view, `counts ${view.count} of ${there.length} in ${room}`);
      if (view.members && view.members.toSorted().join() !== there.toSorted().join())
        this.#wrong(view.members, `are not those in ${room}: ${there}`);
    }
    for (const [id, { open }] of this.said) if (open > 0) this.#wrong(id, `has ${open} answers to come`);
    this.#checkOrder();
  }

  /** What one connection sent to a room stands in the log as it was sent. */
  #checkOrder(): void {
    const last = new Map<string, number>();
    for (const { room, connection, id } of this.#order) {
      const seq = this.#firstSent.get(id);
      if (seq === undefined) continue;
      const key = `${room} ${connection}`;
      if (seq < (last.get(key) ?? 0)) this.#wrong(id, 'overtook another');
      last.set(key, seq);
    }
  }
  /** Seqs of those that were answered in the connection that sent them first, and were not sent again. */
  readonly #firstSent = new Map<string, number>();

  #joined({ room, epoch, seq, recovered, count, members }: Extract<ServerMessage, { t: 'joined' }>): void {
    const joins = this.#joins.get(room);
    if (!joins?.length) this.#wrong(room, 'was joined unasked');
    const since = joins?.shift();
    const view = this.views.get(room);
    const place = { epoch, seq };
    if (view) {
      if (view.place.seq !== seq || view.place.epoch !== epoch)
        this.#wrong(place, `is not where it stands: ${view.place.seq}`);
      view.members = members && [...members];
      view.count = count;
      return;
    }
    let owed: View['owed'];
    if (since?.epoch === epoch && recovered && seq !== since.seq) this.#wrong(place, `is not ${since.seq}`);
    if (since?.epoch === epoch && !recovered && since.seq < seq)
      owed = { from: since.seq + 1, to: seq, why: 'trimmed' };
    if (since && since.epoch !== epoch) {
      if (recovered) this.#wrong(place, 'recovered from another epoch');
      if (seq > 0) owed = { from: 1, to: seq, why: 'epoch' };
    }
    if (!since && !recovered) this.#wrong(place, 'is not recovered, though nothing was asked');
    this.views.set(room, { place, owed, members: members && [...members], count });
  }

  #left(message: Extract<ServerMessage, { t: 'left' }>): void {
    const left = this.#leaves.get(message.room) ?? 0;
    if (left === 0 && !this.#joins.get(message.room)?.length) this.#wrong(message, 'was not asked for');
    this.#leaves.set(message.room, Math.max(0, left - 1));
    const view = this.#view(message);
    this.places.set(message.room, view.place);
    this.views.delete(message.room);
  }

  #message(message: Extract<ServerMessage, { t: 'message' }>): void {
    const view = this.#view(message);
    const { seq, id, from, data } = message;
    if (view.owed) this.#wrong(message, 'came before the gap');
    if (seq !== view.place.seq + 1) this.#wrong(message, `does not follow ${view.place.seq}`);
    view.place = { epoch: view.place.epoch, seq };
    this.#same(view.place, { id, from, data }, message);
  }

  #gap(message: Extract<ServerMessage, { t: 'gap' }>): void {
    const view = this.#view(message);
    const { room, from, to, why } = message;
    if (view.owed) {
      const { from: first, to: last, why: reason } = view.owed;
      if (from !== first || to !== last || why !== reason)
        this.#wrong(message, `is not the gap that is owed: ${first} to ${last}`);
      view.owed = undefined;
      return;
    }
    if (from !== view.place.seq + 1 || to < from) this.#wrong(message, `does not follow ${view.place.seq}`);
    if (why === 'epoch') this.#wrong(message, 'is no gap of this epoch');
    if (why === 'slow' && this.#policy(room) === 'evict' && !this.#leaves.get(room))
      this.#wrong(message, 'is in a room that evicts');
    if (why === 'trimmed' && to >= this.#disk.first(room)) this.#wrong(message, 'names what is still there');
    view.place = { epoch: view.place.epoch, seq: to };
  }

  #sent(id: string, seq: number, message: ServerMessage): void {
    const said = this.#answered(id, message);
    const { epoch } = this.#disk.room(said.room);
    const { at } = said;
    // A server that was started again knows the ids of what it still has.
    if (at?.epoch === epoch && at.seq !== seq && seq - at.seq < this.#disk.retention)
      this.#wrong(message, `was at ${at.seq}`);
    if (said.connection === this.#connection && !said.again) this.#firstSent.set(id, seq);
    said.at = { epoch, seq };
    this.#same({ epoch, seq }, { id, from: this.user, data: said.data }, message);
  }

  #error(message: Extract<ServerMessage, { t: 'error' }>): void {
    const { id, code } = message;
    if (id !== undefined) this.#answered(id, message);
    else if (code !== 'not_json' && code !== 'unknown_type') this.#wrong(message, 'is no answer');
  }

  #answered(id: string, message: ServerMessage): Said {
    const said = this.said.get(id);
    if (!said || said.open === 0) this.#wrong(message, 'answers what was not sent, or was answered');
    (said as Said).open--;
    return said as Said;
  }

  #presence(message: Extract<ServerMessage, { t: 'presence' }>): void {
    const view = this.#view(message);
    const { count, joined, left = [], members } = message;
    view.count = count;
    if (members) view.members = [...members];
    else if (!joined) view.members = undefined;
    else if (view.members) {
      view.members.push(...joined);
      for (const name of left) {
        const at = view.members.indexOf(name);
        if (at < 0) this.#wrong(message, `${name} left without having come`);
        view.members.splice(at, 1);
      }
    }
  }

  #history(message: Extract<ServerMessage, { t: 'history' }>): void {
    const { epoch } = this.#disk.room(message.room);
    message.messages.forEach(({ seq, id, from, data }, i, all) => {
      if (i > 0 && seq !== (all[i - 1]?.seq as number) + 1) this.#wrong(message, 'has a hole');
      this.#same({ epoch, seq }, { id, from, data }, message);
    });
  }

  /** What is told must be on the disk, and stay. */
  #same({ epoch, seq }: Place, told: { id: string; from: string; data: unknown }, message: ServerMessage): void {
    const record = this.#disk.written.get(`${epoch} ${seq}`) as LogRecord | undefined;
    const stored = record && { id: record.id, from: record.from, data: JSON.parse(record.data) };
    if (JSON.stringify(stored) !== JSON.stringify(told))
      this.#wrong(message, `is not what is stored: ${JSON.stringify(stored)}`);
  }

  #view(message: { readonly t: string; readonly room: string }): View {
    const view = this.views.get(message.room);
    if (!view) this.#wrong(message, 'is of a room that it is not in');
    return view as View;
  }

  #wrong(what: unknown, why: string): never {
    throw new Violation(`${this.user}: ${JSON.stringify(what)} ${why}`);
  }
}
