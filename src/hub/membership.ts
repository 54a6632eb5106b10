import { type Close, closes } from '../protocol/close-codes.ts';
import { errors, type GapReason, type Joined, type Place } from '../protocol/v1.ts';
import type { Commits } from './commits.ts';
import type { Events } from './events.ts';
import type { Notices } from './notices.ts';
import type { Presence, Present } from './presence.ts';
import type { ReadMarks } from './read-marks.ts';
import type { Member, Room } from './room.ts';
import type { Rooms } from './rooms.ts';
import type { SlowConsumers } from './slow-consumers.ts';
import type { Encoder, Subscriber } from './subscriber.ts';

/**
 * A request to join a room: at its head, after the place `since`, or with its last `history`
 * records.
 */
export interface Registration {
  readonly subscriber: Subscriber;
  readonly room: string;
  readonly since: Place | undefined;
  readonly history: number;
  /** Whether it understands changes of messages. */
  readonly changes: boolean;
}

/** A request to leave a room or all rooms, or to leave all rooms and then be closed. */
export type Departure =
  | { readonly kind: 'leave'; readonly subscriber: Subscriber; readonly room: string; readonly removed?: true }
  | { readonly kind: 'leave-all'; readonly subscriber: Subscriber }
  | { readonly kind: 'close'; readonly subscriber: Subscriber; readonly close: Close };

/** The application of a client has shown the messages of a room up to `seq`. */
export interface Acknowledgement {
  readonly subscriber: Subscriber;
  readonly room: string;
  readonly seq: number;
}

/** Where a member starts to read, and the records that it asked for and will not get. */
interface Start {
  readonly cursor: number;
  readonly recovered: boolean;
  readonly gap?: { readonly from: number; readonly to: number; readonly why: GapReason };
  /** Records that its client was shown, and that the log has lost. */
  readonly lost?: { readonly from: number; readonly to: number };
}

/** A leave that waits until the room's oldest `drafts` undecided drafts are decided. */
interface PendingDeparture {
  readonly subscriber: Subscriber;
  readonly removed: boolean;
  drafts: number;
}

/** Joins and leaves, each at its place among the room's messages. */
export class Membership {
  readonly #rooms: Rooms;
  readonly #commits: Commits;
  readonly #slowConsumers: SlowConsumers;
  readonly #presence: Presence;
  readonly #notices: Notices;
  readonly #readMarks: ReadMarks;
  readonly #events: Events;
  readonly #departures = new Map<Room, PendingDeparture[]>();
  /** Subscribers that are closed once they have left all rooms. */
  readonly #closing = new Map<Subscriber, Close>();

  constructor(
    rooms: Rooms,
    commits: Commits,
    slowConsumers: SlowConsumers,
    presence: Presence,
    notices: Notices,
    readMarks: ReadMarks,
    events: Events,
  ) {
    this.#rooms = rooms;
    this.#commits = commits;
    this.#slowConsumers = slowConsumers;
    this.#presence = presence;
    this.#notices = notices;
    this.#readMarks = readMarks;
    this.#events = events;
  }

  /**
   * Joins a room. Messages sent before the join are in the log first, so the new member does not
   * get them.
   */
  join(room: Room, { subscriber, since, history, changes }: Registration): void {
    if (subscriber.closed) return;
    if (room.undecided.waiting > 0) this.#commits.commit();
    this.#completeDeparture(room, subscriber);
    const existing = this.#rooms.membership(subscriber, room);
    const start = existing ? { cursor: existing.cursor, recovered: true } : startOf(room, since, history);
    const encoder = (changes && subscriber.pump.encoder.withChanges) || subscriber.pump.encoder;
    existing?.room.regroup(existing, encoder);
    const member = existing ?? this.#add(room, subscriber, encoder, start.cursor);
    if (member.behind > 0) this.#slowConsumers.add(subscriber);
    if (since !== undefined && !existing) {
      this.#events.emit('resumed', { client: subscriber.id, room: room.name, outcome: outcomeOf(start) });
    }
    this.#announce(member, start);
    this.#readMarks.joined(member);
    subscriber.joined(room.name, start.recovered);
  }

  /**
   * Leaves a room, or all. Messages sent before the leave are delivered first, so the member still
   * gets them.
   */
  leave(departure: Departure): void {
    const { kind, subscriber } = departure;
    if (kind === 'close' && !subscriber.closed) this.#closing.set(subscriber, departure.close);
    for (const member of this.#rooms.membershipsOf(subscriber)) {
      if (kind !== 'leave' || member.room.name === departure.room) {
        this.#leave(member, kind === 'leave' && departure.removed === true);
      }
    }
    if (subscriber.closed) this.#forget(subscriber);
    else this.#closeIfGone(subscriber);
  }

