import type { Decision, Draft, Engine, EngineState, Move, Outcome } from '../hub/engine.ts';
import type { LogRecord } from '../hub/log.ts';
import { type Clock, type Scheduler, systemClock, systemScheduler } from '../hub/time.ts';
import { andThen, type NowOrLater } from '../protocol/now-or-later.ts';
import type { MembersByNode } from './cluster-methods.ts';
import { ConnectedWorker, type WorkerAttachment } from './connected-worker.ts';
import { FrameDecoder } from './frame-decoder.ts';
import { FrameEncoder, type UpFrames } from './frames.ts';
import { Gathering } from './gathering.ts';
import type { LogLink } from './link.ts';
import type { Attached, LogMethods, Reading, Standing, WorkerMethods } from './log-methods.ts';

/** Follows which workers have attached a room. */
export interface RoomFollower {
  attached(worker: number, room: string): MembersByNode;
  released(worker: number, room: string): void;
}

/** The oldest drafts of a room that are undecided come from the first of its origins. */
interface Origin {
  readonly worker: ConnectedWorker<Attachment>;
  readonly attachment: number;
  /** They have failed in their worker, and wait for the outcomes of the earlier ones. */
  readonly refused: boolean;
  count: number;
}

/** A room that workers have attached, or attach. */
interface SharedRoom {
  readonly name: string;
  /** Pending while the engine attaches the room. */
  attaching: NowOrLater<unknown>;
  /** How many workers attach the room or have attached it. */
  users: number;
  readonly followers: Set<Attachment>;
  readonly origins: Origin[];
  readonly gathering: Gathering;
}

/** A worker's attachment of a room. */
interface Attachment extends WorkerAttachment {
  readonly room: SharedRoom;
  readonly worker: ConnectedWorker<Attachment>;
}

// Longer commits are split, so that a slow worker's ring takes at least a part of them.
const FRAME_BYTES = 256 * 1024;

const FAILED: Outcome = { kind: 'failed' };

/**
 * The log of all workers: appends their drafts to the engine, and passes its reports to the workers
 * that have attached the room. It never waits for a worker. What does not fit into a worker's ring
 * is left out, and the worker is told to read it.
 */
export class LogService {
  readonly #engine: Engine;
  readonly #follower: RoomFollower;
  readonly #scheduler: Scheduler;
  readonly #clock: Clock;
  /** Rooms whose drafts wait. */
  readonly #held = new Set<SharedRoom>();
  /** Holds a commit until every worker has it. */
  readonly #commit = new FrameEncoder();
  readonly #rooms = new Map<string, SharedRoom>();
  readonly #workers: ConnectedWorker<Attachment>[] = [];
  #frameBytes = FRAME_BYTES;
  #state: EngineState = 'ready';
  #messages = 0;
  #batches = 0;

  /** @param engine one that recognizes retries: they may come through another worker. */
  constructor(
    engine: Engine,
    follower: RoomFollower,
    scheduler: Scheduler = systemScheduler,
    clock: Clock = systemClock,
  ) {
    this.#engine = engine;
    this.#follower = follower;
    this.#scheduler = scheduler;
    this.#clock = clock;
  }

  /** Whether the engine reaches its store. */
  get ready(): boolean {
    return this.#state === 'ready';
  }

  /** How many rooms workers have attached. */
  get rooms(): number {
    return this.#rooms.size;
  }

  /** How many messages have been committed to rooms that a worker has attached. */
  get messages(): number {
    return this.#messages;
  }

  /** How many batches of messages have been committed. */
  get batches(): number {
    return this.#batches;
  }

