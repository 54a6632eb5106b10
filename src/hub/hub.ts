import { systemClock, systemScheduler } from './clock.ts';
import { createEvents, type Events } from './events.ts';
import { Frames } from './frames.ts';
import { Hold } from './hold.ts';
import { Mailboxes } from './mailbox.ts';
import { type Departure, Memberships, type Registration } from './memberships.ts';
import type { Clock, Commit, Cursor, Draft, Engine, Scheduler, Subscriber } from './ports.ts';
import type { Room } from './room.ts';
import { Rooms } from './rooms.ts';
import { type HubSettings, hubSettings } from './settings.ts';
import { Stragglers } from './stragglers.ts';

export interface HubOptions {
  readonly engine: Engine;
  readonly events?: Events;
  readonly clock?: Clock;
  readonly scheduler?: Scheduler;
  readonly settings?: Partial<HubSettings>;
}

type Posts = { register: Registration; unregister: Departure; broadcast: Draft };

/**
 * The Hub: an actor that owns the rooms and their members. Others post to its three mailboxes; `run` alone touches its
 * state, one turn at a time, in the order of arrival over all three.
 *
 * A turn: take commands, let the engine commit what was broadcast, let those who are behind read on, hand what is new to
 * the members in step.
 */
export class Hub {
  readonly events: Events;
  readonly settings: HubSettings;
  readonly #engine: Engine;
  readonly #clock: Clock;
  readonly #scheduler: Scheduler;
  readonly #mailboxes: Mailboxes<Posts>;
  readonly #rooms: Rooms;
  readonly #frames = new Frames();
  readonly #stragglers: Stragglers;
  readonly #memberships: Memberships;
  readonly #hold: Hold;
  readonly #turn = () => this.#run();
  #awake = false;
  /** Rooms with drafts for the engine, what it committed, and rooms with records to flush. */
  #drafted: Room[] = [];
  #commits: Commit[] = [];
  #dirty: Room[] = [];
  #holdsBack = true;

  constructor({ engine, events, clock, scheduler, settings }: HubOptions) {
    this.events = events ?? createEvents();
    this.settings = hubSettings(settings);
    this.#engine = engine;
    this.#clock = clock ?? systemClock;
    this.#scheduler = scheduler ?? systemScheduler;
    this.#mailboxes = new Mailboxes<Posts>(this.settings.mailboxes);
    this.#rooms = new Rooms(engine, this.#clock, this.#scheduler, this.settings);
    this.#stragglers = new Stragglers(this.events, this.#frames, this.settings.sendBuffer);
    const settle = (room: Room) => this.#settleRoom(room);
    this.#memberships = new Memberships(this.#rooms, this.#stragglers, this.events, this.#clock, settle);
    this.#hold = new Hold(this.#clock, this.#scheduler, this.settings, () => this.#wake());
  }

