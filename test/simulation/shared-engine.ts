import type { Draft, Engine, EngineListener, Outcome, Position } from '../../src/hub/engine.ts';
import type { LogRecord } from '../../src/hub/log.ts';
import type { NowOrLater } from '../../src/protocol/now-or-later.ts';
import type { LogSubscriber, Reply, SharedLog } from './shared-log.ts';
import type { PromiseTime, Random } from './virtual.ts';

/** How long drafts, attachments and reads wait for the store, in milliseconds. */
const PATIENCE = 10_000;
/** How often a node compares its rooms with their logs: a lost push may have been the last one. */
const AUDIT = 2_000;
/** Records of one commit, at most. */
const PAGE = 32;

/** Probabilities of the faults between a node and the store. */
export interface Faults {
  /** A push is lost, and read later. */
  push: number;
  /** The connection is lost with a batch or its reply on it. */
  batch: number;
  /** A batch is refused. */
  refusal: number;
  /** A read is rejected. */
  read: number;
}

/** A planted fault of the engine, which the simulation must find. */
export type EngineFault = 'loses pushes' | 'forgets moves' | 'never catches up' | 'reorders drafts' | 'numbers wrongly';

interface Push {
  readonly epoch: string;
  readonly from: number;
  readonly to: number;
}

interface Batch {
  readonly number: number;
  readonly drafts: readonly Draft[];
  /** Cancels the end of patience. */
  readonly cancel: () => void;
}

/** A room that a node follows. Its place is that of everything that the listener was passed. */
interface FollowedRoom {
  readonly name: string;
  epoch: string;
  seq: number;
  first: number;
  readonly pushes: Push[];
  /** Whether a push is to be taken later. */
  isTaking: boolean;
  /** Whether the log is being read: pushes and batches wait. */
  isRepairing: boolean;
  readonly waiting: { readonly draft: Draft; readonly until: number }[];
  /** Whether a timer ends the patience of the oldest that waits. */
  isLimited: boolean;
  batch: Batch | undefined;
  /** The reply to the batch, which waits for its records. */
  reply: Extract<Reply, { kind: 'stored' }> | undefined;
  readonly catchUps: Deferred<void>[];
}

interface Deferred<T> {
  resolve(value: T): void;
  reject(error: Error): void;
}

/** One node's engine over a shared log, at the end of an unreliable connection. */
export class SharedEngine implements Engine, LogSubscriber {
  readonly dedupes = true;
  readonly catchUp?: (room: string) => Promise<void>;
  readonly #name: string;
  readonly #log: SharedLog;
  readonly #time: PromiseTime;
  readonly #random: Random;
  readonly #faults: Faults;
  readonly #fault: EngineFault | undefined;
  readonly #rooms = new Map<string, FollowedRoom>();
  #listener: EngineListener | undefined;
  #isReady = true;
  /** Counts the connections: what was sent on an earlier one gets no reply. */
  #connection = 0;
  #numbers = 0;
  /** Attachments, reads and catch-ups without an answer. */
  #pending = 0;
  #cancelAudit: (() => void) | undefined;
  /** How many drafts were decided as unknown. */
  unknown = 0;
  skips = 0;
  repairs = 0;

  constructor(
    name: string,
    log: SharedLog,
    time: PromiseTime,
    random: Random,
    faults: Faults,
    fault: EngineFault | undefined,
  ) {
    this.#name = name;
    this.#log = log;
    this.#time = time;
    this.#random = random;
    this.#faults = faults;
    this.#fault = fault;
    if (fault !== 'never catches up') this.catchUp = (room) => this.#catchUp(room);
  }

