import type { Notices } from './notices.ts';
import type { Notice, Signal, Subscriber } from './ports.ts';
import type { Member, Room } from './room.ts';

interface Change {
  readonly joined: string[];
  readonly left: string[];
}

/**
 * Tells a room's members who came and who went: once a turn, in one line a wire. Of a room with many members only the number
 * is told. Who took nothing meanwhile is told the whole when it does again.
 */
export class Presence {
  readonly #notices: Notices;
  readonly #named: number;
  readonly #changes = new Map<Room, Change>();

  /** @param named the most members that are named. */
  constructor(notices: Notices, named: number) {
    this.#notices = notices;
    this.#named = named;
  }

  joined(room: Room, { user }: Subscriber): void {
    if (hasListeners(room)) this.#change(room).joined.push(user);
  }

  left(room: Room, { user }: Subscriber): void {
    if (hasListeners(room)) this.#change(room).left.push(user);
  }

  /** How many members a room has and who, as far as they are named. */
  of(room: Room): { count: number; members?: string[] } {
    const count = room.members;
    if (count > this.#named) return { count };
    return { count, members: room.groups.flatMap(({ members }) => members.map(({ subscriber }) => subscriber.user)) };
  }

  /** Tells those present, but for who sent it. Who takes nothing now misses it. */
  signal(room: Room, { signal, by }: Signal): void {
    this.#toWires(room, signal, (member, line) => {
      if (member.subscriber !== by && member.pump.writable) this.#notices.pass(member.subscriber, line);
    });
  }

  /** At the end of a turn. */
  flush(): void {
    if (this.#changes.size === 0) return;
    for (const [room, { joined, left }] of this.#changes) {
      const count = room.members;
      this.#tellAll(room, { t: 'presence', room: room.name, count, ...(count > this.#named ? {} : { joined, left }) });
    }
    this.#changes.clear();
  }

  /** This member takes things again. */
  refresh(member: Member): void {
    if (!member.missedPresence) return;
    member.missedPresence = false;
    const { room, subscriber } = member;
    this.#notices.tell(subscriber, { t: 'presence', room: room.name, ...this.of(room) });
  }

  #tellAll(room: Room, notice: Notice): void {
    this.#toWires(room, notice, (member, line) => {
      if (member.pump.writable) this.#notices.pass(member.subscriber, line);
      else member.missedPresence = true;
    });
  }

  /** Writes a notice once for each wire, and hands each member its wire's line. */
  #toWires(room: Room, notice: Notice, hand: (member: Member, line: string) => void): void {
    for (const { encoder, members } of room.groups) {
      const line = members.length > 0 ? encoder.notice?.(notice) : undefined;
      if (line !== undefined) for (const member of members) hand(member, line);
    }
  }

  #change(room: Room): Change {
    const known = this.#changes.get(room);
    if (known) return known;
    const change: Change = { joined: [], left: [] };
    this.#changes.set(room, change);
    return change;
  }
}

/** Whether anyone in the room has a wire that tells such things. */
function hasListeners({ groups }: Room): boolean {
  return groups.some(({ encoder, members }) => encoder.notice !== undefined && members.length > 0);
}
