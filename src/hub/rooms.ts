import { andThen, type NowOrLater } from '../protocol/now-or-later.ts';
import type { Engine, Position } from './engine.ts';
import type { Census } from './meter.ts';
import { recallIds } from './recall.ts';
import { Member, Room } from './room.ts';
import type { HubSettings } from './settings.ts';
import type { Encoder, Subscriber } from './subscriber.ts';
import { Tally } from './tally.ts';
import type { Clock, Scheduler } from './time.ts';

const NO_MEMBERSHIPS: readonly Member[] = [];

/** Work on a room, or undefined where the engine could not attach it. */
export type RoomWork = (room: Room | undefined) => void;

/** A place that a member resumes with. */
export interface Resumption {
  readonly epoch: string;
  /** Reports whether the room must be brought up to date first. Asked once. */
  isAhead(room: Room): boolean;
}

/** A post that waits for a room. */
interface WaitingPost {
  readonly subscriber: Subscriber | undefined;
  readonly work: RoomWork;
  readonly resumption?: Resumption | undefined;
}

/**
 * A room that the engine attaches, or brings up to date, and the posts that wait for it, in arrival
 * order.
 */
interface Attachment {
  readonly posts: WaitingPost[];
  /** How many of the oldest posts arrived before the room was last brought up to date. */
  covered: number;
  /** Once the engine has answered: the room, or undefined where it could not attach it. */
  result: { readonly room: Room | undefined } | undefined;
}

/**
 * The rooms in memory, and their members by subscriber. A room is attached on first use and
 * released when it is idle.
 */
export class Rooms {
  readonly #engine: Engine;
  readonly #clock: Clock;
  readonly #scheduler: Scheduler;
  readonly #settings: HubSettings;
  readonly #onReleased: (room: Room) => void;
  readonly #wake: () => void;
  readonly #rooms = new Map<string, Room>();
  readonly #attachments = new Map<string, Attachment>();
  /** Most subscribers are in one room: those need no list. */
  readonly #memberships = new Map<Subscriber, Member | readonly Member[]>();
  #waitingPosts = 0;
  /** Attachments that the engine has answered, and whose posts are not taken yet. */
  #answered = 0;
  #cancelSweep: (() => void) | undefined;
  #onAttached: (() => void) | undefined;

  /** @param wake is called when posts that waited for a room can be taken. */
  constructor(
    engine: Engine,
    clock: Clock,
    scheduler: Scheduler,
    settings: HubSettings,
    onReleased: (room: Room) => void,
    wake: () => void,
  ) {
    this.#engine = engine;
    this.#clock = clock;
    this.#scheduler = scheduler;
    this.#settings = settings;
    this.#onReleased = onReleased;
    this.#wake = wake;
  }

  /** How many rooms are in memory. */
  get size(): number {
    return this.#rooms.size;
  }

  /** How many rooms are attached whose posts wait for a turn. */
  get answered(): number {
    return this.#answered;
  }

