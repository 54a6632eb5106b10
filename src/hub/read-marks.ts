import type { Place } from '../protocol/v1.ts';
import type { ReadPlaces } from './cluster.ts';
import type { LateReads } from './late-reads.ts';
import type { Notices } from './notices.ts';
import type { Member, Room } from './room.ts';
import type { Rooms } from './rooms.ts';
import type { Subscriber } from './subscriber.ts';

/**
 * Keeps how far each user that is signed in has read the rooms, and tells all of the user's
 * connections. What one device has shown is no longer unread on the others.
 */
export class ReadMarks {
  readonly #places: ReadPlaces | undefined;
  readonly #rooms: Rooms;
  readonly #notices: Notices;
  readonly #lateReads: LateReads;
  /** The connections here of each user that is signed in. */
  readonly #connections = new Map<string, Set<Subscriber>>();

  /** @param places undefined keeps nothing: then the connections here tell each other only. */
  constructor(places: ReadPlaces | undefined, rooms: Rooms, notices: Notices, lateReads: LateReads) {
    this.#places = places;
    this.#rooms = rooms;
    this.#notices = notices;
    this.#lateReads = lateReads;
  }

  /** A client has joined a room: it learns how far its user has read it. */
  joined({ subscriber, room }: Member): void {
    const { user } = subscriber;
    if (!subscriber.isVerified || !subscriber.pump.encoder.notices.has('read')) return;
    const connections = this.#connections.get(user);
    if (connections) connections.add(subscriber);
    else this.#connections.set(user, new Set([subscriber]));
    const found = this.#places?.find(user, room.name);
    const show = (place: Place | undefined) => place && this.#show(subscriber, room.name, place);
    if (found instanceof Promise) this.#lateReads.add(found, show, () => {});
    else show(found);
  }

  /** A user that is signed in has read a room up to a `seq`. @param by its connection, if here. */
  read(user: string, room: Room, seq: number, by?: Subscriber): void {
    const place = { epoch: room.epoch, seq };
    this.#places?.move(user, room.name, place);
    for (const subscriber of this.#connections.get(user) ?? []) {
      if (subscriber !== by) this.#show(subscriber, room.name, place);
    }
  }

  /** A user has read a room up to a place, on another node. */
  readElsewhere(user: string, room: string, place: Place): void {
    for (const subscriber of this.#connections.get(user) ?? []) this.#show(subscriber, room, place);
  }

  /** The subscriber is closed. */
  forget(subscriber: Subscriber): void {
    const connections = this.#connections.get(subscriber.user);
    if (connections?.delete(subscriber) && connections.size === 0) this.#connections.delete(subscriber.user);
  }

  #show(subscriber: Subscriber, name: string, place: Place): void {
    const room = this.#rooms.find(name);
    const member = room && this.#rooms.membership(subscriber, room);
    const seq = member && !subscriber.closed ? seqIn(room, place) : undefined;
    if (member && seq !== undefined && member.acknowledge(seq))
      this.#notices.notify(subscriber, { t: 'read', room: name, seq });
  }
}

/** Returns the place's `seq` in the current epoch of a room: a log that was replaced is unread. */
function seqIn(room: Room, { epoch, seq }: Place): number | undefined {
  const end = room.shared(epoch) ?? room.diverged(epoch);
  return end === undefined ? undefined : Math.min(seq, end);
}
