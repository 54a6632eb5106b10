import { without } from '../protocol/without.ts';
import type { Cluster, PresenceChange } from './cluster.ts';
import type { Notices } from './notices.ts';
import type { Member, Room } from './room.ts';
import type { HubSettings } from './settings.ts';
import type { Notice, Signal, Subscriber } from './subscriber.ts';
import type { Clock, Scheduler } from './time.ts';

/** How many members a room has on all nodes, and their names unless it is too large. */
export interface Present {
  readonly count: number;
  readonly members?: readonly string[];
}

/** The changes in a room since its members were last notified. */
interface RoomPresence {
  joined: string[];
  left: string[];
  /** Those of them that are this node's: the other nodes are yet to be told. */
  joinedHere: string[];
  leftHere: string[];
  /** When its members were last notified, by the Hub's clock. */
  announcedAt: number;
  /** Whether its members have been given the names: the room is not too large. */
  named: boolean;
}

// A change goes to every member. So the members of a larger room are notified less often: n members
// at most once in n milliseconds, up to this.
const MAX_INTERVAL_MS = 5_000;

/**
 * Notifies a room's members of joins and leaves: all changes since the last time in one notice,
 * encoded once a wire. Rooms of many members get the count alone. A member whose socket accepts no
 * data gets the whole list once it does again. The other nodes get the changes at the same times.
 */
export class Presence {
  readonly #notices: Notices;
  readonly #cluster: Cluster | undefined;
  readonly #namedMembers: number;
  readonly #clock: Clock;
  readonly #scheduler: Scheduler;
  readonly #wake: () => void;
  readonly #rooms = new Map<Room, RoomPresence>();
  readonly #changed = new Set<Room>();
  #cancelTimer: (() => void) | undefined;
  #timerAt = Number.POSITIVE_INFINITY;

  /** @param wake is called when a delayed notice is due. */
  constructor(
    notices: Notices,
    cluster: Cluster | undefined,
    settings: HubSettings,
    clock: Clock,
    scheduler: Scheduler,
    wake: () => void,
  ) {
    this.#notices = notices;
    this.#cluster = cluster;
    this.#namedMembers = settings.namedMembers;
    this.#clock = clock;
    this.#scheduler = scheduler;
    this.#wake = wake;
  }

