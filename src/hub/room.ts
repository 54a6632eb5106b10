import { Log } from './log.ts';
import type { Clock, Draft, Encoder, Engine, LogRecord, Pump, Records, Subscriber } from './ports.ts';
import { type Dedupe, Sends } from './sends.ts';
import type { HubSettings } from './settings.ts';

// Records that are read at once for those who are further back than the log in memory.
const COLD_READ = 1024;

/** One client in one room: a cursor in the room's log. */
export class Member {
  readonly subscriber: Subscriber;
  /** The subscriber's, kept here because every delivery asks it. */
  readonly pump: Pump;
  readonly room: Room;
  /** This client has been handed every record up to here. Only its write pump moves it. */
  cursor: number;
  /** It has stood at the head since it joined: from then on its distance to the head can evict it. */
  live = false;
  /** Its socket took no more while it was behind, and this has been told. */
  lagging = false;
  /** It was not told who came and went while its socket took nothing. */
  missedPresence = false;
  /** The last record that it says it has shown. */
  acked = 0;
  /** Its place among the members of its group; -1 once it has left. */
  index = -1;

  constructor(subscriber: Subscriber, room: Room, cursor: number) {
    this.subscriber = subscriber;
    this.pump = subscriber.pump;
    this.room = room;
    this.cursor = cursor;
  }

  /** How many records it has not been handed. */
  get behind(): number {
    return this.room.log.head - this.cursor;
  }
}

/** The members of one room that share an encoder. */
export interface Group {
  readonly room: Room;
  readonly encoder: Encoder;
  readonly members: Member[];
}

/** A room: its log, its members, and what waits for the engine. */
export class Room {
  readonly name: string;
  readonly epoch: string;
  readonly log: Log;
  readonly groups: Group[] = [];
  /** What was sent with which id, for those who send again. */
  readonly sends: Sends;
  /** Drafts taken in this turn that the engine has not been given yet. */
  pending: Draft[] = [];
  /** Drafts that the engine has been given and has neither committed nor failed yet. */
  appended: Draft[] = [];
  /** Who leaves once so many of the appended drafts are decided: what was said before comes before. */
  readonly departing: { readonly subscriber: Subscriber; drafts: number }[] = [];
  /** Up to here the members in step have been handed everything. */
  flushed: number;
  /** When the oldest record after `flushed` was committed, by the Hub's clock; undefined when there is none. */
  dirtySince: number | undefined;
  /** When it was last joined, left or sent to, by the Hub's clock. */
  usedAt: number;
  /** When its members were last told who came and went, by the Hub's clock. */
  presenceAt = Number.NEGATIVE_INFINITY;
  /** Whether its members know each other by name, as far as they were told: it is not too large. */
  named = true;
  readonly #engine: Engine;
  #members = 0;

  constructor(name: string, engine: Engine, settings: HubSettings, clock: Clock) {
    const { epoch, seq } = engine.position(name);
    const now = clock.now();
    this.name = name;
    this.epoch = epoch;
    this.log = new Log(seq, settings.window);
    this.sends = new Sends(settings.dedupe, now);
    this.flushed = seq;
    this.usedAt = now;
    this.#engine = engine;
    if (seq > 0) this.#recallSends(settings.dedupe, clock);
  }

  /** The oldest record that can be read: from the log in memory or from the engine. */
  get first(): number {
    return Math.min(this.log.first, this.#engine.position(this.name).first);
  }

  /** Whether every record after `seq` can be read. */
  reaches(seq: number): boolean {
    return this.log.reaches(seq) || (seq <= this.log.head && seq >= this.first - 1);
  }

  /** The records after `seq`, which must be in reach: all of them, or some where they are no longer in memory. */
  recordsAfter(seq: number): Records {
    if (this.log.reaches(seq)) return this.log;
    const records = this.read(seq, COLD_READ);
    return { head: seq + records.length, at: (at) => records[at - seq - 1] as LogRecord };
  }

  /** A room that comes back into memory knows what was sent to it lately. */
  #recallSends({ ms, messages }: Dedupe, clock: Clock): void {
    const since = clock.date() - ms;
    const { seq: head, first } = this.#engine.position(this.name);
    let from = head;
    for (let recent = true; recent && from >= first && head - from < messages; from -= COLD_READ) {
      const records = this.#engine.read(this.name, Math.max(from - COLD_READ, 0), Math.min(COLD_READ, from));
      for (const { sender, id, seq, at } of records) {
        if (at >= since && id !== '') this.sends.remember(sender, id, seq, clock.now());
      }
      recent = records.length > 0 && (records[0] as LogRecord).at >= since;
    }
  }

  /** At most `limit` of the records after `seq`, oldest first: up to the head, though the engine may have committed more by now. */
  read(seq: number, limit: number): readonly LogRecord[] {
    return this.#engine.read(this.name, seq, Math.max(0, Math.min(limit, this.log.head - seq)));
  }

  get members(): number {
    return this.#members;
  }

  /** Makes `subscriber` a member that has everything up to `cursor`. */
  join(subscriber: Subscriber, cursor: number): Member {
    const member = new Member(subscriber, this, cursor);
    member.index = this.group(subscriber.pump.encoder).members.push(member) - 1;
    subscriber.memberships.push(member);
    this.#members++;
    return member;
  }

  /** Ends a membership; a second time does nothing. */
  leave(member: Member): void {
    if (member.index < 0) return;
    swapOut(this.group(member.pump.encoder).members, member.index);
    member.index = -1;
    const { memberships } = member.subscriber;
    memberships.splice(memberships.indexOf(member), 1);
    this.#members--;
  }

  /** The members with this encoder. A room sees few encoders, so a scan finds it fastest. */
  group(encoder: Encoder): Group {
    for (const group of this.groups) if (group.encoder === encoder) return group;
    const group: Group = { room: this, encoder, members: [] };
    this.groups.push(group);
    return group;
  }
}

/** Removes the member at `index` by putting the last one in its place. */
function swapOut(members: Member[], index: number): void {
  const last = members.pop() as Member;
  if (index === members.length) return;
  members[index] = last;
  last.index = index;
}
