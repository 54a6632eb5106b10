import type { Engine } from './engine.ts';
import { Member, Room } from './room.ts';
import type { HubSettings } from './settings.ts';
import type { Subscriber } from './subscriber.ts';
import type { Clock, Scheduler } from './time.ts';

const NO_MEMBERSHIPS: readonly Member[] = [];

/**
 * The rooms in memory, and their members by subscriber. A room appears on first use and is released
 * when it is idle.
 */
export class Rooms {
  readonly #engine: Engine;
  readonly #clock: Clock;
  readonly #scheduler: Scheduler;
  readonly #settings: HubSettings;
  readonly #rooms = new Map<string, Room>();
  /** Most subscribers are in one room: those need no list. */
  readonly #memberships = new Map<Subscriber, Member | readonly Member[]>();
  #cancelSweep: (() => void) | undefined;

  constructor(engine: Engine, clock: Clock, scheduler: Scheduler, settings: HubSettings) {
    this.#engine = engine;
    this.#clock = clock;
    this.#scheduler = scheduler;
    this.#settings = settings;
  }

  /** How many rooms are in memory. */
  get size(): number {
    return this.#rooms.size;
  }

  /** Returns the room with this name, which is in memory from then on. */
  get(name: string): Room {
    const existing = this.#rooms.get(name);
    if (existing) return existing;
    const room = new Room(name, this.#engine, this.#settings, this.#clock);
    this.#rooms.set(name, room);
    this.#cancelSweep ??= this.#scheduleSweep();
    return room;
  }

  /** Adds a member that has everything up to `cursor`. */
  join(room: Room, subscriber: Subscriber, cursor: number): Member {
    const member = room.add(subscriber, cursor, this.#clock.now());
    const memberships = this.membershipsOf(subscriber);
    this.#memberships.set(subscriber, memberships.length === 0 ? member : [...memberships, member]);
    return member;
  }

  /** Ends a membership. */
  leave(member: Member): void {
    const { room, subscriber } = member;
    room.remove(member, this.#clock.now());
    const memberships = this.membershipsOf(subscriber).filter((other) => other !== member);
    if (memberships.length === 0) this.#memberships.delete(subscriber);
    else this.#memberships.set(subscriber, memberships.length === 1 ? (memberships[0] as Member) : memberships);
  }

  /** Returns a subscriber's memberships, as they are now. */
  membershipsOf(subscriber: Subscriber): readonly Member[] {
    const memberships = this.#memberships.get(subscriber) ?? NO_MEMBERSHIPS;
    return memberships instanceof Member ? [memberships] : memberships;
  }

  /** Returns a subscriber's membership in a room. */
  membership(subscriber: Subscriber, room: Room): Member | undefined {
    return this.membershipsOf(subscriber).find((member) => member.room === room);
  }

  close(): void {
    this.#cancelSweep?.();
  }

  #scheduleSweep(): () => void {
    return this.#scheduler.after(this.#settings.roomIdle, () => {
      const before = this.#clock.now() - this.#settings.roomIdle;
      for (const room of this.#rooms.values()) if (this.#isIdle(room) && room.usedAt <= before) this.#release(room);
      this.#cancelSweep = this.#rooms.size > 0 ? this.#scheduleSweep() : undefined;
    });
  }

  #isIdle(room: Room): boolean {
    const { members, dirtySince, undecided } = room;
    return members === 0 && dirtySince === undefined && undecided.waiting + undecided.inFlight === 0;
  }

  #release(room: Room): void {
    this.#rooms.delete(room.name);
    this.#engine.release(room.name);
  }
}