  /** Records what a client's application has shown. It cannot have shown what it was not handed. */
  acknowledge({ subscriber, room: name, seq }: Acknowledgement): void {
    const member = this.#rooms.membershipsOf(subscriber).find(({ room }) => room.name === name);
    if (!member || subscriber.closed) return;
    if (seq > member.cursor) {
      const message = `ack: "seq" must be at most ${member.cursor}, the seq of the last message sent to this client`;
      const error = { ...errors.bad_field, message, field: 'seq', room: name };
      this.#notices.notify(subscriber, { t: 'error', code: 'bad_field', ...error });
    } else if (member.acknowledge(seq)) {
      this.#events.emit('shown', { client: subscriber.id, user: subscriber.user, room: name, seq });
      if (subscriber.isVerified) this.#readMarks.read(subscriber.user, member.room, seq, subscriber);
    }
  }

  /** The room's oldest `drafts` undecided drafts are decided. */
  decided(room: Room, drafts: number): void {
    const departures = this.#departures.get(room);
    if (departures === undefined) return;
    for (const departure of departures) departure.drafts -= drafts;
    for (const { subscriber, drafts } of [...departures]) if (drafts <= 0) this.#completeDeparture(room, subscriber);
  }

  /** The room could not be attached. A client that cannot be told so, or join again, is closed. */
  refuse({ subscriber, room }: Registration): void {
    if (subscriber.closed) return;
    const error = { ...errors.unavailable, message: 'the room cannot be reached', room };
    const notified = this.#notices.notify(subscriber, { t: 'error', code: 'unavailable', ...error });
    if (notified && !subscriber.pump.encoder.endsOnError) return;
    subscriber.pump.release();
    subscriber.end(closes.unavailable);
  }

  /**
   * The room's log goes on after the place, in another life. Notifies every member of the new
   * epoch, and of the records that were lost; closes those that cannot be told what they lost.
   */
  move(room: Room, place: Place): void {
    const { head } = room.log;
    const present = this.#presence.of(room);
    const isComplete = room.moveTo(place);
    this.#slowConsumers.forgetReads(room);
    for (const { encoder, members } of room.groups) {
      const lines = new Map<string, string>(); // members that lose the same records share a line
      for (const member of [...members]) {
        this.#moveMember(member, place.seq, encoder, lines, present);
        if (!isComplete && member.behind > 0) this.#readOn(member);
      }
    }
    this.#events.emit('moved', { room: room.name, epoch: place.epoch, seq: place.seq, lost: head - place.seq });
  }

  /** The room's log goes on after the place: its members catch up as far as the log reaches. */
  skip(room: Room, place: Place): void {
    room.skipTo(place);
    this.#slowConsumers.forgetReads(room);
    for (const { members } of room.groups) {
      for (const member of members) this.#readOn(member);
    }
  }

