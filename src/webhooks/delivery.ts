import type { Clock, Scheduler } from '../hub/time.ts';
import type { Place } from '../protocol/v1.ts';
import { backoff, retryAfter } from './backoff.ts';
import type { StoredCursor, WebhookState } from './cursor.ts';
import { Lane, type LaneContext, type PreparedBatch } from './lane.ts';
import type { PostResult } from './post.ts';
import { signedHeaders } from './signature.ts';

/** Writes lines to the log. */
export interface WebhookLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** The receiver of a webhook. */
export interface Receiver {
  post(body: string, headers: Readonly<Record<string, string>>): Promise<PostResult>;
  /** Ends the attempts that wait for a response. */
  abort(): void;
  close(): void;
}

export interface DeliveryOptions extends LaneContext {
  readonly key: Buffer;
  readonly receiver: Receiver;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly log: WebhookLog;
  /** Returns a number from 0 up to but not including 1. */
  readonly random: () => number;
  /** Rooms that are delivered at the same time. */
  readonly concurrency: number;
}

/** What has become of the attempts so far. */
export interface DeliveryCounts {
  deliveries: number;
  messages: number;
  gaps: number;
  readonly failures: Map<string, number>;
}

// The delay before the engine or the store is tried again.
const RETRY_MS = 1_000;

// The last status is written at most once in this time, and at once when the state changes.
const STATE_MS = 1_000;

// Rooms of an engine that forgets them which are kept for a receiver that fails.
const MAX_HELD = 1_024;

const MAX_ENDED = 10_000;

/**
 * Delivers one webhook: one batch at a time of each room, and several rooms at a time. Rooms with
 * something to deliver have a lane, in the order in which they came.
 */
export class Delivery {
  readonly counts: DeliveryCounts = { deliveries: 0, messages: 0, gaps: 0, failures: new Map() };
  readonly #options: DeliveryOptions;
  readonly #lanes = new Map<string, Lane>();
  readonly #ready = new Set<Lane>();
  readonly #failing = new Set<Lane>();
  readonly #waiters: (() => void)[] = [];
  /** The last cursors of rooms that were delivered to the end, oldest first. */
  readonly #ended = new Map<string, StoredCursor>();
  #running = 0;
  #isActive = false;
  #isStopping = false;
  #isDisabled = false;
  #pausedUntil = 0;
  #isScheduled = false;
  #isStateScheduled = false;
  #failingSince: number | undefined;
  #lastStatus: string | undefined;
  #lastAt: number | undefined;
  /** The engine or the store could not be reached at the last attempt. */
  #isBroken = false;

  constructor(options: DeliveryOptions) {
    this.#options = options;
  }

  /** Whether this process delivers the webhook. */
  get isActive(): boolean {
    return this.#isActive;
  }

