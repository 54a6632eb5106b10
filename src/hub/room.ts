import { Log, type Window } from './log.ts';
import type { Cursor, Draft, Encoder, Pump, Subscriber } from './ports.ts';

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
  /** Drafts taken in this turn that the engine has not been given yet. */
  pending: Draft[] = [];
  /** Up to here the members in step have been handed everything. */
  flushed: number;
  /** When the oldest record after `flushed` was committed, by the Hub's clock; undefined when there is none. */
  dirtySince: number | undefined;
  /** When it was last joined, left or sent to, by the Hub's clock. */
  usedAt: number;
  #members = 0;

  constructor(name: string, position: Cursor, window: Window, now: number) {
    this.name = name;
    this.epoch = position.epoch;
    this.log = new Log(position.seq, window);
    this.flushed = position.seq;
    this.usedAt = now;
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
