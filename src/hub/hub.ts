import { systemClock, systemScheduler } from './clock.ts';
import { createEvents, type Events } from './events.ts';
import { Frames } from './frames.ts';
import { answerHistory, type HistoryRequest } from './history.ts';
import { Hold } from './hold.ts';
import { Ledger } from './ledger.ts';
import { Mailboxes } from './mailbox.ts';
import { type Departure, Memberships, type Registration } from './memberships.ts';
import { Notices } from './notices.ts';
import type { Clock, Cursor, Draft, Engine, Scheduler, Signal, Subscriber } from './ports.ts';
import { Presence } from './presence.ts';
import { Receipts } from './receipts.ts';
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

type Posts = { register: Registration | HistoryRequest; unregister: Departure; broadcast: Draft | Signal };

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
  readonly #clock: Clock;
  readonly #scheduler: Scheduler;
  readonly #mailboxes: Mailboxes<Posts>;
  readonly #rooms: Rooms;
  readonly #frames = new Frames();
  readonly #notices = new Notices();
  readonly #presence: Presence;
  readonly #ledger: Ledger;
  readonly #stragglers: Stragglers;
  readonly #memberships: Memberships;
  readonly #hold: Hold;
  readonly #turn = () => this.#run();
  readonly #wake = () => {
    if (!this.#awake) this.#scheduler.soon(this.#turn);
    this.#awake = true;
  };
  #awake = false;
  /** Rooms with records to flush. */
  #dirty: Room[] = [];
  #holdsBack = true;

  constructor({ engine, events, clock, scheduler, settings }: HubOptions) {
    this.events = events ?? createEvents();
    this.settings = hubSettings(settings);
    this.#clock = clock ?? systemClock;
    this.#scheduler = scheduler ?? systemScheduler;
    this.#mailboxes = new Mailboxes<Posts>(this.settings.mailboxes);
    this.#rooms = new Rooms(engine, this.#clock, this.#scheduler, this.settings);
    this.#presence = new Presence(this.#notices, this.settings, this.#clock, this.#scheduler, this.#wake);
    const receipts = new Receipts(this.#notices, this.#clock);
    this.#ledger = new Ledger(engine, this.#rooms, receipts, this.events, this.#clock, this.settings.turn);
    this.#stragglers = new Stragglers(this.events, this.#frames, this.#notices, this.#presence, this.settings);
    this.#memberships = new Memberships({
      rooms: this.#rooms,
      stragglers: this.#stragglers,
      presence: this.#presence,
      notices: this.#notices,
      events: this.events,
      clock: this.#clock,
      settle: (room) => room.pending.length > 0 && this.#ledger.commit(this.#dirty),
    });
    this.#ledger.onDecided = (room, drafts) => this.#memberships.decided(room, drafts);
    this.#hold = new Hold(this.#clock, this.#scheduler, this.settings, this.#wake);
  }

  /** Opens the engine. Call it once, before the first post. */
  async open(): Promise<void> {
    await this.#ledger.open(this.#wake);
  }

  /**
   * Asks for membership: from the head on, from the place after `since`, or with the last `history` records.
   * @returns false when the mailbox is full.
   */
  register(subscriber: Subscriber, room: string, since?: Cursor, history = 0): boolean {
    return this.#posted('register', this.#mailboxes.post('register', { subscriber, room, since, history }));
  }

  /** Asks for records that were said before or after a place. @returns false when the mailbox is full. */
  history(request: HistoryRequest): boolean {
    return this.#posted('register', this.#mailboxes.post('register', request));
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

  /** Tells those who are in a room something that is not kept. @returns false when the mailbox is full. */
  signal(signal: Signal): boolean {
    return this.#posted('broadcast', this.#mailboxes.post('broadcast', signal));
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

  /** Runs turns until all that was posted is done and sent, what coalescing held back too: for an orderly end. */
  async settle(): Promise<void> {
    this.#holdsBack = false;
    do {
      while (this.#busy() || this.#dirty.length > 0) this.#run();
    } while (await this.#ledger.outcome());
    this.#holdsBack = true;
  }

  /** Ends the Hub. Post nothing afterwards. */
  async close(): Promise<void> {
    this.#rooms.close();
    this.#hold.close();
    this.#presence.close();
    await this.#ledger.close();
  }

  #posted(mailbox: keyof Posts, taken: boolean): boolean {
    if (taken) this.#wake();
    else this.events.emit('overloaded', { mailbox, capacity: this.settings.mailboxes[mailbox] });
    return taken;
  }

  #run(): void {
    this.#awake = true;
    this.#ledger.begin();
    this.#takeCommands();
    this.#ledger.commit(this.#dirty);
    this.#stragglers.readOn(); // before the flush, which trims the logs that they read
    this.#presence.flush();
    this.#flush();
    this.#notices.release();
    this.#frames.forget();
    this.#awake = false;
    if (this.#busy()) this.#wake();
  }

  #busy(): boolean {
    return this.#mailboxes.size + this.#ledger.size + this.#stragglers.size > 0;
  }

  /** As much as the turn's budget allows: what is left waits until sockets have been read. */
  #takeCommands(): void {
    const { boxes } = this.#mailboxes;
    let { commands, bytes } = this.settings.turn;
    for (let first = this.#mailboxes.first(); first && commands-- > 0 && bytes > 0; first = this.#mailboxes.first()) {
      if (first === 'broadcast') bytes -= this.#say(boxes.broadcast.take());
      else if (first === 'register') this.#ask(boxes.register.take());
      else this.#memberships.leave(boxes.unregister.take());
    }
  }

  /** @returns how many bytes of the turn's budget it takes. */
  #say(said: Draft | Signal): number {
    if ('signal' in said) {
      this.#presence.signal(this.#rooms.get(said.room), said);
      return 0;
    }
    return this.#ledger.draft(said);
  }

  #ask(asked: Registration | HistoryRequest): void {
    if ('limit' in asked) answerHistory(asked, this.#rooms, this.#notices);
    else this.#memberships.join(asked);
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
