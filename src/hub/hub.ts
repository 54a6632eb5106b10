import type { Close } from '../protocol/close-codes.ts';
import type { Place } from '../protocol/v1.ts';
import type { PassedSignal, PresenceChange, ReadPlaces } from './cluster.ts';
import { Coalescer } from './coalescer.ts';
import { Commits } from './commits.ts';
import { Dispatcher } from './dispatcher.ts';
import type { Draft, Engine, EngineState } from './engine.ts';
import { createEvents, type Events } from './events.ts';
import { HistoryReader, type HistoryRequest } from './history.ts';
import { LateReads } from './late-reads.ts';
import { Mailboxes } from './mailbox.ts';
import { type Departure, Membership, type Registration } from './membership.ts';
import { type Census, Meter } from './meter.ts';
import { Notices } from './notices.ts';
import { Presence } from './presence.ts';
import { ReadMarks } from './read-marks.ts';
import { type HeadRequest, type Request, Requests } from './requests.ts';
import type { Member, Room } from './room.ts';
import { Rooms } from './rooms.ts';
import { type HubOverrides, type HubSettings, hubSettings, type MailboxCapacities } from './settings.ts';
import { SlowConsumers } from './slow-consumers.ts';
import { type Frame, MAX_STEP_BYTES, type Signal, type Subscriber } from './subscriber.ts';
import { type RoomMembers, type Survey, Surveyor } from './survey.ts';
import { type Clock, type Scheduler, systemClock, systemScheduler } from './time.ts';

export interface HubOptions {
  readonly engine: Engine;
  readonly events?: Events;
  /** Keeps how far users have read. @default that of the engine's cluster, if there is one */
  readonly readPlaces?: ReadPlaces;
  /** @default systemClock */
  readonly clock?: Clock;
  /** @default systemScheduler */
  readonly scheduler?: Scheduler;
  readonly settings?: HubOverrides;
}

type Posts = { register: Registration; unregister: Departure; broadcast: Draft; request: Request };

/**
 * Hub maintains the rooms and broadcasts messages to their members. It is an actor: others post to
 * its mailboxes, and `run` alone touches the rooms, one turn at a time, in the order of arrival
 * over all mailboxes.
 *
 * Three mailboxes change the rooms: `register`, `unregister` and `broadcast`. The fourth,
 * `request`, has a bound of its own, so that a flood of history reads or signals refuses no join,
 * leave or message.
 */
export class Hub {
  readonly events: Events;
  readonly settings: HubSettings;
  readonly meter: Meter;
  readonly #scheduler: Scheduler;
  readonly #mailboxes: Mailboxes<Posts>;
  readonly #rooms: Rooms;
  readonly #commits: Commits;
  readonly #membership: Membership;
  readonly #slowConsumers: SlowConsumers;
  readonly #coalescer: Coalescer;
  readonly #presence: Presence;
  readonly #lateReads: LateReads;
  readonly #dispatcher: Dispatcher;
  readonly #requests: Requests;
  readonly #surveyor: Surveyor;
  readonly #notices = new Notices();
  /** Rooms with records to flush. */
  #dirty: Room[] = [];
  #scheduled = false;
  #coalesces = true;
  #state: EngineState = 'ready';