  /** Whether posts wait that can be taken: their rooms are attached, or cannot be. */
  get hasReadyPosts(): boolean {
    for (const { result } of this.#attachments.values()) if (result !== undefined) return true;
    return false;
  }

  /** Returns the rooms in memory. */
  all(): Iterable<Room> {
    return this.#rooms.values();
  }

  /** Returns a room that is in memory. */
  find(name: string): Room | undefined {
    return this.#rooms.get(name);
  }

  /**
   * Returns the room with this name, which is in memory from then on. Undefined while posts wait
   * for it: the caller's must, too.
   */
  get(name: string): Room | undefined {
    if (this.isAwaited(name)) return undefined;
    return this.#rooms.get(name) ?? this.#attach(name);
  }

  /** Makes posts for a room in memory wait from now on, until `workOn` takes them. */
  hold(room: Room): void {
    this.#attachments.set(room.name, { posts: [], covered: 0, result: { room } });
    this.#answered++;
  }

  /** Reports whether posts for the room wait. */
  isAwaited(name: string): boolean {
    return this.#attachments.size > 0 && this.#attachments.has(name);
  }

  /**
   * Does the work on a room that `get` did not return once it is attached, in a later turn. Does it
   * at once, without the room, where too many posts wait.
   */
  wait(name: string, subscriber: Subscriber | undefined, work: RoomWork, resumption?: Resumption): void {
    if (this.#waitingPosts >= this.#settings.mailboxes.broadcast) work(undefined);
    else this.#add(name, { subscriber, work, resumption });
  }

  /** For departures, whose number is bounded elsewhere. */
  waitAnyway(name: string, subscriber: Subscriber | undefined, work: RoomWork): void {
    this.#add(name, { subscriber, work });
  }

  /** Returns the name of a room for which a post of the subscriber waits. */
  awaitedBy(subscriber: Subscriber): string | undefined {
    for (const [name, { posts }] of this.#attachments) {
      if (posts.some((post) => post.subscriber === subscriber)) return name;
    }
    return undefined;
  }

  /** Does at most `limit` works that waited, on rooms that are attached by now. */
  workOn(limit: number): void {
    for (const [name, attachment] of this.#attachments) {
      if (attachment.result === undefined) continue;
      const { posts, covered, result } = attachment;
      const { room } = result;
      const ahead = posts.findIndex((post, i) => i >= covered && room !== undefined && post.resumption?.isAhead(room));
      const taken = posts.splice(0, ahead < 0 ? limit : Math.min(limit, ahead));
      limit -= taken.length;
      this.#waitingPosts -= taken.length;
      attachment.covered = Math.max(0, covered - taken.length);
      for (const { work } of taken) work(room);
      if (posts.length === 0) this.#endAttachment(name);
      else if (room !== undefined && taken.length === ahead) this.#catchUp(room, attachment);
    }
  }

  /** Waits until the next room is attached. @returns false when none is being attached. */
  async nextAttached(): Promise<boolean> {
    const attachments = [...this.#attachments.values()];
    if (attachments.length === 0) return false;
    if (attachments.some(({ result }) => result !== undefined)) return true;
    await new Promise<void>((resolve) => (this.#onAttached = resolve));
    return true;
  }

  /** Adds a member that has everything up to `cursor`. */
  join(room: Room, subscriber: Subscriber, encoder: Encoder, cursor: number): Member {
    const member = room.add(subscriber, encoder, cursor, this.#clock.now());
    const memberships = this.membershipsOf(subscriber);
    this.#memberships.set(subscriber, memberships.length === 0 ? member : [...memberships, member]);
    return member;
  }

  /** Ends a membership. */
  leave(member: Member): void {
    const { room, subscriber } = member;
    room.remove(member, this.#clock.now());
    const memberships = this.membershipsOf(subscriber).filter((other) => other !== member);
    if (memberships.length === 0) this.#memberships.delete(subscriber);
    else this.#memberships.set(subscriber, memberships.length === 1 ? (memberships[0] as Member) : memberships);
  }

  /** Returns a subscriber's memberships, as they are now. */
  membershipsOf(subscriber: Subscriber): readonly Member[] {
    const memberships = this.#memberships.get(subscriber) ?? NO_MEMBERSHIPS;
    return memberships instanceof Member ? [memberships] : memberships;
  }

  /** Returns a subscriber's membership in a room. */
  membership(subscriber: Subscriber, room: Room): Member | undefined {
    return this.membershipsOf(subscriber).find((member) => member.room === room);
  }

  /** Returns how far the members of all rooms have got. */
  census(): Census {
    const tally = new Tally();
    for (const { flushed, groups } of this.#rooms.values()) {
      for (const { members } of groups) tally.count(members, flushed, 0, members.length);
    }
    return tally;
  }

  close(): void {
    this.#cancelSweep?.();
  }

  #attach(name: string): Room | undefined {
    const attaching = andThen(this.#engine.attach(name), (position) => this.#create(name, position));
    if (!(attaching instanceof Promise)) return attaching;
    const attachment: Attachment = { posts: [], covered: 0, result: undefined };
    this.#attachments.set(name, attachment);
    this.#await(name, attachment, attaching);
    return undefined;
  }

  /** The posts wait until the engine has passed all that is committed to the room. */
  #catchUp(room: Room, attachment: Attachment): void {
    attachment.result = undefined;
    attachment.covered = attachment.posts.length;
    this.#answered--;
    const epochs = new Set(attachment.posts.flatMap(({ resumption }) => resumption?.epoch ?? []));
    const catchingUp = this.#engine.catchUp?.(room.name, [...epochs]) ?? Promise.resolve();
    this.#await(
      room.name,
      attachment,
      catchingUp.then(() => room),
    );
  }

  #await(name: string, attachment: Attachment, attaching: Promise<Room>): void {
    const finish = (room: Room | undefined) => {
      attachment.result = { room };
      this.#answered++;
      if (attachment.posts.length === 0) this.#endAttachment(name);
      this.#onAttached?.();
      this.#wake();
    };
    attaching.then(finish, () => finish(undefined));
  }

  #endAttachment(name: string): void {
    this.#attachments.delete(name);
    this.#answered--;
  }

  #add(name: string, post: WaitingPost): void {
    this.#attachments.get(name)?.posts.push(post);
    this.#waitingPosts++;
  }

  #create(name: string, position: Position): NowOrLater<Room> {
    const room = new Room(name, position, this.#engine, this.#settings, this.#clock);
    this.#rooms.set(name, room);
    this.#cancelSweep ??= this.#scheduleSweep();
    if (this.#engine.dedupes || position.seq === 0) return room;
    const recalling = recallIds(room, position.seq, this.#engine, this.#settings.dedupe, this.#clock);
    if (!(recalling instanceof Promise)) return room;
    return recalling.then(
      () => room,
      (error) => {
        this.#release(room); // without its ids a retry would be stored twice
        throw error;
      },
    );
  }

  #scheduleSweep(): () => void {
    return this.#scheduler.after(this.#settings.roomIdle, () => {
      const before = this.#clock.now() - this.#settings.roomIdle;
      for (const room of this.#rooms.values()) if (this.#isIdle(room) && room.usedAt <= before) this.#release(room);
      this.#cancelSweep = this.#rooms.size > 0 ? this.#scheduleSweep() : undefined;
    });
  }

  #isIdle(room: Room): boolean {
    const { name, members, readers, dirtySince, undecided } = room;
    const isUsed = members + readers > 0 || dirtySince !== undefined || this.#attachments.has(name);
    return !isUsed && undecided.waiting + undecided.inFlight === 0;
  }

  #release(room: Room): void {
    this.#rooms.delete(room.name);
    room.release();
    this.#engine.release(room.name);
    this.#onReleased(room);
  }
}