  /** Opens the engine. Call it once, before the first post. */
  async open(): Promise<void> {
    await this.#engine.open((commit) => {
      this.#commits.push(commit);
      this.#wake();
    });
  }

  /** Asks for membership: from the head on, or from the place after `since`. @returns false when the mailbox is full. */
  register(subscriber: Subscriber, room: string, since?: Cursor): boolean {
    return this.#posted('register', this.#mailboxes.post('register', { subscriber, room, since }));
  }

  /**
   * Ends a membership or, without `room`, all of a subscriber's.
   * @returns false when the mailbox is full; never for all of them, which a subscriber asks for once, when it has closed.
   */
  unregister(subscriber: Subscriber, room?: string): boolean {
    if (room === undefined) this.#mailboxes.postAnyway('unregister', { subscriber, room });
    return this.#posted('unregister', room === undefined || this.#mailboxes.post('unregister', { subscriber, room }));
  }

  /** Sends a message to a room. @returns false when the mailbox is full: the sender should wait and try again. */
  broadcast(draft: Draft): boolean {
    return this.#posted('broadcast', this.#mailboxes.post('broadcast', draft));
  }

  /** The subscriber's socket takes data again. */
  drained(subscriber: Subscriber): void {
    this.#stragglers.add(subscriber);
    this.#wake();
  }

  /** How many rooms are in memory. */
  get rooms(): number {
    return this.#rooms.size;
  }

  /** How many posts wait in a mailbox. */
  waiting(mailbox: keyof Posts): number {
    return this.#mailboxes.boxes[mailbox].size;
  }

  /** Runs turns until nothing is left to do, sending what coalescing held back too: for an orderly end. */
  settle(): void {
    this.#holdsBack = false;
    while (this.#busy() || this.#dirty.length > 0) this.#run();
    this.#holdsBack = true;
  }

  /** Ends the Hub. Post nothing afterwards. */
  async close(): Promise<void> {
    this.#rooms.close();
    this.#hold.close();
    await this.#engine.close();
  }

  #posted(mailbox: keyof Posts, taken: boolean): boolean {
    if (taken) this.#wake();
    else this.events.emit('overloaded', { mailbox, capacity: this.settings.mailboxes[mailbox] });
    return taken;
  }

  #wake(): void {
    if (this.#awake) return;
    this.#awake = true;
    this.#scheduler.soon(this.#turn);
  }

  #run(): void {
    this.#awake = true;
    this.#takeCommands();
    this.#append();
    this.#commit();
    this.#stragglers.readOn(); // before the flush, which trims the logs that they read
    this.#flush();
    this.#frames.forget();
    this.#awake = false;
    if (this.#busy()) this.#wake();
  }

  #busy(): boolean {
    return this.#mailboxes.size + this.#commits.length + this.#stragglers.size > 0;
  }

  /** As much as the turn's budget allows: what is left waits until sockets have been read. */
  #takeCommands(): void {
    const { boxes } = this.#mailboxes;
    let { commands, bytes } = this.settings.turn;
    for (let first = this.#mailboxes.first(); first && commands-- > 0 && bytes > 0; first = this.#mailboxes.first()) {
      if (first === 'broadcast') bytes -= this.#draft(boxes.broadcast.take());
      else if (first === 'register') this.#memberships.join(boxes.register.take());
      else this.#memberships.leave(boxes.unregister.take());
    }
  }

  #draft(draft: Draft): number {
    const room = this.#rooms.get(draft.room);
    if (room.pending.push(draft) === 1) this.#drafted.push(room);
    return draft.bytes;
  }

  /** All that was sent to the room so far is in its log afterwards, as far as the engine commits at once. */
  #settleRoom(room: Room): void {
    if (room.pending.length === 0) return;
    this.#append();
    this.#commit();
  }

  #append(): void {
    const drafted = this.#drafted;
    if (drafted.length > 0) this.#drafted = [];
    for (const room of drafted) {
      const drafts = room.pending;
      room.pending = [];
      this.#engine.append(room.name, drafts);
    }
  }

  #commit(): void {
    const commits = this.#commits;
    if (commits.length > 0) this.#commits = [];
    for (const { room: name, records } of commits) {
      const room = this.#rooms.get(name);
      for (const record of records) room.log.append(record);
      room.usedAt = this.#clock.now();
      if (room.dirtySince === undefined) this.#dirty.push(room);
      room.dirtySince ??= room.usedAt;
      const to = room.log.head;
      this.events.emit('committed', { room: name, from: to - records.length + 1, to, members: room.members });
    }
  }

  #flush(): void {
    const dirty = this.#dirty;
    if (dirty.length > 0) this.#dirty = [];
    for (const room of dirty) {
      if (this.#holdsBack && this.#hold.keeps(room)) this.#dirty.push(room);
      else this.#flushRoom(room);
    }
  }

  /** The fast path: every member in step is handed the same frames. */
  #flushRoom(room: Room): void {
    const { head } = room.log;
    for (const group of room.groups) {
      const { members } = group;
      for (let at = room.flushed; at < head && members.length > 0; ) {
        const frame = this.#frames.get(group, at);
        for (const member of members)
          if (member.cursor === at && member.pump.writable) member.pump.advance(member, frame);
        at = frame.to;
      }
      for (const member of members) if (member.cursor !== head) this.#stragglers.note(member);
    }
    room.flushed = head;
    room.log.trim();
    room.dirtySince = undefined;
  }
}