  /** The answers and drafts that are open, and the rooms that are attached. */
  get pending(): { readonly answers: number; readonly drafts: number; readonly rooms: number } {
    let drafts = 0;
    for (const { waiting, batch } of this.#rooms.values()) drafts += waiting.length + (batch?.drafts.length ?? 0);
    return { answers: this.#pending, drafts, rooms: this.#rooms.size };
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  open(listener: EngineListener): void {
    this.#listener = listener;
    this.#log.subscribers.add(this);
    this.#cancelAudit = this.#time.after(AUDIT, () => this.#audit());
  }

  attach(name: string): NowOrLater<Position> {
    if (this.#isReady && this.#random.chance(0.2)) {
      this.#follow(name);
      return this.position(name);
    }
    return this.#answer(() => {
      const room = this.#follow(name);
      const position = this.position(name);
      if (this.#random.chance(0.3)) this.#time.soon(() => this.#repair(room));
      return position;
    });
  }

  position(name: string): Position {
    const { epoch, seq, first } = this.#room(name);
    return { epoch, seq, first: Math.min(first, seq + 1), earlier: this.#log.lifeOf(epoch)?.earlier ?? [] };
  }

  append(name: string, drafts: readonly Draft[]): void {
    const room = this.#room(name);
    const until = this.#time.now() + PATIENCE;
    const taken = this.#fault === 'reorders drafts' ? drafts.toReversed() : drafts;
    room.waiting.push(...taken.map((draft) => ({ draft, until })));
    this.#flush(room);
    this.#limitWait(room);
  }

  read(name: string, after: number, limit: number): NowOrLater<readonly LogRecord[]> {
    const room = this.#room(name);
    const read = () => {
      const life = this.#log.life(name);
      if (life.epoch !== room.epoch) {
        this.#repair(room);
        throw new Error('the log is in another life');
      }
      room.first = Math.max(room.first, life.first);
      const from = Math.max(after, life.first - 1);
      return this.#log.read(life, from, Math.max(from, Math.min(after + limit, room.seq)));
    };
    const isNow = this.#isReady && this.#log.life(name).epoch === room.epoch && this.#random.chance(0.1);
    return isNow ? read() : this.#answer(read);
  }

  release(name: string): void {
    this.#rooms.delete(name);
  }

  close(): void {
    this.#cancelAudit?.();
    this.#log.subscribers.delete(this);
    this.#listener = undefined;
  }

  /** The node is killed: a batch in flight is stored later, or never. */
  kill(): void {
    const flights = [...this.#rooms.values()].filter(({ batch }) => batch !== undefined);
    for (const { name, batch } of flights) {
      const { number, drafts } = batch as Batch;
      if (this.#random.chance(0.4))
        this.#time.after(this.#random.int(1, 3000), () => this.#log.append(name, this.#name, number, drafts));
    }
    this.close();
    this.#connection++;
  }

  /** Loses the connection to the store for a while. The listener may not notice a short loss. */
  disconnect(ms: number): void {
    if (!this.#isReady) return;
    const connection = ++this.#connection;
    for (const room of this.#rooms.values()) room.pushes.length = 0;
    this.#isReady = false;
    const isNoticed = ms > 500 || this.#random.chance(0.5);
    if (isNoticed) this.#listener?.changed('away');
    this.#time.after(ms, () => {
      if (connection !== this.#connection || !this.#listener) return;
      this.#isReady = true;
      if (isNoticed) this.#listener.changed('ready');
      for (const room of this.#rooms.values()) this.#repair(room);
    });
  }

  pushed(name: string, epoch: string, from: number, to: number): void {
    const room = this.#rooms.get(name);
    if (!room || !this.#isReady || this.#random.chance(this.#faults.push)) return;
    if (this.#fault === 'loses pushes' && epoch === room.epoch && this.#random.chance(0.02)) {
      room.seq = Math.max(room.seq, to);
      return;
    }
    room.pushes.push({ epoch, from, to });
    this.#takeLater(room);
  }

  // ── What the store pushes ─────────────────────────────────────────────────────────────────────

  #takeLater(room: FollowedRoom): void {
    if (room.isTaking || room.isRepairing || room.pushes.length === 0) return;
    room.isTaking = true;
    this.#later(() => {
      room.isTaking = false;
      if (!this.#isFollowed(room) || room.isRepairing) return;
      const push = room.pushes.shift();
      if (push) this.#take(room, push);
      this.#takeLater(room);
    });
  }

  #take(room: FollowedRoom, { epoch, from, to }: Push): void {
    const life = this.#log.lifeOf(epoch);
    const isOlder = this.#indexOf(epoch) < this.#indexOf(room.epoch);
    if (!life || isOlder || (epoch === room.epoch && to <= room.seq)) return;
    if (epoch !== room.epoch || from > room.seq + 1) {
      this.#repair(room);
      return;
    }
    // As they were stored, or with what has changed since.
    const asStored = this.#random.chance(0.5);
    this.#commit(room, asStored ? life.records.slice(room.seq, to) : this.#log.read(life, room.seq, to));
    if (this.#random.chance(0.5)) room.first = Math.max(room.first, life.first);
    this.#decideReply(room);
  }

  #commit(room: FollowedRoom, records: readonly LogRecord[]): void {
    const last = records.at(-1);
    if (!last) return;
    room.seq = last.seq;
    this.#listener?.committed({ room: room.name, records, own: false });
  }

  #audit(): void {
    this.#cancelAudit = this.#time.after(AUDIT, () => this.#audit());
    for (const room of this.#isReady ? this.#rooms.values() : []) {
      const life = this.#log.life(room.name);
      if (life.epoch !== room.epoch || life.records.length !== room.seq) this.#repair(room);
    }
  }

  /** Reads what the pushes did not bring. */
  #repair(room: FollowedRoom): void {
    if (room.isRepairing || !this.#isReady || !this.#isFollowed(room)) return;
    room.isRepairing = true;
    this.repairs++;
    const connection = this.#connection;
    this.#later(() => {
      room.isRepairing = false;
      if (!this.#isFollowed(room) || !this.#isReady) return;
      if (connection !== this.#connection) {
        this.#repair(room);
        return;
      }
      this.#adopt(room);
      this.#readOn(room);
      for (const { resolve } of room.catchUps.splice(0)) resolve();
      this.#takeLater(room);
      this.#resend(room);
    });
  }

  #adopt(room: FollowedRoom): void {
    const life = this.#log.life(room.name);
    if (life.epoch === room.epoch) return;
    const shared = this.#log.shared(room.epoch, life.epoch) ?? 0;
    const seq = this.#fault === 'forgets moves' ? Math.min(room.seq, life.records.length) : Math.min(room.seq, shared);
    room.epoch = life.epoch;
    room.seq = seq;
    room.first = life.first;
    this.#listener?.moved({ room: room.name, epoch: life.epoch, seq });
  }

  #readOn(room: FollowedRoom): void {
    const life = this.#log.life(room.name);
    const { epoch, records, first } = life;
    room.first = Math.max(room.first, first);
    const isTooMuch = records.length - room.seq > PAGE && this.#random.chance(0.3);
    if (first > room.seq + 1 || isTooMuch) {
      this.skips++;
      room.seq = Math.max(first - 1, isTooMuch ? this.#random.int(room.seq + 1, records.length) : 0);
      this.#listener?.skipped({ room: room.name, epoch, seq: room.seq });
    }
    while (room.seq < records.length) this.#commit(room, this.#log.read(life, room.seq, room.seq + PAGE));
  }

  #catchUp(name: string): Promise<void> {
    const room = this.#room(name);
    this.#pending++;
    return new Promise((resolve, reject) => {
      const settle = (act: () => void) => {
        this.#pending--;
        this.#time.promiseSettled();
        act();
      };
      const deferred = {
        resolve: () => settle(resolve),
        reject: (error: Error) => settle(() => reject(error)),
      };
      room.catchUps.push(deferred);
      this.#repair(room);
      this.#time.after(PATIENCE, () => {
        const at = room.catchUps.indexOf(deferred);
        if (at < 0) return;
        room.catchUps.splice(at, 1);
        deferred.reject(new Error('the store cannot be reached'));
      });
    });
  }

  // ── This node's batches ───────────────────────────────────────────────────────────────────────

  #flush(room: FollowedRoom): void {
    if (room.batch || room.isRepairing || !this.#isReady || room.waiting.length === 0) return;
    const taken = room.waiting.splice(0, this.#random.int(1, 2 * room.waiting.length));
    const drafts = taken.map(({ draft }) => draft);
    const until = (taken[0] as (typeof taken)[number]).until;
    const number = ++this.#numbers;
    const cancel = this.#time.after(Math.max(1, until - this.#time.now()), () => this.#decide(room, number, 'unknown'));
    room.batch = { number, drafts, cancel };
    this.#send(room, room.batch);
  }

  /** Sends the batch in flight again: its reply is lost, or its records are. */
  #resend(room: FollowedRoom): void {
    this.#decideReply(room);
    if (room.batch && !room.reply && !room.isRepairing) this.#send(room, room.batch);
    else this.#flush(room);
  }

  #send(room: FollowedRoom, { number, drafts }: Batch): void {
    const connection = this.#connection;
    const isCurrent = () => this.#isFollowed(room) && connection === this.#connection && room.batch?.number === number;
    this.#later(() => {
      if (connection !== this.#connection && this.#random.chance(0.5)) return; // it was lost with its connection
      if (isCurrent() && this.#random.chance(this.#faults.refusal)) {
        this.#decide(room, number, 'failed');
        return;
      }
      const isLost = this.#random.chance(this.#faults.batch);
      if (isLost && this.#random.chance(0.5)) {
        if (isCurrent()) this.disconnect(this.#random.pick([1, 300, 3000, 15_000]));
        return;
      }
      const reply = this.#log.append(room.name, this.#name, number, drafts);
      if (!isCurrent()) return;
      if (isLost) this.disconnect(this.#random.pick([1, 300, 3000, 15_000]));
      else this.#later(() => isCurrent() && this.#replied(room, number, reply));
    });
  }

  #replied(room: FollowedRoom, number: number, reply: Reply): void {
    if (reply.kind === 'fenced') {
      this.#decide(room, number, 'unknown');
      return;
    }
    room.reply = reply;
    this.#decideReply(room);
    if (room.reply) this.#repair(room);
  }

  /** Decides the batch once its records are passed. Those of another life count as not sent. */
  #decideReply(room: FollowedRoom): void {
    const { reply, batch } = room;
    if (!reply || !batch) return;
    if (reply.epoch !== room.epoch) {
      if (this.#indexOf(reply.epoch) < this.#indexOf(room.epoch)) room.reply = undefined;
      return;
    }
    const last = Math.max(...reply.outcomes.map((outcome) => ('seq' in outcome ? outcome.seq : 0)));
    if (last <= room.seq) this.#decide(room, batch.number, reply.outcomes);
  }

  #decide(room: FollowedRoom, number: number, decision: 'failed' | 'unknown' | readonly Outcome[]): void {
    const { batch } = room;
    if (batch?.number !== number || !this.#isFollowed(room)) return;
    batch.cancel();
    room.batch = undefined;
    room.reply = undefined;
    if (decision === 'unknown') this.unknown += batch.drafts.length;
    const outcomes = typeof decision === 'string' ? batch.drafts.map(() => ({ kind: decision })) : decision;
    this.#passOutcomes(room, outcomes);
    this.#flush(room);
  }

  #passOutcomes(room: FollowedRoom, outcomes: readonly Outcome[]): void {
    const isWrong = this.#fault === 'numbers wrongly' && this.#random.chance(0.05);
    const passed = outcomes.map((outcome) =>
      isWrong && 'seq' in outcome ? { ...outcome, seq: outcome.seq + 1 } : outcome,
    );
    const half = this.#random.chance(0.2) ? this.#random.int(1, passed.length) : passed.length;
    for (const part of [passed.slice(0, half), passed.slice(half)])
      if (part.length > 0) this.#listener?.decided({ room: room.name, outcomes: part });
  }

  /** Drafts that are not sent in time have failed. */
  #limitWait(room: FollowedRoom): void {
    const [oldest] = room.waiting;
    if (!oldest || room.isLimited) return;
    room.isLimited = true;
    this.#time.after(Math.max(1, oldest.until - this.#time.now()), () => {
      room.isLimited = false;
      if (!this.#isFollowed(room)) return;
      const now = this.#time.now();
      const failed: Outcome[] = [];
      while (!room.batch && room.waiting[0] && room.waiting[0].until <= now) {
        room.waiting.shift();
        failed.push({ kind: 'failed' });
      }
      if (failed.length > 0) this.#passOutcomes(room, failed);
      this.#limitWait(room);
    });
  }

  // ── Helpers ───────────────────────────────────────────────────────────────────────────────────

  #follow(name: string): FollowedRoom {
    const { epoch, records, first } = this.#log.life(name);
    const room: FollowedRoom = {
      name,
      epoch,
      seq: records.length,
      first,
      pushes: [],
      isTaking: false,
      isRepairing: false,
      waiting: [],
      isLimited: false,
      batch: undefined,
      reply: undefined,
      catchUps: [],
    };
    this.#rooms.set(name, room);
    return room;
  }

  /** Returns a promise of the answer, which needs the connection. */
  #answer<T>(answer: () => T): Promise<T> {
    const until = this.#time.now() + PATIENCE;
    this.#pending++;
    return new Promise<T>((resolve, reject) => {
      const settle = () => {
        if (!this.#listener) return; // killed
        if (!this.#isReady && this.#time.now() < until) {
          this.#time.after(500, settle);
          return;
        }
        this.#pending--;
        this.#time.promiseSettled();
        if (!this.#isReady || this.#random.chance(this.#faults.read)) {
          reject(new Error('the store cannot be reached'));
          return;
        }
        try {
          resolve(answer());
        } catch (error) {
          reject(error);
        }
      };
      this.#later(settle);
    });
  }

  #later(work: () => void): void {
    const random = this.#random;
    if (random.chance(0.3)) this.#time.soon(work);
    else this.#time.after(random.chance(0.05) ? random.int(50, 1000) : random.int(1, 40), work);
  }

  #indexOf(epoch: string): number {
    return this.#log.lifeOf(epoch)?.index ?? -1;
  }

  #isFollowed(room: FollowedRoom): boolean {
    return this.#listener !== undefined && this.#rooms.get(room.name) === room;
  }

  #room(name: string): FollowedRoom {
    const room = this.#rooms.get(name);
    if (!room) throw new Error(`the room ${name} is not attached`);
    return room;
  }
}
