import type { GapReason } from '../protocol/v1.ts';
import type { Events } from './events.ts';
import type { Notices } from './notices.ts';
import type { Clock, Cursor, Subscriber } from './ports.ts';
import type { Presence } from './presence.ts';
import type { Member, Room } from './room.ts';
import type { Rooms } from './rooms.ts';
import type { Stragglers } from './stragglers.ts';

/** Asks for membership: from the head on, from the place after `since`, or with the last `history` records. */
export interface Registration {
  readonly subscriber: Subscriber;
  readonly room: string;
  readonly since: Cursor | undefined;
  readonly history: number;
}

/** Ends a membership or, without a room, all of a subscriber's. */
export interface Departure {
  readonly subscriber: Subscriber;
  readonly room: string | undefined;
}

/** Where a member starts to read, and what it will not get of what it asked for. */
interface Start {
  readonly cursor: number;
  readonly recovered: boolean;
  readonly gap?: { readonly from: number; readonly to: number; readonly why: GapReason };
}

/** What the Hub lends: the parts of it that joins and leaves touch. */
export interface MembershipParts {
  readonly rooms: Rooms;
  readonly stragglers: Stragglers;
  readonly presence: Presence;
  readonly notices: Notices;
  readonly events: Events;
  readonly clock: Clock;
  /** Puts what was sent so far into the rooms' logs (as far as the engine commits at once). */
  readonly settle: () => void;
}

/** Lets subscribers into rooms and out of them, each in its place among the room's messages. */
export class Memberships {
  readonly #hub: MembershipParts;

  constructor(parts: MembershipParts) {
    this.#hub = parts;
  }

  /** What was sent to the room before this join is in its log first, so the new member does not get it. */
  join({ subscriber, room: name, since, history }: Registration): void {
    if (subscriber.closed) return;
    const { rooms, stragglers, presence, notices, events, clock, settle } = this.#hub;
    const room = rooms.get(name);
    if (room.pending.length > 0) settle();
    this.#departNow(room, subscriber);
    const present = subscriber.memberships.find((member) => member.room === room);
    const start = present ? { cursor: present.cursor, recovered: true } : startOf(room, since, history);
    const member = present ?? room.join(subscriber, start.cursor);
    if (member.behind > 0) stragglers.add(subscriber);
    else member.live = true;
    room.usedAt = clock.now();
    if (!present) {
      events.emit('registered', { client: subscriber.id, room: name, members: room.members });
      presence.joined(room, subscriber);
    }
    const { cursor: seq, recovered } = start;
    if (subscriber.pump.encoder.tells.has('joined')) {
      notices.tell(subscriber, { t: 'joined', room: name, epoch: room.epoch, seq, recovered, ...presence.of(room) });
    }
    if (start.gap) notices.tell(subscriber, { t: 'gap', room: name, ...start.gap });
    subscriber.joined(member, recovered);
  }

  /** What was sent to the room before this leave goes out first, so the member still gets it. */
  leave({ subscriber, room: name }: Departure): void {
    for (const member of subscriber.memberships.filter(({ room }) => name === undefined || room.name === name)) {
      const { room } = member;
      if (!subscriber.closed && room.pending.length > 0) this.#hub.settle();
      if (subscriber.closed || room.appended.length === 0) this.#depart(member);
      else if (!room.departing.some((one) => one.subscriber === subscriber)) {
        room.departing.push({ subscriber, drafts: room.appended.length });
      }
    }
    if (subscriber.closed) this.#hub.stragglers.forget(subscriber);
  }

  /** The engine has decided on the oldest `drafts` drafts of the room. */
  decided(room: Room, drafts: number): void {
    const { departing } = room;
    for (const one of departing) one.drafts -= drafts;
    while (departing[0] && departing[0].drafts <= 0) {
      const { subscriber } = departing.shift() as (typeof departing)[number];
      const member = subscriber.memberships.find((of) => of.room.name === room.name);
      if (member) this.#depart(member);
    }
  }

  /** It comes back before it has left: then it leaves first. */
  #departNow(room: Room, subscriber: Subscriber): void {
    const at = room.departing.findIndex((one) => one.subscriber === subscriber);
    if (at < 0) return;
    room.departing.splice(at, 1);
    const member = subscriber.memberships.find((of) => of.room === room);
    if (member) this.#depart(member);
  }

  #depart(member: Member): void {
    const { stragglers, presence, notices, events, clock } = this.#hub;
    const { subscriber, room } = member;
    if (!subscriber.closed) {
      stragglers.handRest(member);
      const { cursor, behind } = member;
      const gap = { from: cursor + 1, to: cursor + behind, why: 'slow' } as const;
      if (behind > 0) notices.tell(subscriber, { t: 'gap', room: room.name, ...gap });
      notices.tell(subscriber, { t: 'left', room: room.name });
    }
    room.leave(member);
    room.usedAt = clock.now();
    presence.left(room, subscriber);
    events.emit('unregistered', { client: subscriber.id, room: room.name, members: room.members });
  }
}

function startOf(room: Room, since: Cursor | undefined, history: number): Start {
  const { head } = room.log;
  const cursor = history > 0 ? Math.max(head - history, room.first - 1) : head;
  if (since === undefined) return { cursor, recovered: true };
  if (since.epoch !== room.epoch) {
    return { cursor, recovered: false, ...(cursor > 0 && { gap: { from: 1, to: cursor, why: 'epoch' } }) };
  }
  if (since.seq > head) return { cursor: head, recovered: false };
  if (room.reaches(since.seq)) return { cursor: since.seq, recovered: true };
  const to = room.first - 1;
  return { cursor: to, recovered: false, gap: { from: since.seq + 1, to, why: 'trimmed' } };
}
