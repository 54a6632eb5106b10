import type { Place } from '../protocol/v1.ts';
import type { Cluster, PassedSignal, PresenceChange } from './cluster.ts';
import type { HistoryReader, HistoryRequest } from './history.ts';
import type { Acknowledgement, Membership } from './membership.ts';
import type { Presence } from './presence.ts';
import type { ReadMarks } from './read-marks.ts';
import type { Room } from './room.ts';
import type { Rooms, RoomWork } from './rooms.ts';
import type { Signal } from './subscriber.ts';

/** Where a room's log stands, and how many members the room has on all nodes. */
export interface RoomHead extends Place {
  /** The oldest record that can be read: `seq + 1` when no record can be. */
  readonly first: number;
  readonly members: number;
}

/** A request for the head of a room. */
export interface HeadRequest {
  readonly room: string;
  /** Receives the head, or undefined where the engine could not attach the room. */
  readonly answer: (head: RoomHead | undefined) => void;
}

/**
 * A user that is signed in has read a room up to a place. Without an epoch it is one of the current
 * log.
 */
export interface ReadReport {
  readonly user: string;
  readonly room: string;
  readonly seq: number;
  readonly epoch: string | undefined;
}

/** A post that changes neither the members nor the log. The last two come from another node. */
export type Request =
  | ({ readonly kind: 'history' } & HistoryRequest)
  | ({ readonly kind: 'head' } & HeadRequest)
  | ({ readonly kind: 'acknowledge' } & Acknowledgement)
  | ({ readonly kind: 'read' } & ReadReport)
  | { readonly kind: 'signal'; readonly signal: Signal }
  | { readonly kind: 'signalled'; readonly signal: PassedSignal }
  | { readonly kind: 'presence'; readonly room: string; readonly change: PresenceChange };

/** Answers the posts of the mailbox `request`. */
export class Requests {
  readonly #rooms: Rooms;
  readonly #history: HistoryReader;
  readonly #membership: Membership;
  readonly #presence: Presence;
  readonly #readMarks: ReadMarks;
  readonly #cluster: Cluster | undefined;

  constructor(
    rooms: Rooms,
    history: HistoryReader,
    membership: Membership,
    presence: Presence,
    readMarks: ReadMarks,
    cluster: Cluster | undefined,
  ) {
    this.#rooms = rooms;
    this.#history = history;
    this.#membership = membership;
    this.#presence = presence;
    this.#readMarks = readMarks;
    this.#cluster = cluster;
  }

  answer(request: Request): void {
    if (request.kind === 'history') this.#read(request);
    else if (request.kind === 'head') this.#head(request);
    else if (request.kind === 'acknowledge') this.#membership.acknowledge(request);
    else if (request.kind === 'read') this.#hasRead(request);
    else if (request.kind === 'signal') this.#signal(request.signal);
    else if (request.kind === 'signalled') this.#signalled(request.signal);
    else this.#changePresence(request.room, request.change);
  }

  #read(request: HistoryRequest): void {
    const room = this.#rooms.get(request.room);
    const read: RoomWork = (attached) => {
      if (attached) this.#history.answer(attached, { ...request, changes: this.#wantsChanges(attached, request) });
      else this.#history.reject(request, 'unavailable');
    };
    if (room) read(room);
    else this.#rooms.wait(request.room, request.subscriber, read);
  }

  #wantsChanges(room: Room, { changes, subscriber }: HistoryRequest): boolean {
    return changes ?? this.#rooms.membership(subscriber, room)?.getsChanges ?? false;
  }

  #head({ room: name, answer }: HeadRequest): void {
    const room = this.#rooms.get(name);
    const read: RoomWork = (attached) => answer(attached && this.#headOf(attached));
    if (room) read(room);
    else this.#rooms.wait(name, undefined, read);
  }

  #headOf(room: Room): RoomHead {
    const { epoch, log, first } = room;
    return { epoch, seq: log.head, first, members: this.#presence.of(room).count };
  }

  #hasRead({ user, room: name, seq, epoch }: ReadReport): void {
    if (epoch !== undefined) {
      this.#readMarks.readElsewhere(user, name, { epoch, seq });
      return;
    }
    const room = this.#rooms.get(name);
    const read: RoomWork = (attached) => {
      // It cannot have read what is not in the log.
      if (attached && seq > 0 && seq <= attached.log.head) this.#readMarks.read(user, attached, seq);
    };
    if (room) read(room);
    else this.#rooms.wait(name, undefined, read);
  }

  #signal(signal: Signal): void {
    if (this.#rooms.isAwaited(signal.room)) {
      this.#rooms.wait(signal.room, signal.by, (attached) => attached && this.#pass(signal));
    } else {
      this.#pass(signal);
    }
  }

  #pass(signal: Signal): void {
    this.#signalHere(signal);
    const { session } = signal;
    this.#cluster?.signal(session === undefined ? signal.signal : { ...signal.signal, session });
  }

  #signalled({ session, ...signal }: PassedSignal): void {
    const { room, from } = signal;
    this.#signalHere({ room, from, signal, ...(session !== undefined && { session }) });
  }

  /** A room that is not in memory has no members here. */
  #signalHere(signal: Signal): void {
    const room = this.#rooms.find(signal.room);
    if (room) this.#presence.signal(room, signal);
  }

  #changePresence(name: string, change: PresenceChange): void {
    const room = this.#rooms.find(name);
    if (room) this.#presence.changedElsewhere(room, change);
  }
}
