import { type Close, closes } from '../protocol/close-codes.ts';
import type { GapReason } from '../protocol/v1.ts';
import { ColdReads } from './cold-reads.ts';
import type { Events } from './events.ts';
import type { LateReads } from './late-reads.ts';
import type { Records } from './log.ts';
import type { Meter } from './meter.ts';
import type { Notices } from './notices.ts';
import type { Presence } from './presence.ts';
import type { Group, Member, Room } from './room.ts';
import type { Rooms } from './rooms.ts';
import type { HubSettings } from './settings.ts';
import { type Frame, MAX_FRAME_BYTES, type Subscriber } from './subscriber.ts';
import type { Scheduler } from './time.ts';

// Frames that one turn hands to members that catch up: to one of them, and to all together.
const FRAMES_PER_VISIT = 16;
const FRAMES_PER_TURN = 256;

/**
 * The members that are not at their room's head. They are parked until their socket drains, and
 * then catch up from their cursor. A member too far behind is evicted, or skips ahead and is
 * notified of the gap: the room's policy decides.
 */
export class SlowConsumers {
  readonly #rooms: Rooms;
  readonly #events: Events;
  readonly #notices: Notices;
  readonly #presence: Presence;
  readonly #settings: HubSettings;
  readonly #meter: Meter;
  readonly #frames = new CatchUpFrames();
  readonly #coldReads: ColdReads;
  /**
   * Subscribers that are behind and can be written to. A parked one comes back when its socket
   * drains.
   */
  readonly #catchingUp = new Set<Subscriber>();
  readonly #stalled = new Set<Subscriber>();
  #visits = 0;

