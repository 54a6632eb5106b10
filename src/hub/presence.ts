import type { Notices } from './notices.ts';
import type { Clock, Notice, Scheduler, Signal, Subscriber } from './ports.ts';
import type { Member, Room } from './room.ts';
import type { HubSettings } from './settings.ts';

interface Change {
  readonly joined: string[];
  readonly left: string[];
}

// Each change is told to every member, so a room's members hear of them the more rarely the more they are: n members once in
// n milliseconds, and no more rarely than this.
const LONGEST_WAIT_MS = 5_000;

/**
 * Tells a room's members who came and who went: all that happened since the last time, in one line a wire. Of a room with many
 * members only the number is told. Who took nothing meanwhile is told the whole when it does again.
 */
export class Presence {
  readonly #notices: Notices;
  readonly #named: number;
  readonly #clock: Clock;
  readonly #scheduler: Scheduler;
  readonly #wake: () => void;
  readonly #changes = new Map<Room, Change>();
  #cancel: (() => void) | undefined;
  #due = Number.POSITIVE_INFINITY;

  /** @param wake is called when something that had to wait may be told. */
  constructor(notices: Notices, settings: HubSettings, clock: Clock, scheduler: Scheduler, wake: () => void) {
    this.#notices = notices;
    this.#named = settings.namedMembers;
    this.#clock = clock;
    this.#scheduler = scheduler;
    this.#wake = wake;
  }

  joined(room: Room, { user }: Subscriber): void {
    if (hasListeners(room)) note(this.#change(room).joined, user, this.#named);
  }

  left(room: Room, { user }: Subscriber): void {
    if (hasListeners(room)) note(this.#change(room).left, user, this.#named);
    else this.#changes.delete(room);
  }

  /**
   * How many members a room has and who, as far as they are named: as the others have been told, so that what they will be told
   * of those who came and went since is as true for who hears this.
   */
  of(room: Room): { count: number; members?: string[] } {
    const count = room.members;
    if (count > this.#named) return { count };
    const { joined, left } = this.#changes.get(room) ?? { joined: [], left: [] };
    return { count, members: without([...usersIn(room), ...left], joined) };
  }

  /** Tells those present, but for who sent it. Who takes nothing now misses it. */
  signal(room: Room, { signal, by }: Signal): void {
    this.#toWires(room, signal, (member, line) => {
      if (member.subscriber !== by && member.pump.writable) this.#notices.pass(member.subscriber, line);
    });
  }

  /** At the end of a turn: tells what may be told now. */
  flush(): void {
    if (this.#changes.size === 0) return;
    const now = this.#clock.now();
    for (const [room, { joined, left }] of this.#changes) {
      const count = room.members;
      const due = room.presenceAt + Math.min(count, LONGEST_WAIT_MS);
      if (due > now) {
        this.#wakeAt(due, now);
        continue;
      }
      this.#changes.delete(room);
      room.presenceAt = now;
      const whole = !room.named || Math.max(joined.length, left.length) > this.#named;
      room.named = count <= this.#named;
      const who = !room.named ? {} : whole ? { members: usersIn(room) } : { joined, left };
      this.#tellAll(room, { t: 'presence', room: room.name, count, ...who });
    }
  }

  close(): void {
    this.#cancel?.();
  }

  #wakeAt(due: number, now: number): void {
    if (due >= this.#due) return;
    this.#cancel?.();
    this.#due = due;
    this.#cancel = this.#scheduler.after(due - now, () => {
      this.#due = Number.POSITIVE_INFINITY;
      this.#wake();
    });
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
      const line = members.length > 0 && encoder.tells.has(notice.t) ? encoder.notice(notice) : '';
      if (line !== '') for (const member of members) hand(member, line);
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
  return groups.some(({ encoder, members }) => encoder.tells.has('presence') && members.length > 0);
}

function usersIn({ groups }: Room): string[] {
  return groups.flatMap(({ members }) => members.map(({ subscriber }) => subscriber.user));
}

/** `names` but for those in `others`, each as often as it is there: two members may have one name. */
function without(names: string[], others: readonly string[]): string[] {
  if (others.length === 0) return names;
  const away = new Map<string, number>();
  for (const name of others) away.set(name, (away.get(name) ?? 0) + 1);
  return names.filter((name) => {
    const times = away.get(name) ?? 0;
    if (times > 0) away.set(name, times - 1);
    return times === 0;
  });
}

/** Above so many nobody is named, so the names need not be kept. */
function note(names: string[], user: string, named: number): void {
  if (names.length <= named) names.push(user);
}