  /** Records that wait, as far as known. */
  get lag(): number {
    let lag = 0;
    for (const lane of this.#lanes.values()) lag += lane.lag;
    return lag;
  }

  /** When the oldest message that waits was committed, in milliseconds since 1970. */
  get oldestAt(): number | undefined {
    let oldest: number | undefined;
    for (const { oldestAt } of this.#lanes.values()) {
      if (oldestAt !== undefined && (oldest === undefined || oldestAt < oldest)) oldest = oldestAt;
    }
    return oldest;
  }

  get state(): WebhookState {
    return {
      ...(this.#failingSince !== undefined && { failingSince: this.#failingSince }),
      ...(this.#lastStatus !== undefined && { lastStatus: this.#lastStatus, lastAt: this.#lastAt }),
      ...(this.#isDisabled && { disabled: true }),
    };
  }

  /** Starts to deliver. The rooms with something to deliver are then to be marked. */
  start(): void {
    this.#isActive = true;
    this.#isDisabled = false;
    this.#pausedUntil = 0;
  }

  /** Stops at once: another process may deliver the webhook by now. */
  leave(): void {
    this.#isActive = false;
    this.#options.receiver.abort();
    this.#ended.clear();
    this.#dropAll();
  }

  /**
   * A room may have something to deliver.
   *
   * @param head its newest record, if known.
   * @param start the place before the oldest record that is not delivered, if known.
   * @param at when that record was committed.
   */
  mark(room: string, head?: Place, start?: Place, at?: number): void {
    if (!this.#isActive || this.#isDisabled) return;
    const existing = this.#lanes.get(room);
    const lane = existing ?? new Lane(room, this.#options, start, this.#ended.get(room));
    if (head && (lane.seen?.epoch !== head.epoch || head.seq > lane.seen.seq)) lane.seen = head;
    lane.isMarked = true;
    if (existing) return;
    lane.oldestAt = at;
    this.#lanes.set(room, lane);
    // An engine that forgets the room would forget its records.
    if (this.#options.store.forgets) this.#holdNow(lane);
    this.#enqueue(lane);
  }

  /** The log of a room goes on in another epoch. `before` is its head until then. */
  moved(room: string, before: Place): void {
    this.mark(room);
    this.#lanes.get(room)?.noteHead(before);
  }

  /** Whether a room has something to deliver, as far as known. */
  has(room: string): boolean {
    return this.#lanes.has(room);
  }

  /** A replay has moved the cursor of a room, or of several. It ends a pause, and a 410. */
  replayed(room: string | undefined): void {
    this.#isDisabled = false;
    this.#pausedUntil = 0;
    for (const lane of room === undefined ? this.#lanes.values() : [this.#lanes.get(room)]) {
      if (!lane) continue;
      lane.reload();
      lane.isMarked = true;
      if (!lane.isRunning) this.#enqueue(lane);
    }
    if (room !== undefined) this.mark(room);
    this.#saveState();
  }

  /**
   * Ends within a time: waits for the attempts that run, then aborts them, and stores what has been
   * acknowledged.
   *
   * @param finishes whether to deliver what waits, as the rooms end with the process.
   */
  async stop(ms: number, finishes: boolean): Promise<void> {
    if (!finishes) this.#isStopping = true;
    let isLate = false;
    const cancel = this.#options.scheduler.after(ms, () => {
      isLate = true;
      this.#isStopping = true;
      this.#options.receiver.abort();
      this.#notifyWaiters();
    });
    const isDone = () => this.#running === 0 && (this.#isStopping || this.#ready.size === 0 || this.#isDisabled);
    while (!isDone() && !(isLate && this.#running === 0))
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    cancel();
    this.#isStopping = true;
    this.#isActive = false;
    await Promise.allSettled([...this.#lanes.values()].map((lane) => lane.flush()));
    this.#dropAll();
    this.#options.receiver.close();
  }

  #holdNow(lane: Lane): void {
    const held = lane.hold();
    if (held instanceof Promise) held.catch(() => {}); // `prepare` tries again
  }

  #enqueue(lane: Lane): void {
    lane.cancelRetry?.();
    lane.cancelRetry = undefined;
    this.#ready.add(lane);
    this.#wake();
  }

  /** Starts an attempt in a later turn: the turn of a commit delivers to clients first. */
  #wake(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#options.scheduler.soon(() => {
      this.#isScheduled = false;
      this.#startNext();
    });
  }

  /** Starts at most one attempt in a turn. */
  #startNext(): void {
    const { concurrency, clock } = this.#options;
    if (!this.#isActive || this.#isStopping || this.#isDisabled || this.#running >= concurrency) return;
    if (clock.now() < this.#pausedUntil) return;
    const [lane] = this.#ready;
    if (!lane) return;
    this.#ready.delete(lane);
    this.#running++;
    lane.isRunning = true;
    lane.isMarked = false;
    void this.#run(lane);
    this.#wake();
  }

  async #run(lane: Lane): Promise<void> {
    try {
      await this.#attempt(lane);
    } catch (error) {
      if (!lane.isDropped) this.#postpone(lane, error as Error);
    }
    lane.isRunning = false;
    this.#running--;
    if (lane.isDropped) lane.unhold();
    this.#notifyWaiters();
    this.#wake();
  }

  async #attempt(lane: Lane): Promise<void> {
    const { webhook, store, receiver, key, clock } = this.#options;
    const batch = await lane.prepare();
    if (lane.isDropped) return;
    this.#isBroken = false;
    if (!batch) {
      const isSaved = await lane.flush();
      if (lane.isDropped) return;
      if (lane.isMarked || !isSaved) this.#enqueue(lane);
      else this.#end(lane);
      return;
    }
    if (batch.times) lane.oldestAt = batch.times.oldest;
    if (this.#isStopping) return;
    if (!store.owns(webhook)) throw new Error('the lease has ended');
    const headers = signedHeaders(key, batch.id, Math.floor(clock.date() / 1000), batch.body);
    const result = await receiver.post(batch.body, headers);
    if (!lane.isDropped) this.#settle(lane, batch, result);
  }

  #settle(lane: Lane, batch: PreparedBatch, result: PostResult): void {
    if (result.kind === 'aborted') {
      this.#ready.add(lane);
      return;
    }
    this.#lastStatus = statusOf(result);
    this.#lastAt = this.#options.clock.date();
    if (result.kind !== 'answered' || result.status < 200 || result.status > 299) {
      this.#fail(lane, result);
      return;
    }
    lane.acknowledge(batch);
    lane.failures = 0;
    lane.oldestAt = batch.times?.newest ?? lane.oldestAt;
    this.counts.deliveries++;
    if (batch.kind === 'gap') this.counts.gaps++;
    else this.counts.messages += batch.count;
    this.#succeeded(lane);
    this.#scheduleState();
    this.#enqueue(lane);
  }

  #fail(lane: Lane, result: Exclude<PostResult, { kind: 'aborted' }>): void {
    const { webhook, log, clock, random } = this.#options;
    const { failures } = this.counts;
    const kind = classOf(result);
    failures.set(kind, (failures.get(kind) ?? 0) + 1);
    lane.failures++;
    this.#failing.add(lane);
    const status = statusOf(result);
    if (this.#failingSince === undefined) {
      this.#failingSince = clock.date();
      log.warn({ webhook, room: lane.room, status }, 'webhook fails, and is tried again');
      this.#saveState();
    }
    this.#scheduleState();
    if (result.kind === 'answered' && result.status === 410) {
      this.#disable();
      return;
    }
    let delay = backoff(lane.failures, random());
    if (result.kind === 'answered' && (result.status === 429 || result.status === 503)) {
      const pause = retryAfter(result.retryAfter, clock.date());
      if (pause !== undefined) this.#pause(pause);
      delay = Math.max(delay, pause ?? 0);
    }
    this.#retryAfter(lane, delay);
  }

  /** The receiver asks for a pause of all rooms. */
  #pause(ms: number): void {
    const { clock, scheduler } = this.#options;
    const until = clock.now() + ms;
    if (until <= this.#pausedUntil) return;
    this.#pausedUntil = until;
    scheduler.after(ms, () => this.#wake());
  }

  /** The receiver has answered with 410. */
  #disable(): void {
    const { webhook, log } = this.#options;
    this.#isDisabled = true;
    log.error({ webhook }, 'webhook is disabled, since its receiver has answered 410 Gone; restart or replay it');
    for (const lane of this.#lanes.values()) lane.flush().catch(() => {}); // delivered again at worst
    this.#dropAll();
    this.#saveState();
  }

  #retryAfter(lane: Lane, ms: number): void {
    if (!this.#options.store.forgets || this.#failing.size > MAX_HELD) lane.unhold();
    lane.cancelRetry = this.#options.scheduler.after(ms, () => this.#enqueue(lane));
  }

  /** The engine or the store cannot be reached. */
  #postpone(lane: Lane, error: Error): void {
    const { webhook, log } = this.#options;
    if (!this.#isBroken) log.error({ webhook, err: error }, 'webhook cannot read a room or store its cursor');
    this.#isBroken = true;
    this.#retryAfter(lane, RETRY_MS);
  }

  #succeeded(lane: Lane): void {
    const { webhook, log, clock } = this.#options;
    if (!this.#failing.delete(lane) || this.#failing.size > 0 || this.#failingSince === undefined) return;
    const seconds = Math.round((clock.date() - this.#failingSince) / 1000);
    this.#failingSince = undefined;
    log.info({ webhook, seconds }, 'webhook is delivered again');
    this.#saveState();
  }

  /** Everything of a room is delivered. */
  #end(lane: Lane): void {
    this.#lanes.delete(lane.room);
    lane.isDropped = true; // and unheld when it has ended
    this.#keepEnd(lane);
    this.#succeeded(lane);
  }

  /** A shared store may lose a cursor in a failover. This process then still knows it. */
  #keepEnd({ room, cursor }: Lane): void {
    if (cursor === undefined || this.#options.store.auditMs === undefined) return;
    this.#ended.delete(room);
    this.#ended.set(room, cursor);
    const [oldest] = this.#ended.keys();
    if (this.#ended.size > MAX_ENDED && oldest !== undefined) this.#ended.delete(oldest);
  }

  #dropAll(): void {
    for (const lane of this.#lanes.values()) {
      lane.isDropped = true;
      lane.cancelRetry?.();
      if (!lane.isRunning) lane.unhold();
    }
    this.#lanes.clear();
    this.#ready.clear();
    this.#failing.clear();
    this.#failingSince = undefined;
  }

  #scheduleState(): void {
    if (this.#isStateScheduled) return;
    this.#isStateScheduled = true;
    this.#options.scheduler.after(STATE_MS, () => {
      this.#isStateScheduled = false;
      this.#saveState();
    });
  }

  #saveState(): void {
    if (this.#isActive) this.#options.store.saveState(this.#options.webhook, this.state);
  }

  #notifyWaiters(): void {
    for (const resolve of this.#waiters.splice(0)) resolve();
  }
}

/** The class of a failed attempt, for the metrics. */
function classOf(result: Exclude<PostResult, { kind: 'aborted' }>): string {
  return result.kind === 'answered' ? `${Math.floor(result.status / 100)}xx` : result.kind;
}

function statusOf(result: Exclude<PostResult, { kind: 'aborted' }>): string {
  if (result.kind === 'answered') return `${result.status}`;
  return 'message' in result ? `${result.kind}: ${result.message}` : result.kind;
}