  /** @param wake is called when members can go on whose records the engine has read. */
  constructor(
    rooms: Rooms,
    events: Events,
    notices: Notices,
    presence: Presence,
    settings: HubSettings,
    lateReads: LateReads,
    scheduler: Scheduler,
    meter: Meter,
    wake: () => void,
  ) {
    this.#rooms = rooms;
    this.#events = events;
    this.#notices = notices;
    this.#presence = presence;
    this.#settings = settings;
    this.#meter = meter;
    this.#coldReads = new ColdReads(lateReads, scheduler, (readers) => {
      for (const reader of readers) if (!reader.closed) this.#catchingUp.add(reader);
      wake();
    });
  }

  /** How many subscribers wait for the next turn. */
  get size(): number {
    return this.#catchingUp.size + this.#stalled.size;
  }

  /** The subscriber is behind and can be written to. */
  add(subscriber: Subscriber): void {
    this.#catchingUp.add(subscriber);
  }

  /** The subscriber's socket has accepted nothing for too long. */
  addStalled(subscriber: Subscriber): void {
    this.#stalled.add(subscriber);
  }

  /** The subscriber is closed. */
  forget(subscriber: Subscriber): void {
    this.#catchingUp.delete(subscriber);
    this.#stalled.delete(subscriber);
  }

  /** The room's log was cut back or replaced, or the room is released: what was read is void. */
  forgetReads(room: Room): void {
    this.#coldReads.forget(room);
    this.#frames.clear();
  }

  /** Records of the room from `seq` on have changed. */
  forgetChanged(room: Room, seq: number): void {
    this.#coldReads.forgetChanged(room, seq);
    this.#frames.clear();
  }

  /** A flush, or its own socket, has left the member behind. */
  note(member: Member): void {
    const { pump, subscriber } = member;
    if (subscriber.closed) return;
    if (pump.writable) this.#catchingUp.add(subscriber);
    else if (this.#mustGo(member)) evict(member);
    else if (member.park()) {
      this.#events.emit('lagging', { client: subscriber.id, room: member.room.name, records: member.behind });
      subscriber.parked?.(member.room.name, member.behind);
    }
  }

  /**
   * Evicts the stalled, and lets the others catch up for a while: a part of them when they are
   * many.
   */
  run(): void {
    if (this.#stalled.size > 0) this.#evictStalled();
    if (this.#catchingUp.size === 0) return;
    let budget = FRAMES_PER_TURN;
    let visits = this.#catchingUp.size; // an unfinished subscriber is added again at the end of the set: for the next turn
    for (const subscriber of this.#catchingUp) {
      if (visits-- === 0 || budget <= 0) return;
      this.#catchingUp.delete(subscriber);
      budget -= this.#visit(subscriber);
    }
  }

  /** Hands a member the records that it lacks, as far as its socket accepts them. */
  handRest(member: Member): void {
    while (member.behind > 0 && this.#handFrame(member));
  }

  /** At the end of a turn. */
  endTurn(): void {
    this.#frames.clear();
  }

  #evictStalled(): void {
    for (const subscriber of this.#stalled) {
      this.#stalled.delete(subscriber);
      if (subscriber.closed || subscriber.pump.writable) continue;
      const [furthest] = this.#rooms.membershipsOf(subscriber).toSorted((a, b) => b.behind - a.behind);
      if (furthest) evict(furthest, closes.writeTimeout);
      else subscriber.evict(closes.writeTimeout, undefined);
    }
  }

  /**
   * Hands one frame a room in turn, so that a busy room does not starve the others.
   *
   * @returns how many frames.
   */
  #visit(subscriber: Subscriber): number {
    const memberships = this.#rooms.membershipsOf(subscriber);
    let at = this.#visits++;
    let frames = 0;
    for (let idle = 0; idle < memberships.length && !subscriber.closed; at++) {
      const member = memberships[at % memberships.length] as Member;
      if (member.behind === 0) {
        this.#caughtUp(member);
        idle++;
        continue;
      }
      if (frames === FRAMES_PER_VISIT) {
        this.#catchingUp.add(subscriber);
        return frames;
      }
      const handed = this.#handFrame(member);
      if (!subscriber.pump.writable) break;
      if (handed) idle = 0;
      else idle++;
      frames++;
    }
    if (!subscriber.pump.writable) for (const member of memberships) if (member.behind > 0) this.note(member);
    return frames;
  }

  /** @returns whether it can go on: its socket accepts more, and its records are at hand. */
  #handFrame(member: Member): boolean {
    const { pump, room } = member;
    if (!pump.writable) return false;
    if (!this.#bringInReach(member)) {
      evict(member);
      return false;
    }
    if (member.behind === 0) return true;
    const frame = this.#frameAfter(member);
    if (frame === undefined) return false;
    if (frame.isSilent) {
      member.advanceTo(frame.to);
      return true;
    }
    const to = pump.advance(frame);
    this.#meter.delivered(frame, to - frame.from);
    room.countDeliveries(to - frame.from);
    member.advanceTo(to);
    return pump.writable;
  }

  /** Returns the member's next frame, or undefined while the engine reads its records. */
  #frameAfter({ room, encoder, cursor, subscriber }: Member): Frame | undefined {
    const group = room.group(encoder);
    const cached = this.#frames.get(group, cursor);
    if (cached !== undefined) return cached;
    const records = this.#coldReads.recordsAfter(room, cursor, subscriber);
    return records && this.#frames.encode(group, cursor, records);
  }

  #caughtUp(member: Member): void {
    this.#presence.refresh(member);
    if (!member.catchUp()) return;
    const { subscriber, room } = member;
    this.#events.emit('drained', { client: subscriber.id, room: room.name });
    subscriber.caughtUp?.(room.name);
  }

  /**
   * Skips ahead where the room's policy or its log demands it.
   *
   * @returns false when the wire cannot express the gap.
   */
  #bringInReach(member: Member): boolean {
    const { room, cursor, behind, live } = member;
    const policy = room.slow;
    if (live && policy === 'latest' && behind > 1) return this.#skip(member, room.log.head - 1, 'slow');
    if (live && policy === 'skip' && this.#isTooFar(member)) return this.#skip(member, room.log.head, 'slow');
    return room.reaches(cursor) || this.#skip(member, room.first - 1, 'trimmed');
  }

  #skip(member: Member, to: number, why: GapReason): boolean {
    const { subscriber, room, cursor } = member;
    if (!this.#notices.notify(subscriber, { t: 'gap', room: room.name, from: cursor + 1, to, why })) return false;
    member.advanceTo(to);
    return true;
  }

  /**
   * Reports whether a parked member must go: too far behind in a room that evicts, or past a gap
   * that it cannot be notified of.
   */
  #mustGo(member: Member): boolean {
    const { room, cursor, live, pump } = member;
    const canSkip = pump.encoder.notices.has('gap');
    if (!canSkip && !room.reaches(cursor)) return true;
    return live && this.#isTooFar(member) && (!canSkip || room.slow === 'evict');
  }

  #isTooFar({ room, cursor, behind, pump }: Member): boolean {
    const { records, bytes } = this.#settings.sendBuffer;
    return behind > (pump.encoder.sendBuffer ?? records) || room.log.bytesAfter(cursor) > bytes;
  }
}

function evict(member: Member, close: Close = closes.slowConsumer): void {
  const { subscriber, room, cursor: seq, behind: records } = member;
  subscriber.evict(close, { room: room.name, epoch: room.epoch, seq, records });
}

// At most 64 × 64 KiB of encoded frames in one turn, at however many cursors the members stand.
const CACHED_FRAMES = 64;

/** The frames of one turn for members that catch up. Members at the same cursor share a frame. */
class CatchUpFrames {
  readonly #byGroup = new Map<Group, Map<number, Frame>>();
  #size = 0;

  /** Returns the frame that follows `from`, if a member of the group was handed it in this turn. */
  get(group: Group, from: number): Frame | undefined {
    return this.#byGroup.get(group)?.get(from);
  }

  /** Encodes the first of the records, which follow `from`. */
  encode(group: Group, from: number, records: Records): Frame {
    const { name, epoch } = group.room;
    const frame = group.encoder.encode(name, records, from, MAX_FRAME_BYTES, epoch);
    if (this.#size === CACHED_FRAMES) this.clear();
    const frames = this.#byGroup.get(group);
    if (frames) frames.set(from, frame);
    else this.#byGroup.set(group, new Map([[from, frame]]));
    this.#size++;
    return frame;
  }

  /** In a later turn the frames would hold more records. */
  clear(): void {
    if (this.#size === 0) return;
    this.#byGroup.clear();
    this.#size = 0;
  }
}