  /** The member catches up with what the log has no longer in memory. */
  #readOn(member: Member): void {
    member.fallBehind();
    this.#slowConsumers.add(member.subscriber);
  }

  #add(room: Room, subscriber: Subscriber, encoder: Encoder, cursor: number): Member {
    const member = this.#rooms.join(room, subscriber, encoder, cursor);
    this.#events.emit('registered', { client: subscriber.id, room: room.name, members: room.members });
    this.#presence.joined(room, subscriber);
    return member;
  }

  #announce({ subscriber, room }: Member, start: Start): void {
    const { encoder } = subscriber.pump;
    if (encoder.notices.has('joined')) {
      this.#notices.notify(subscriber, joinedNotice(room, start, this.#presence.of(room)));
    }
    if (start.gap) this.#notices.notify(subscriber, { t: 'gap', room: room.name, ...start.gap });
  }

  #moveMember(member: Member, end: number, encoder: Encoder, lines: Map<string, string>, present: Present): void {
    const { subscriber, room } = member;
    if (subscriber.closed) return;
    const lastKnown = member.cutTo(end);
    if (!encoder.notices.has('joined')) {
      if (lastKnown !== undefined) subscriber.end(closes.lostTail);
      return;
    }
    const { cursor } = member;
    const lost = lastKnown === undefined ? {} : { lost: { from: end + 1, to: lastKnown } };
    const key = `${cursor} ${lastKnown}`;
    const start = { cursor, recovered: lastKnown === undefined, ...lost };
    const line = lines.get(key) ?? encoder.encodeNotice(joinedNotice(room, start, present));
    lines.set(key, line);
    this.#notices.queue(subscriber, line);
  }

  /** @param removed whether the server ends the membership, and not the client. */
  #leave(member: Member, removed: boolean): void {
    const { room, subscriber } = member;
    if (!subscriber.closed && room.undecided.waiting > 0) this.#commits.commit();
    if (this.#rooms.membership(subscriber, room) !== member) return; // an earlier leave waited for the commit
    const drafts = room.undecided.inFlight;
    if (subscriber.closed || drafts === 0) this.#depart(member, removed);
    else this.#departLater(room, { subscriber, removed, drafts });
  }

  #departLater(room: Room, departure: PendingDeparture): void {
    const departures = this.#departures.get(room) ?? [];
    if (departures.some(({ subscriber }) => subscriber === departure.subscriber)) return;
    departures.push(departure);
    this.#departures.set(room, departures);
  }

  /** Ends a membership whose leave waits: its drafts are decided, or it joins again. */
  #completeDeparture(room: Room, subscriber: Subscriber): void {
    const departures = this.#departures.get(room);
    const at = departures?.findIndex((departure) => departure.subscriber === subscriber) ?? -1;
    if (departures === undefined || at < 0) return;
    const [departure] = departures.splice(at, 1);
    if (departures.length === 0) this.#departures.delete(room);
    const member = this.#rooms.membership(subscriber, room);
    if (member) this.#depart(member, departure?.removed === true);
  }

  #depart(member: Member, removed: boolean): void {
    const { subscriber, room } = member;
    if (!subscriber.closed) this.#deliverRest(member, removed);
    this.#rooms.leave(member);
    this.#presence.left(room, subscriber);
    this.#events.emit('unregistered', { client: subscriber.id, room: room.name, members: room.members });
    this.#closeIfGone(subscriber);
  }

  #deliverRest(member: Member, removed: boolean): void {
    const { subscriber, room } = member;
    this.#slowConsumers.handRest(member);
    if (this.#closing.has(subscriber)) return;
    const { cursor, behind } = member;
    const gap = { from: cursor + 1, to: cursor + behind, why: 'slow' } as const;
    if (behind > 0) this.#notices.notify(subscriber, { t: 'gap', room: room.name, ...gap });
    this.#notices.notify(subscriber, { t: 'left', room: room.name, ...(removed && { removed }) });
  }

  /** Closes a subscriber that has left all rooms, if it is to be closed. */
  #closeIfGone(subscriber: Subscriber): void {
    const close = this.#closing.get(subscriber);
    if (close === undefined || this.#rooms.membershipsOf(subscriber).length > 0) return;
    this.#forget(subscriber);
    subscriber.pump.release();
    subscriber.end(close);
  }

  #forget(subscriber: Subscriber): void {
    this.#readMarks.forget(subscriber);
    this.#closing.delete(subscriber);
    this.#slowConsumers.forget(subscriber);
  }
}

function outcomeOf({ recovered, lost, gap }: Start) {
  if (recovered) return 'complete';
  if (gap?.why === 'epoch') return 'epoch';
  return lost !== undefined || gap === undefined ? 'lost' : 'trimmed';
}

function joinedNotice(room: Room, { cursor: seq, recovered, lost }: Start, present: Present): Joined {
  const { name, epoch } = room;
  return { t: 'joined', room: name, epoch, seq, recovered, ...(lost && { lost }), ...present };
}

function startOf(room: Room, since: Place | undefined, history: number): Start {
  const { head } = room.log;
  const cursor = history > 0 ? Math.max(head - history, room.first - 1) : head;
  if (since === undefined) return { cursor, recovered: true };
  const end = room.shared(since.epoch) ?? room.diverged(since.epoch);
  if (end === undefined) {
    return { cursor, recovered: false, ...(cursor > 0 && { gap: { from: 1, to: cursor, why: 'epoch' } }) };
  }
  if (since.seq > end) return lostStart(room, end, since);
  if (room.reaches(since.seq)) return { cursor: since.seq, recovered: true };
  const to = room.first - 1;
  return { cursor: to, recovered: false, gap: { from: since.seq + 1, to, why: 'trimmed' } };
}

/** The place is past the end of what its log shares with the current one. */
function lostStart(room: Room, end: number, since: Place): Start {
  if (since.epoch === room.epoch) return { cursor: end, recovered: false };
  const lost = { from: end + 1, to: since.seq };
  if (room.reaches(end)) return { cursor: end, recovered: false, lost };
  const to = room.first - 1;
  return { cursor: to, recovered: false, lost, gap: { from: end + 1, to, why: 'trimmed' } };
}
