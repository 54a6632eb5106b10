import { closes } from '../protocol/close-codes.ts';
import type { Events } from './events.ts';
import type { Frames } from './frames.ts';
import type { Window } from './log.ts';
import type { Subscriber } from './ports.ts';
import type { Member } from './room.ts';

// What one turn hands to those who read on, in frames of at most 64 KiB: to each, and to all of them together.
const FRAMES_PER_VISIT = 16;
const FRAMES_PER_TURN = 256;

/**
 * Those who are not at their room's head: parked until their socket drains, then reading on from their cursor; or evicted
 * when they hold the log up.
 */
export class Stragglers {
  readonly #events: Events;
  readonly #frames: Frames;
  readonly #sendBuffer: Window;
  /** They are behind and can be written to. The parked are not here: their drain brings them. */
  readonly #reading = new Set<Subscriber>();
  #visits = 0;

  constructor(events: Events, frames: Frames, sendBuffer: Window) {
    this.#events = events;
    this.#frames = frames;
    this.#sendBuffer = sendBuffer;
  }

  get size(): number {
    return this.#reading.size;
  }

  add(subscriber: Subscriber): void {
    this.#reading.add(subscriber);
  }

  forget(subscriber: Subscriber): void {
    this.#reading.delete(subscriber);
  }

  /** This member was left behind: by a flush, or by its own socket. */
  note(member: Member): void {
    const { pump, subscriber } = member;
    if (subscriber.closed) return;
    if (this.#tooFar(member)) subscriber.evict(closes.slowConsumer, member);
    else if (pump.writable) this.#reading.add(subscriber);
    else if (!member.lagging) {
      member.lagging = true;
      this.#events.emit('lagging', { client: subscriber.id, room: member.room.name, records: member.behind });
    }
  }

  /** Lets everyone who can read on do so for a while; a part of them, when they are many. */
  readOn(): void {
    let budget = FRAMES_PER_TURN;
    let visits = this.#reading.size; // a subscriber that is not done comes again at the end of the set: next turn
    for (const subscriber of this.#reading) {
      if (visits-- === 0 || budget <= 0) return;
      this.#reading.delete(subscriber);
      budget -= this.#visit(subscriber);
    }
  }

  /** Hands a member all that it lacks, as far as its socket takes it. */
  handRest(member: Member): void {
    while (member.behind > 0 && this.#handOne(member));
  }

  /** Hands one frame a room in turn, so that a busy room does not starve the others. @returns the frames handed. */
  #visit(subscriber: Subscriber): number {
    const { memberships } = subscriber;
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
        this.#reading.add(subscriber);
        return frames;
      }
      frames++;
      idle = 0;
      if (!this.#handOne(member)) break;
    }
    if (!subscriber.pump.writable) for (const member of memberships) if (member.behind > 0) this.note(member);
    return frames;
  }

  /** @returns whether the socket takes more. */
  #handOne(member: Member): boolean {
    if (!member.pump.writable) return false;
    if (this.#tooFar(member)) {
      member.subscriber.evict(closes.slowConsumer, member);
      return false;
    }
    const group = member.room.group(member.pump.encoder);
    return member.pump.advance(member, this.#frames.get(group, member.cursor));
  }

  #caughtUp(member: Member): void {
    member.live = true;
    if (!member.lagging) return;
    member.lagging = false;
    this.#events.emit('drained', { client: member.subscriber.id, room: member.room.name });
  }

  /** Parked past the send buffer, or past what the log still holds: the cursor can then not move without a gap. */
  #tooFar({ room, cursor, behind, live, pump }: Member): boolean {
    if (!room.log.reaches(cursor)) return true;
    if (pump.writable || !live) return false;
    return behind > this.#sendBuffer.records || room.log.bytesAfter(cursor) > this.#sendBuffer.bytes;
  }
}
