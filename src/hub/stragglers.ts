import { closes } from '../protocol/close-codes.ts';
import type { GapReason } from '../protocol/v1.ts';
import type { Events } from './events.ts';
import type { Frames } from './frames.ts';
import type { Notices } from './notices.ts';
import type { Subscriber } from './ports.ts';
import type { Presence } from './presence.ts';
import type { Member } from './room.ts';
import type { HubSettings } from './settings.ts';

// What one turn hands to those who read on, in frames of at most 64 KiB: to each, and to all of them together.
const FRAMES_PER_VISIT = 16;
const FRAMES_PER_TURN = 256;

/**
 * Those who are not at their room's head: parked until their socket drains, then reading on from their cursor. Who falls too
 * far behind is evicted, or goes on further ahead and is told of the gap, as the room's policy has it.
 */
export class Stragglers {
  readonly #events: Events;
  readonly #frames: Frames;
  readonly #notices: Notices;
  readonly #presence: Presence;
  readonly #settings: HubSettings;
  /** They are behind and can be written to. The parked are not here: their drain brings them. */
  readonly #reading = new Set<Subscriber>();
  #visits = 0;

  constructor(events: Events, frames: Frames, notices: Notices, presence: Presence, settings: HubSettings) {
    this.#events = events;
    this.#frames = frames;
    this.#notices = notices;
    this.#presence = presence;
    this.#settings = settings;
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
    if (!pump.writable && this.#holdsUp(member)) subscriber.evict(closes.slowConsumer, member);
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
    if (!this.#inReach(member)) {
      member.subscriber.evict(closes.slowConsumer, member);
      return false;
    }
    if (member.behind === 0) return true;
    const group = member.room.group(member.pump.encoder);
    return member.pump.advance(member, this.#frames.get(group, member.cursor));
  }

  #caughtUp(member: Member): void {
    member.live = true;
    this.#presence.refresh(member);
    if (!member.lagging) return;
    member.lagging = false;
    this.#events.emit('drained', { client: member.subscriber.id, room: member.room.name });
  }

  /** Moves a member on where its room does not let it read on from its cursor. @returns false when it cannot be told of the gap. */
  #inReach(member: Member): boolean {
    const { room, cursor, behind, live } = member;
    const policy = this.#settings.slow(room.name);
    if (live && policy === 'latest' && behind > 1) return this.#skip(member, room.log.head - 1, 'slow');
    if (live && policy === 'skip' && this.#isFar(member)) return this.#skip(member, room.log.head, 'slow');
    return room.reaches(cursor) || this.#skip(member, room.first - 1, 'trimmed');
  }

  #skip(member: Member, to: number, why: GapReason): boolean {
    const { subscriber, room, cursor } = member;
    if (!this.#notices.tell(subscriber, { t: 'gap', room: room.name, from: cursor + 1, to, why })) return false;
    member.cursor = to;
    return true;
  }

  /** Whether it must go: too far behind in a room that evicts, or out of the log's reach without a way to be told. */
  #holdsUp(member: Member): boolean {
    const { room, cursor, live, pump } = member;
    const told = pump.encoder.tells.has('gap');
    if (!told && !room.reaches(cursor)) return true;
    return live && this.#isFar(member) && (!told || this.#settings.slow(room.name) === 'evict');
  }

  #isFar({ room, cursor, behind, pump }: Member): boolean {
    const { records, bytes } = this.#settings.sendBuffer;
    return behind > (pump.encoder.sendBuffer ?? records) || room.log.bytesAfter(cursor) > bytes;
  }
}
