import type { Place } from '../protocol/v1.ts';
import type { Commits } from './commits.ts';
import type { Draft, Engine } from './engine.ts';
import type { Departure, Membership, Registration } from './membership.ts';
import type { Room } from './room.ts';
import type { Rooms, RoomWork } from './rooms.ts';

/**
 * Passes joins, leaves and messages on: at once, or when their room is attached. Those of one room
 * keep their order.
 */
export class Dispatcher {
  readonly #engine: Engine;
  readonly #rooms: Rooms;
  readonly #commits: Commits;
  readonly #membership: Membership;

  constructor(engine: Engine, rooms: Rooms, commits: Commits, membership: Membership) {
    this.#engine = engine;
    this.#rooms = rooms;
    this.#commits = commits;
    this.#membership = membership;
  }

  /** Passes a draft to the commits. @returns how many bytes of the turn's budget it uses. */
  publish(draft: Draft): number {
    const room = this.#rooms.get(draft.room);
    if (room !== undefined) return this.#commits.add(room, draft);
    this.#rooms.wait(draft.room, draft.by, (attached) => {
      if (attached) this.#commits.add(attached, draft);
      else this.#commits.reject(draft);
    });
    return draft.bytes;
  }

  /** Joins a subscriber to a room. */
  join(registration: Registration): void {
    const { room: name, subscriber, since } = registration;
    const resumption = since && { epoch: since.epoch, isAhead: (room: Room) => this.#isBehind(room, since) };
    const room = this.#rooms.get(name);
    if (room !== undefined && !resumption?.isAhead(room)) {
      this.#membership.join(room, registration);
      return;
    }
    if (room !== undefined) this.#rooms.hold(room);
    const join: RoomWork = (attached) => {
      if (attached) this.#membership.join(attached, registration);
      else this.#membership.refuse(registration);
    };
    this.#rooms.wait(name, subscriber, join, resumption);
  }

  /** Reports whether another node may have shown more of the room than this one has got. */
  #isBehind(room: Room, since: Place): boolean {
    if (this.#engine.catchUp === undefined) return false;
    if (this.#engine.position(room.name).epoch !== room.epoch) return true; // a report of a move waits
    const { head } = room.log;
    const end = since.epoch === room.epoch ? since.seq : room.shared(since.epoch);
    return end === undefined || Math.min(since.seq, end) > head;
  }

  /** Ends memberships, after the posts of the subscriber that wait for rooms. */
  leave(departure: Departure): void {
    const { kind, subscriber } = departure;
    if (kind === 'leave' && this.#rooms.isAwaited(departure.room)) {
      this.#rooms.waitAnyway(departure.room, subscriber, () => this.#membership.leave(departure));
      return;
    }
    const awaited = kind === 'close' ? this.#rooms.awaitedBy(subscriber) : undefined;
    if (awaited === undefined) this.#membership.leave(departure);
    else this.#rooms.waitAnyway(awaited, subscriber, () => this.leave(departure));
  }
}