  constructor(options: HubOptions) {
    const { engine, events = createEvents(), clock = systemClock, scheduler = systemScheduler } = options;
    const settings = hubSettings(options.settings);
    this.events = events;
    this.settings = settings;
    this.#scheduler = scheduler;
    this.meter = new Meter(clock, settings.turn);
    this.#mailboxes = new Mailboxes<Posts>(settings.mailboxes);
    this.#rooms = new Rooms(engine, clock, scheduler, settings, (room) => this.#forget(room), this.#wake);
    this.#commits = new Commits(engine, this.#rooms, this.#notices, events, clock, settings.turn, this.meter, {
      dirtied: (room) => this.#dirty.push(room),
      decided: (room, drafts) => this.#membership.decided(room, drafts),
      changed: (room, seq) => this.#slowConsumers.forgetChanged(room, seq),
      moved: (room, place) => this.#membership.move(room, place),
      skipped: (room, place) => this.#membership.skip(room, place),
    });
    this.#presence = new Presence(this.#notices, engine.cluster, settings, clock, scheduler, this.#wake);
    this.#lateReads = new LateReads(this.#wake);
    this.#slowConsumers = new SlowConsumers(
      this.#rooms,
      events,
      this.#notices,
      this.#presence,
      settings,
      this.#lateReads,
      scheduler,
      this.meter,
      this.#wake,
    );
    const readPlaces = options.readPlaces ?? engine.cluster?.readPlaces;
    const readMarks = new ReadMarks(readPlaces, this.#rooms, this.#notices, this.#lateReads);
    this.#membership = new Membership(
      this.#rooms,
      this.#commits,
      this.#slowConsumers,
      this.#presence,
      this.#notices,
      readMarks,
      events,
    );
    this.#dispatcher = new Dispatcher(engine, this.#rooms, this.#commits, this.#membership);
    const history = new HistoryReader(this.#notices, this.#lateReads);
    this.#requests = new Requests(this.#rooms, history, this.#membership, this.#presence, readMarks, engine.cluster);
    this.#surveyor = new Surveyor(this.#rooms, clock, scheduler);
    this.#coalescer = new Coalescer(clock, scheduler, settings, this.#wake);
  }

  /** Opens the engine. Call it once, before the first post. */
  async open(): Promise<void> {
    await this.#commits.open(this.#wake, (state) => this.#change(state));
  }

  /**
   * Joins a room: at its head, after the place `since`, or with its last `history` records.
   *
   * @param changes whether the subscriber understands changes of messages.
   * @returns false when the mailbox is full.
   */
  register(subscriber: Subscriber, room: string, since?: Place, history = 0, changes = false): boolean {
    return this.#post('register', { subscriber, room, since, history, changes });
  }

  /**
   * Leaves a room or, without `room`, all of them.
   *
   * @returns false when the mailbox is full. Leaving all rooms never fails: a subscriber does it
   *   once, when it closes.
   */
  unregister(subscriber: Subscriber, room?: string): boolean {
    if (room !== undefined) return this.#post('unregister', { kind: 'leave', subscriber, room });
    return this.#postAnyway({ kind: 'leave-all', subscriber });
  }

  /** Ends a subscriber's membership of a room, and notifies it that it did not ask for that. */
  remove(subscriber: Subscriber, room: string): void {
    this.#postAnyway({ kind: 'leave', subscriber, room, removed: true });
  }

  /** Closes a subscriber once it has been handed every message that was accepted before. */
  closeInOrder(subscriber: Subscriber, close: Close): void {
    this.#postAnyway({ kind: 'close', subscriber, close });
  }

  /**
   * Sends a message to a room.
   *
   * @returns false when the mailbox is full: the sender should retry later.
   */
  broadcast(draft: Draft): boolean {
    const posted = this.#post('broadcast', draft);
    if (posted) this.meter.sent(draft);
    return posted;
  }

  /**
   * Sends a message that is not kept to the members of a room.
   *
   * @returns false when the mailbox is full.
   */
  signal(signal: Signal): boolean {
    return this.#post('request', { kind: 'signal', signal });
  }

  /** Requests records before or after a place. @returns false when the mailbox is full. */
  history(request: HistoryRequest): boolean {
    return this.#post('request', { kind: 'history', ...request });
  }

  /** Requests the head of a room. @returns false when the mailbox is full. */
  head(request: HeadRequest): boolean {
    return this.#post('request', { kind: 'head', ...request });
  }

  /** Returns the life of a room's log, or undefined for a room that is not in memory. */
  epochOf(room: string): string | undefined {
    return this.#rooms.find(room)?.epoch;
  }

  /**
   * The subscriber's application has shown a room's messages up to `seq`.
   *
   * @returns false when the mailbox is full.
   */
  acknowledge(subscriber: Subscriber, room: string, seq: number): boolean {
    return this.#post('request', { kind: 'acknowledge', subscriber, room, seq });
  }

  /**
   * A user that is signed in has read a room up to `seq`, on a connection that is not here.
   *
   * @returns false when the mailbox is full.
   */
  read(user: string, room: string, seq: number): boolean {
    return this.#post('request', { kind: 'read', user, room, seq, epoch: undefined });
  }

  /** A user has read a room up to a place, on another node. It is lost when the mailbox is full. */
  readElsewhere(user: string, room: string, { epoch, seq }: Place): void {
    this.#post('request', { kind: 'read', user, room, seq, epoch });
  }

  /**
   * The subscriber's socket accepts data again. Counts once however often it is called before the
   * next turn.
   */
  drained(subscriber: Subscriber): void {
    this.#slowConsumers.add(subscriber);
    this.#wake();
  }

  /** The subscriber's socket has accepted nothing for its write wait: the next turn evicts it. */
  stalled(subscriber: Subscriber): void {
    this.#slowConsumers.addStalled(subscriber);
    this.#wake();
  }

  /** A member on another node sent a signal. It is lost when the mailbox is full. */
  signalledElsewhere(signal: PassedSignal): void {
    this.#post('request', { kind: 'signalled', signal });
  }

  /**
   * Members on other nodes joined and left a room. Taken past the mailbox's bound: without one
   * change the lists of members would stay wrong. A node announces a room at most once in as many
   * milliseconds as it has members.
   */
  presenceChangedElsewhere(room: string, change: PresenceChange): void {
    this.#mailboxes.postAnyway('request', { kind: 'presence', room, change });
    this.#wake();
  }

  /** Starts to attach a room that a subscriber is about to join. */
  prepare(room: string): void {
    this.#rooms.get(room);
  }

  /** Whether the engine can reach its store. */
  get ready(): boolean {
    return this.#state === 'ready';
  }

  /** How many rooms are in memory. */
  get rooms(): number {
    return this.#rooms.size;
  }

  /** How many messages have been committed. */
  get messages(): number {
    return this.#commits.messages;
  }

  /** How many batches of messages have been committed: one a room and turn, with a fast engine. */
  get batches(): number {
    return this.#commits.batches;
  }

  /** Returns the subscriber's memberships, for monitoring. */
  memberships(subscriber: Subscriber): readonly Member[] {
    return this.#rooms.membershipsOf(subscriber);
  }

  /** Returns the rooms that have members on this node, with their number. */
  *occupiedRooms(): Iterable<{ readonly name: string; readonly members: number }> {
    for (const room of this.#rooms.all()) if (room.members > 0) yield room;
  }

  /** Returns the users of a room's members on this node: a name occurs once for each connection. */
  *usersIn(name: string): Iterable<string> {
    for (const { members } of this.#rooms.find(name)?.groups ?? []) {
      for (const { subscriber } of members) yield subscriber.user;
    }
  }

  /** Returns how far the members of all rooms have got. Visits every member. */
  census(): Census {
    return this.#rooms.census();
  }

  /**
   * Surveys the rooms and their members, for monitoring: in parts, so that no turn waits for long.
   * A call during another one gets the same survey.
   */
  survey(): Promise<Survey> {
    return this.#surveyor.survey();
  }

  /** Returns the members of rooms by their names, without those of rooms that are not in memory. */
  surveyRooms(names: readonly string[]): Promise<readonly RoomMembers[]> {
    return this.#surveyor.surveyRooms(names);
  }

  /** How many posts wait in a mailbox. */
  waiting(mailbox: keyof MailboxCapacities): number {
    return this.#mailboxes.boxes[mailbox].size;
  }

  /**
   * Runs turns until every post is processed and delivered, held records included. For an orderly
   * shutdown.
   */
  async settle(): Promise<void> {
    this.#coalesces = false;
    do {
      while (this.#isBusy() || this.#rooms.hasReadyPosts || this.#dirty.length > 0) this.#run();
    } while ((await this.#rooms.nextAttached()) || (await this.#commits.nextReport()));
    this.#coalesces = true;
  }

  /** Closes the Hub. Post nothing afterwards. */
  async close(): Promise<void> {
    this.#rooms.close();
    this.#coalescer.close();
    this.#presence.close();
    await this.#commits.close();
  }

  #post<M extends keyof Posts>(mailbox: M, post: Posts[M]): boolean {
    const posted = this.#mailboxes.post(mailbox, post);
    if (posted) this.#wake();
    else this.events.emit('overloaded', { mailbox, capacity: this.settings.mailboxes[mailbox] });
    return posted;
  }

  /** For departures whose number is bounded: those that end a connection, and removals. */
  #postAnyway(departure: Departure): true {
    this.#mailboxes.postAnyway('unregister', departure);
    this.#wake();
    return true;
  }

  readonly #wake = (): void => {
    if (!this.#scheduled) this.#scheduler.soon(this.#run);
    this.#scheduled = true;
  };

  /** One turn. */
  readonly #run = (): void => {
    this.#scheduled = true;
    this.meter.beginTurn();
    this.#commits.beginTurn();
    this.#takePosts();
    this.#commits.commit();
    if (this.#rooms.answered > 0 && this.#commits.size === 0) this.#takeWaitingPosts();
    if (this.#lateReads.size > 0 && this.#commits.size === 0) this.#lateReads.run();
    this.#slowConsumers.run(); // before the flush, which trims the logs that they read
    this.#presence.flush();
    this.#flush();
    this.#notices.flush();
    this.#slowConsumers.endTurn();
    this.meter.endTurn();
    this.#scheduled = false;
    if (this.#isBusy() || this.#rooms.hasReadyPosts) this.#wake();
  };

  #isBusy(): boolean {
    const waiting = this.#commits.size + this.#rooms.answered + this.#lateReads.size;
    return this.#mailboxes.size + waiting + this.#slowConsumers.size > 0;
  }

  /** Takes posts within the turn's budget. The rest waits until the sockets have been read. */
  #takePosts(): void {
    const { register, unregister, broadcast, request } = this.#mailboxes.boxes;
    let { commands, bytes } = this.settings.turn;
    for (let first = this.#mailboxes.first(); first && commands-- > 0 && bytes > 0; first = this.#mailboxes.first()) {
      if (first === 'broadcast') bytes -= this.#dispatcher.publish(broadcast.take());
      else if (first === 'register') this.#dispatcher.join(register.take());
      else if (first === 'unregister') this.#dispatcher.leave(unregister.take());
      else this.#requests.answer(request.take());
    }
    this.meter.took(this.settings.turn.commands - Math.max(0, commands), this.settings.turn.bytes - bytes);
  }

  /** Takes posts whose rooms have been attached, after every report that came before. */
  #takeWaitingPosts(): void {
    if (this.#commits.size > 0) return; // past this turn's budget: in the next one
    this.#rooms.workOn(this.settings.turn.commands);
    this.#commits.commit();
  }

  /** The room is released. */
  #forget(room: Room): void {
    this.#commits.forget(room);
    this.#presence.forget(room);
    this.#slowConsumers.forgetReads(room);
  }

  #change(state: EngineState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.events.emit('engine', { state });
  }

  #flush(): void {
    const rooms = this.#dirty;
    if (rooms.length > 0) this.#dirty = [];
    for (const room of rooms) {
      if (this.#coalesces && this.#coalescer.holds(room)) this.#dirty.push(room);
      else this.#flushRoom(room);
    }
  }

  /** The fast path: encodes a batch once a wire, and hands every member in step the same frames. */
  #flushRoom(room: Room): void {
    const { log, flushed, epoch } = room;
    for (const { encoder, members } of room.groups) {
      for (let at = flushed; at < log.head && members.length > 0; ) {
        const frame = encoder.encode(room.name, log, at, MAX_STEP_BYTES, epoch);
        if (frame.isSilent) this.#passSilently(members, frame, log.head);
        else this.#handToAll(room, members, frame);
        at = frame.to;
      }
    }
    room.finishFlush();
  }

  /** The wire shows nothing for the frame's records: the members that are there are past them. */
  #passSilently(members: readonly Member[], { from, to }: Frame, head: number): void {
    for (const member of members) {
      if (member.cursor === from && member.pump.writable) member.advanceTo(to);
      if (to === head && member.cursor !== head) this.#slowConsumers.note(member);
    }
  }

  #handToAll(room: Room, members: readonly Member[], frame: Frame): void {
    const { head } = room.log;
    const { from, to: end } = frame;
    // In the common case nothing is added: every member takes the frame.
    let missed = 0;
    for (const member of members) {
      if (member.cursor === from && member.pump.writable) {
        const to = member.pump.advance(frame);
        member.advanceTo(to);
        if (to !== end) missed += end - to;
      } else missed += end - from;
      if (end === head && member.cursor !== head) this.#slowConsumers.note(member);
    }
    const delivered = members.length * (end - from) - missed;
    this.meter.delivered(frame, delivered);
    room.countDeliveries(delivered);
  }
}