  /** Opens the engine. Rejects when it cannot start. */
  async open(): Promise<void> {
    await this.#engine.open({
      committed: ({ room, records }) => this.#committed(room, records),
      decided: (decision) => this.#decided(decision),
      moved: (move) => this.#moved(move, 'moved'),
      skipped: (move) => this.#moved(move, 'skipped'),
      changed: (state) => this.#changed(state),
    });
  }

  /** Serves a worker. @returns its numbers, for monitoring. */
  connect(worker: number, link: LogLink<WorkerMethods, LogMethods>): Pick<ConnectedWorker<Attachment>, 'dropped'> {
    const connected = new ConnectedWorker<Attachment>(worker, link);
    this.#workers.push(connected);
    this.#frameBytes = Math.min(this.#frameBytes, link.maxFrame);
    link.calls.serve({
      attach: (attachment, room) => this.#attach(connected, attachment, room),
      release: (attachment) => this.#release(connected, attachment),
      read: (attachment, after, limit) => this.#read(connected.attachment(attachment), after, limit),
      catchUp: (attachment, epochs) => this.#catchUp(connected.attachment(attachment), epochs),
    });
    const frames: UpFrames = {
      roomOf: (attachment) => connected.attachment(attachment).room.name,
      drafts: (attachment, drafts) => this.#append(connected.attachment(attachment), drafts),
      refused: (attachment, count) => this.#refuse(connected.attachment(attachment), count),
    };
    const decoder = new FrameDecoder();
    link.listen({
      received: (buffer, start) => decoder.receiveUp(buffer, start, frames),
      writable: () => connected.writeWaiting(),
      woken: () => this.#appendHeld(),
    });
    if (this.#state === 'away') link.calls.tell('changed', this.#state);
    return connected;
  }

  /** Closes the engine, which commits what it has been given first. */
  async close(): Promise<void> {
    for (const room of this.#held) room.gathering.flush();
    await this.#engine.close();
  }

  #attach(worker: ConnectedWorker<Attachment>, number: number, name: string): NowOrLater<Attached> {
    const room = this.#room(name);
    room.users++;
    const follow = (): Attached => {
      const attachment = {
        number,
        room,
        worker,
        moves: 0,
        leftOut: undefined,
        lastCommit: worker.link.progress.written,
      };
      room.followers.add(attachment);
      worker.attachments.set(number, attachment);
      // In this turn: what the engine reports from now on follows the position.
      return { position: this.#engine.position(name), members: this.#follower.attached(worker.number, name) };
    };
    if (!(room.attaching instanceof Promise)) return follow();
    return room.attaching.then(follow, (error) => {
      this.#leave(room);
      throw error;
    });
  }

  #room(name: string): SharedRoom {
    const existing = this.#rooms.get(name);
    if (existing) return existing;
    const followers = new Set<Attachment>();
    const append = (drafts: readonly Draft[]) => this.#engine.append(name, drafts);
    const gathering = new Gathering(followers, append, this.#clock, this.#scheduler);
    const room: SharedRoom = { name, attaching: undefined, users: 0, followers, origins: [], gathering };
    this.#rooms.set(name, room);
    const attaching = this.#engine.attach(name);
    if (attaching instanceof Promise) {
      room.attaching = attaching;
      attaching.then(
        () => (room.attaching = undefined),
        () => {}, // each worker that waits hears of it
      );
    }
    return room;
  }

  #release(worker: ConnectedWorker<Attachment>, number: number): void {
    const attachment = worker.attachment(number);
    const { room } = attachment;
    worker.attachments.delete(number);
    room.followers.delete(attachment);
    this.#follower.released(worker.number, room.name);
    this.#leave(room);
  }

  #leave(room: SharedRoom): void {
    if (--room.users > 0) return;
    this.#rooms.delete(room.name);
    if (!(room.attaching instanceof Promise)) this.#engine.release(room.name);
  }

  #read(attachment: Attachment, after: number, limit: number): NowOrLater<Reading> {
    const { name } = attachment.room;
    const { moves } = attachment;
    return andThen(this.#engine.read(name, after, limit), (records) => ({
      records,
      first: this.#engine.position(name).first,
      // Records that were read across a move are of no single life.
      moves: attachment.moves === moves ? moves : -1,
    }));
  }

  #catchUp(attachment: Attachment, epochs: readonly string[]): NowOrLater<Standing> {
    const { room } = attachment;
    const caughtUp = this.#engine.catchUp?.(room.name, epochs);
    return andThen(caughtUp ?? undefined, () => {
      const ends = epochs.flatMap((epoch) => {
        const seq = this.#engine.divergedEnd?.(room.name, epoch);
        return seq === undefined ? [] : [[epoch, seq] as const];
      });
      return { seq: this.#engine.position(room.name).seq, moves: attachment.moves, ends };
    });
  }

  #append({ room, worker, number }: Attachment, drafts: readonly Draft[]): void {
    room.origins.push({ worker, attachment: number, refused: false, count: drafts.length });
    if (room.gathering.add(drafts)) this.#held.add(room);
    else this.#held.delete(room);
  }

  /** A worker has done with commits. */
  #appendHeld(): void {
    for (const room of this.#held) if (!room.gathering.check()) this.#held.delete(room);
  }

  #refuse({ room, worker, number }: Attachment, count: number): void {
    room.origins.push({ worker, attachment: number, refused: true, count });
    this.#failRefused(room);
  }

  #committed(name: string, records: readonly LogRecord[]): void {
    this.#messages += records.length;
    this.#batches++;
    const room = this.#rooms.get(name);
    if (room === undefined || room.followers.size === 0) return;
    const { first } = this.#engine.position(name);
    for (let at = 0; at < records.length; ) {
      const next = this.#commit.committed(0, records, first, at, this.#frameBytes);
      const after = Math.max(next, at + 1);
      const { seq } = records[after - 1] as LogRecord;
      for (const attachment of room.followers) {
        // A record that is longer than a frame is read.
        if (next === at) attachment.worker.drop(attachment, seq);
        else attachment.worker.writeCommit(attachment, this.#commit, seq);
      }
      at = after;
    }
  }

  #decided({ room: name, outcomes }: Decision): void {
    const room = this.#rooms.get(name);
    if (room === undefined) return;
    for (let at = 0; at < outcomes.length; ) {
      const origin = room.origins[0] as Origin;
      const decided = outcomes.slice(at, at + origin.count);
      origin.worker.decided(origin.attachment, decided);
      at += decided.length;
      origin.count -= decided.length;
      if (origin.count > 0) return;
      room.origins.shift();
      this.#failRefused(room);
    }
  }

  /** Decides the refused drafts that are the room's oldest. */
  #failRefused({ origins }: SharedRoom): void {
    for (let [origin] = origins; origin?.refused; [origin] = origins) {
      origins.shift();
      origin.worker.decided(origin.attachment, new Array(origin.count).fill(FAILED));
    }
  }

  #moved({ room: name }: Move, kind: 'moved' | 'skipped'): void {
    const position = this.#engine.position(name);
    for (const attachment of this.#rooms.get(name)?.followers ?? []) attachment.worker[kind](attachment, position);
  }

  #changed(state: EngineState): void {
    this.#state = state;
    for (const { link } of this.#workers) link.calls.tell('changed', state);
  }
}
