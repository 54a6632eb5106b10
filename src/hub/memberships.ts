import type { Events } from './events.ts';
import type { Clock, Cursor, Subscriber } from './ports.ts';
import type { Room } from './room.ts';
import type { Rooms } from './rooms.ts';
import type { Stragglers } from './stragglers.ts';

/** Asks for membership: from the head on, or from the place after `since`. */
export interface Registration {
  readonly subscriber: Subscriber;
  readonly room: string;
  readonly since: Cursor | undefined;
}

/** Ends a membership or, without a room, all of a subscriber's. */
export interface Departure {
  readonly subscriber: Subscriber;
  readonly room: string | undefined;
}

/** Lets subscribers into rooms and out of them, each in its place among the room's messages. */
export class Memberships {
  readonly #rooms: Rooms;
  readonly #stragglers: Stragglers;
  readonly #events: Events;
  readonly #clock: Clock;
  readonly #settle: (room: Room) => void;

  /** @param settle puts what was sent to a room so far into its log (as far as the engine commits at once). */
  constructor(rooms: Rooms, stragglers: Stragglers, events: Events, clock: Clock, settle: (room: Room) => void) {
    this.#rooms = rooms;
    this.#stragglers = stragglers;
    this.#events = events;
    this.#clock = clock;
    this.#settle = settle;
  }

  /** What was sent to the room before this join is in its log first, so the new member does not get it. */
  join({ subscriber, room: name, since }: Registration): void {
    if (subscriber.closed) return;
    const room = this.#rooms.get(name);
    this.#settle(room);
    const present = subscriber.memberships.find((member) => member.room === room);
    const reached = since?.epoch === room.epoch && room.log.reaches(since.seq);
    const member = present ?? room.join(subscriber, reached ? since.seq : room.log.head);
    if (member.behind > 0) this.#stragglers.add(subscriber);
    else member.live = true;
    room.usedAt = this.#clock.now();
    if (!present) this.#events.emit('registered', { client: subscriber.id, room: name, members: room.members });
    subscriber.joined(member, since === undefined || reached || present !== undefined);
  }

  /** What was sent to the room before this leave goes out first, so the member still gets it. */
  leave({ subscriber, room: name }: Departure): void {
    for (const member of subscriber.memberships.filter(({ room }) => name === undefined || room.name === name)) {
      const { room } = member;
      if (!subscriber.closed) {
        this.#settle(room);
        this.#stragglers.handRest(member);
      }
      room.leave(member);
      room.usedAt = this.#clock.now();
      this.#events.emit('unregistered', { client: subscriber.id, room: room.name, members: room.members });
    }
    if (subscriber.closed) this.#stragglers.forget(subscriber);
  }
}