  joined(room: Room, { user }: Subscriber): void {
    if (!this.#hasListeners(room)) return;
    const presence = this.#of(room);
    this.#note(room, presence.joined, user);
    if (this.#cluster) this.#note(room, presence.joinedHere, user);
  }

  left(room: Room, { user }: Subscriber): void {
    if (!this.#hasListeners(room)) {
      this.forget(room);
      return;
    }
    const presence = this.#of(room);
    this.#note(room, presence.left, user);
    if (this.#cluster) this.#note(room, presence.leftHere, user);
  }

  /** Members on other nodes joined and left. */
  changedElsewhere(room: Room, { joined, left }: PresenceChange): void {
    const presence = this.#of(room);
    for (const user of joined) this.#note(room, presence.joined, user);
    for (const user of left) this.#note(room, presence.left, user);
    this.#changed.add(room); // the count may have changed alone
  }

  /**
   * Returns how many members a room has, and their names unless it is too large. The names are
   * those that the other members have been given, so that the next change is as true for a new
   * member as for them.
   */
  of(room: Room): Present {
    const count = this.#countIn(room);
    const users = this.#usersIn(room, count);
    if (users === undefined) return { count };
    const { joined, left } = this.#rooms.get(room) ?? { joined: [], left: [] };
    return { count, members: without([...users, ...left], joined) };
  }

  /** Sends a signal to the other members. Members whose sockets accept no data miss it. */
  signal(room: Room, { signal, by, session }: Signal): void {
    this.#toWires(room, signal, (member, line) => {
      const { subscriber } = member;
      if (subscriber === by || subscriber.id === session || !member.pump.writable) return;
      this.#notices.queue(subscriber, line);
    });
  }

  /** Notifies the members of the rooms that are due. */
  flush(): void {
    if (this.#changed.size === 0) return;
    const now = this.#clock.now();
    for (const room of this.#changed) {
      const due = this.#of(room).announcedAt + Math.min(this.#countIn(room), MAX_INTERVAL_MS);
      if (due > now) this.#wakeAt(due, now);
      else this.#announce(room, now);
    }
  }

  /** The member's socket accepts data again. */
  refresh(member: Member): void {
    if (!member.takeMissedPresence()) return;
    const { room, subscriber } = member;
    this.#notices.notify(subscriber, { t: 'presence', room: room.name, ...this.of(room) });
  }

  /** The room has no members who could be notified, or is released. */
  forget(room: Room): void {
    this.#rooms.delete(room);
    this.#changed.delete(room);
  }

  close(): void {
    this.#cancelTimer?.();
  }

  #announce(room: Room, now: number): void {
    const { joined, left, joinedHere, leftHere, named: wereNamed } = this.#of(room);
    const count = this.#countIn(room);
    const users = this.#usersIn(room, count);
    const incomplete = !wereNamed || Math.max(joined.length, left.length) > this.#namedMembers;
    this.#rooms.set(room, { ...unchanged(now), named: users !== undefined });
    this.#changed.delete(room);
    const names = !users ? {} : incomplete ? { members: users } : { joined, left };
    this.#toWires(room, { t: 'presence', room: room.name, count, ...names }, (member, line) => {
      if (member.pump.writable && !member.missesPresence) this.#notices.queue(member.subscriber, line);
      else member.missPresence();
    });
    if (joinedHere.length + leftHere.length > 0) this.#announceElsewhere(room, joinedHere, leftHere);
  }

  #announceElsewhere(room: Room, joined: readonly string[], left: readonly string[]): void {
    const users = room.members > this.#namedMembers ? undefined : usersIn(room);
    this.#cluster?.announce(room.name, { joined, left }, room.members, users);
  }

  /** Reports whether anyone is to be notified of changes: another node, or a member here. */
  #hasListeners(room: Room): boolean {
    return this.#cluster !== undefined || hasListeners(room);
  }

  #countIn(room: Room): number {
    return room.members + (this.#cluster?.others(room.name).count ?? 0);
  }

  /** @returns undefined for a room of too many members. */
  #usersIn(room: Room, count: number): string[] | undefined {
    if (count > this.#namedMembers) return undefined;
    if (!this.#cluster) return usersIn(room);
    const { users } = this.#cluster.others(room.name);
    return users && [...usersIn(room), ...users];
  }

  #wakeAt(due: number, now: number): void {
    if (due >= this.#timerAt) return;
    this.#cancelTimer?.();
    this.#timerAt = due;
    this.#cancelTimer = this.#scheduler.after(due - now, () => {
      this.#timerAt = Number.POSITIVE_INFINITY;
      this.#wake();
    });
  }

  /** Encodes a notice once a wire, and passes each member the line of its wire. */
  #toWires(room: Room, notice: Notice, pass: (member: Member, line: string) => void): void {
    for (const { encoder, members } of room.groups) {
      const line = members.length > 0 && encoder.notices.has(notice.t) ? encoder.encodeNotice(notice) : '';
      if (line !== '') for (const member of members) pass(member, line);
    }
  }

  #note(room: Room, names: string[], user: string): void {
    if (names.length <= this.#namedMembers) names.push(user); // more changes than that are announced as a whole list
    this.#changed.add(room);
  }

  #of(room: Room): RoomPresence {
    const existing = this.#rooms.get(room);
    if (existing) return existing;
    const presence = { ...unchanged(Number.NEGATIVE_INFINITY), named: true };
    this.#rooms.set(room, presence);
    return presence;
  }
}

function unchanged(announcedAt: number) {
  return { joined: [], left: [], joinedHere: [], leftHere: [], announcedAt };
}

/** Reports whether any member's wire can express presence. */
function hasListeners({ groups }: Room): boolean {
  return groups.some(({ encoder, members }) => encoder.notices.has('presence') && members.length > 0);
}

function usersIn({ groups }: Room): string[] {
  return groups.flatMap(({ members }) => members.map(({ subscriber }) => subscriber.user));
}
