import type { HotRoom } from '../protocol/snapshot.ts';
import type { Census } from './meter.ts';
import type { Room } from './room.ts';
import type { Rooms } from './rooms.ts';
import { Tally } from './tally.ts';
import type { Clock, Scheduler } from './time.ts';

/** A room that was busy since the last survey. */
export interface BusyRoom extends HotRoom {
  /** Records that its members' sockets have accepted since the last survey. */
  readonly delivered: number;
}

/** The members of a room. */
export type RoomMembers = Pick<HotRoom, 'name' | 'members' | 'parked' | 'catchingUp' | 'maxLag'>;

/** The rooms and members of a Hub, as one visit has found them. */
export interface Survey extends Census {
  /** The rooms with the most deliveries since the last survey, the busiest first. */
  readonly busiest: readonly BusyRoom[];
}

/** How many rooms a survey names. */
export const BUSIEST_ROOMS = 50;

// Longest time that a part of a visit takes, and how many members it counts between two reads of
// the clock. A room counts as some members.
const PART_MS = 2;
const STEP = 1024;
const ROOM_COST = 8;

/**
 * Visits all rooms and members for monitoring, in parts between the turns. Members that move
 * meanwhile may be counted twice or not at all.
 */
export class Surveyor {
  readonly #rooms: Rooms;
  readonly #clock: Clock;
  readonly #scheduler: Scheduler;
  #pending: Promise<Survey> | undefined;

  constructor(rooms: Rooms, clock: Clock, scheduler: Scheduler) {
    this.#rooms = rooms;
    this.#clock = clock;
    this.#scheduler = scheduler;
  }

  survey(): Promise<Survey> {
    this.#pending ??= this.#survey();
    return this.#pending;
  }

  async surveyRooms(names: readonly string[]): Promise<readonly RoomMembers[]> {
    const found = names.flatMap((name) => this.#rooms.find(name) ?? []);
    const results: RoomMembers[] = [];
    await this.#visit(new Visit(found, (room, tally) => results.push(membersOf(room, tally))));
    return results;
  }

  async #survey(): Promise<Survey> {
    const busiest: BusyRoom[] = [];
    const visit = new Visit(this.#rooms.all(), (room, tally) => {
      if (isAmongBusiest(room, busiest)) insert(busiest, busyRoom(room, tally));
      room.resetActivity();
    });
    await this.#visit(visit);
    this.#pending = undefined;
    const { inStep, parked, catchingUp, lag } = visit.total;
    return { inStep, parked, catchingUp, lag, busiest };
  }

  #visit(visit: Visit): Promise<void> {
    return new Promise((resolve) => {
      const part = () => {
        const end = this.#clock.now() + PART_MS;
        let hasMore = visit.step();
        while (hasMore && this.#clock.now() < end) hasMore = visit.step();
        if (hasMore) this.#scheduler.soon(part);
        else resolve();
      };
      part();
    });
  }
}

/** A visit of rooms and their members that can be interrupted. */
class Visit {
  readonly total = new Tally();
  readonly #rooms: Iterator<Room>;
  readonly #onVisited: (room: Room, tally: Tally) => void;
  #room: Room | undefined;
  #group = 0;
  #index = 0;

  /** @param onVisited gets the counts of the room as those of the tally since its `beginRoom`. */
  constructor(rooms: Iterable<Room>, onVisited: (room: Room, tally: Tally) => void) {
    this.#rooms = rooms[Symbol.iterator]();
    this.#onVisited = onVisited;
  }

  /** Counts some members. @returns whether there are more. */
  step(): boolean {
    for (let budget = STEP; budget > 0; ) {
      this.#room ??= this.#nextRoom();
      if (this.#room === undefined) return false;
      budget -= this.#count(this.#room, budget);
    }
    return true;
  }

  #nextRoom(): Room | undefined {
    const { value, done } = this.#rooms.next();
    if (done) return undefined;
    this.#group = 0;
    this.#index = 0;
    this.total.beginRoom();
    return value;
  }

  /** Counts members of one group at most. @returns what it has cost. */
  #count(room: Room, limit: number): number {
    const group = room.groups[this.#group];
    if (group === undefined) {
      this.#onVisited(room, this.total);
      this.#room = undefined;
      return ROOM_COST;
    }
    const { members } = group;
    const end = Math.min(members.length, this.#index + limit);
    const counted = Math.max(0, end - this.#index);
    this.total.count(members, room.flushed, this.#index, end);
    this.#index = end;
    if (end < members.length) return counted;
    this.#group++;
    this.#index = 0;
    return counted;
  }
}

function membersOf({ name, members }: Room, { roomParked, roomCatchingUp, maxLag }: Tally): RoomMembers {
  return { name, members, parked: roomParked, catchingUp: roomCatchingUp, maxLag };
}

function busyRoom(room: Room, tally: Tally): BusyRoom {
  const { appended, delivered, log } = room;
  return { ...membersOf(room, tally), messages: appended, seq: log.head, delivered };
}

function isAmongBusiest({ appended, delivered }: Room, busiest: readonly BusyRoom[]): boolean {
  if (appended + delivered === 0) return false;
  const last = busiest.length < BUSIEST_ROOMS ? undefined : busiest.at(-1);
  return last === undefined || isBusier(delivered, appended, last);
}

/** Inserts a room in its place. A sort of all rooms would cost more than their visit. */
function insert(busiest: BusyRoom[], room: BusyRoom): void {
  let [low, high] = [0, busiest.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isBusier(room.delivered, room.messages, busiest[middle] as BusyRoom)) high = middle;
    else low = middle + 1;
  }
  busiest.splice(low, 0, room);
  if (busiest.length > BUSIEST_ROOMS) busiest.pop();
}

function isBusier(delivered: number, messages: number, than: BusyRoom): boolean {
  return delivered > than.delivered || (delivered === than.delivered && messages > than.messages);
}
