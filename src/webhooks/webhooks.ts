import { randomBytes } from 'node:crypto';
import type { Engine, EngineState, Position } from '../hub/engine.ts';
import type { LogRecord } from '../hub/log.ts';
import type { Clock, Scheduler } from '../hub/time.ts';
import { allOf, andThen, type NowOrLater } from '../protocol/now-or-later.ts';
import type { Place } from '../protocol/v1.ts';
import type { CursorListener, CursorStore, StoredCursor, WebhookState } from './cursor.ts';
import { Delivery, type Receiver, type WebhookLog } from './delivery.ts';
import { type TapListener, TappedEngine } from './room-tap.ts';

/** A webhook: which rooms are delivered to which receiver. */
export interface WebhookDefinition {
  readonly name: string;
  /** The receiver's URL as it may be shown. */
  readonly url: string;
  /** The patterns of the rooms, to be shown. */
  readonly rooms: readonly string[];
  /** Reports whether the webhook has the events of a room. */
  readonly matches: (room: string) => boolean;
  /** Where the cursor of a room begins: after its newest record, or before its oldest one. */
  readonly from: 'now' | 'start';
  /** Signs the requests. */
  readonly key: Buffer;
  readonly receiver: Receiver;
}

export interface WebhooksOptions {
  readonly webhooks: readonly WebhookDefinition[];
  readonly engine: Engine;
  readonly store: CursorStore;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly log: WebhookLog;
  /**
   * Returns the heads of rooms. Undefined for a room that is not stored.
   *
   * @default attaches the rooms
   */
  readonly heads?: ((rooms: readonly string[]) => Promise<readonly (Place | undefined)[]>) | undefined;
  /** Iterates over the names of all stored rooms. @default none is known */
  readonly storedRooms?: (() => AsyncIterable<readonly string[]>) | undefined;
  /** @default Math.random */
  readonly random?: () => number;
  /** @default random */
  readonly newId?: () => string;
  /** Rooms of a webhook that are delivered at the same time. @default 8 */
  readonly concurrency?: number;
}

/** A room of a webhook. */
interface RoomReport {
  readonly room: string;
  readonly epoch: string;
  /** Everything up to this record is delivered. */
  readonly seq: number;
  /** The newest record. */
  readonly head: number;
  /** Records that wait. */
  readonly lag: number;
}

/** How a webhook fares. */
export interface WebhookReport extends WebhookState {
  readonly name: string;
  readonly url: string;
  /** The patterns of the rooms. */
  readonly patterns: readonly string[];
  /** How many rooms have a cursor. */
  readonly cursors: number;
  /** Records that wait, over all rooms. */
  readonly lag: number;
  /** The rooms with the greatest lag, at most 100. */
  readonly rooms: readonly RoomReport[];
}

/** Which rooms to deliver again. */
export interface ReplayRequest {
  /** The last record that is not delivered again; 0 for all. */
  readonly after: number;
  /** @default all rooms that are delivered further */
  readonly room?: string | undefined;
}

export type ReplayResult =
  | { readonly kind: 'replayed'; readonly rooms: number }
  | { readonly kind: 'unknown_webhook' }
  | { readonly kind: 'unknown_room' }
  /** The room has no record after `after`. */
  | { readonly kind: 'beyond'; readonly head: number };

/** Reports on webhooks, and replays them, from any process. */
export interface WebhookControl {
  list(): Promise<readonly WebhookReport[]>;
  replay(name: string, request: ReplayRequest): Promise<ReplayResult>;
}

/** The numbers of a webhook that this process delivers, for the metrics. */
export interface WebhookReading {
  readonly webhook: string;
  readonly deliveries: number;
  readonly messages: number;
  readonly gaps: number;
  /** Failed attempts, by class. */
  readonly failures: ReadonlyMap<string, number>;
  readonly lag: number;
  /** Age of the oldest message that waits, in seconds. */
  readonly oldestSeconds: number;
}

/** A definition, and its delivery. */
interface Hook {
  readonly definition: WebhookDefinition;
  readonly delivery: Delivery;
  /** Pending while the rooms are compared with their cursors. */
  auditing: Promise<void> | undefined;
  /** The audit is to be repeated. */
  isAuditDue: boolean;
  /** How many replays this process has seen. */
  replays: number;
}

const CONCURRENCY = 8;
const LISTED_ROOMS = 100;
const AUDIT_RETRY_MS = 1_000;

/**
 * Delivers the records of rooms to the receivers of webhooks. A webhook is a reader of the logs: it
 * has a durable cursor in each of its rooms, learns of commits from the engine, and reads the
 * records when it can deliver them.
 */
export class Webhooks implements WebhookControl {
  /** The engine for the Hub, or for the log of the worker threads. */
  readonly engine: Engine;
  readonly #tap: TappedEngine<readonly Hook[]>;
  readonly #options: WebhooksOptions;
  readonly #hooks: readonly Hook[];
  #cancelAudit: (() => void) | undefined;
  #isClosed = false;
  #stopping: Promise<void> | undefined;

  constructor(options: WebhooksOptions) {
    this.#options = options;
    const { engine, store, clock, scheduler, log, random = Math.random, newId = randomId } = options;
    this.#tap = new TappedEngine(engine, this.#tapListener());
    this.engine = this.#tap;
    const common = { reader: this.#tap, store, clock, scheduler, log, random, newId };
    const concurrency = options.concurrency ?? CONCURRENCY;
    this.#hooks = options.webhooks.map((definition) => {
      const { name: webhook, key, receiver } = definition;
      const delivery = new Delivery({ ...common, webhook, key, receiver, concurrency });
      return { definition, delivery, auditing: undefined, isAuditDue: false, replays: 0 };
    });
  }

  /** Starts to deliver. Call it once the engine is open. */
  async start(): Promise<void> {
    await this.#options.store.open(this.#cursorListener());
    this.#scheduleAudit();
  }

  /**
   * Stops within a time: no attempt begins any more, and those that run may end. What is not
   * acknowledged by then is delivered by the next process.
   */
  stop(ms: number): Promise<void> {
    this.#stopping ??= this.#stop(ms);
    return this.#stopping;
  }

  async #stop(ms: number): Promise<void> {
    this.#isClosed = true;
    this.#cancelAudit?.();
    const { store } = this.#options;
    await Promise.all(this.#hooks.map(({ delivery }) => delivery.stop(ms, store.forgets)));
    await Promise.allSettled(this.#hooks.map(({ auditing }) => auditing));
    await store.close();
  }

  async list(): Promise<readonly WebhookReport[]> {
    const reports: WebhookReport[] = [];
    for (const hook of this.#hooks) reports.push(await this.#report(hook));
    return reports;
  }

  async replay(name: string, { after, room }: ReplayRequest): Promise<ReplayResult> {
    const hook = this.#hooks.find(({ definition }) => definition.name === name);
    if (!hook) return { kind: 'unknown_webhook' };
    const places = new Map<string, Place>();
    if (room !== undefined) {
      const [head] = hook.definition.matches(room) ? await this.#heads([room]) : [];
      if (!head) return { kind: 'unknown_room' };
      if (after > head.seq) return { kind: 'beyond', head: head.seq };
      places.set(room, { epoch: head.epoch, seq: after });
    } else {
      for await (const page of this.#pages(hook)) {
        for (const { room: each, cursor, head } of page) {
          if (head && Math.min(cursor.seq, head.seq) > after) places.set(each, { epoch: head.epoch, seq: after });
        }
      }
    }
    await this.#options.store.replay(name, places);
    return { kind: 'replayed', rooms: places.size };
  }

  /** Returns the numbers of all webhooks. */
  readings(): readonly WebhookReading[] {
    const now = this.#options.clock.date();
    return this.#hooks.map(({ definition, delivery }) => ({
      webhook: definition.name,
      ...delivery.counts,
      lag: delivery.lag,
      oldestSeconds: delivery.oldestAt === undefined ? 0 : Math.max(0, now - delivery.oldestAt) / 1000,
    }));
  }

  #tapListener(): TapListener<readonly Hook[]> {
    const { store } = this.#options;
    return {
      attached: (room, position) => this.#attached(room, position),
      follower: (room) => this.#hooksOf(room),
      committed: (hooks, room, epoch, records) => markCommitted(hooks, room, epoch, records),
      stored: (hooks, room) => {
        if (hooks.some(({ delivery }) => !delivery.isActive)) store.mark(room);
      },
      moved: (hooks, room, before) => {
        for (const { delivery } of hooks) delivery.moved(room, before);
      },
      released: (room) => this.#released(room),
      changed: (state: EngineState) => {
        if (state === 'ready') for (const hook of this.#hooks) this.#audit(hook);
      },
    };
  }

  #cursorListener(): CursorListener {
    const { log } = this.#options;
    return {
      acquired: (webhook) => {
        const hook = this.#hook(webhook);
        log.info({ webhook }, 'webhook is delivered by this server');
        hook.delivery.start();
        this.#audit(hook);
      },
      lost: (webhook) => {
        log.warn({ webhook }, 'webhook is left to another server');
        this.#hook(webhook).delivery.leave();
      },
      replayed: (webhook, room) => this.#replayed(this.#hook(webhook), room),
      marked: (rooms) => {
        const at = this.#options.clock.date();
        for (const room of rooms) {
          for (const { delivery } of this.#hooksOf(room) ?? []) delivery.mark(room, undefined, undefined, at);
        }
      },
      failed: (err) => log.error({ err }, 'the cursors of webhooks cannot be stored'),
    };
  }

  #hook(webhook: string): Hook {
    return this.#hooks.find(({ definition }) => definition.name === webhook) as Hook;
  }

  #hooksOf(room: string): readonly Hook[] | undefined {
    const hooks = this.#hooks.filter(({ definition }) => definition.matches(room));
    return hooks.length > 0 ? hooks : undefined;
  }

  /** Creates the cursors of a room, before anything can be appended to it. */
  #attached(room: string, { epoch, seq, first }: Position): NowOrLater<void> {
    const { store } = this.#options;
    const hooks = this.#hooksOf(room) ?? [];
    const isBehind = seq >= first && hooks.some(({ definition }) => definition.from === 'start');
    const created = hooks.map(({ definition: { name, from } }) =>
      store.create(name, room, { epoch, seq: from === 'start' ? first - 1 : seq }),
    );
    return andThen(allOf(created), () => {
      if (!isBehind) return;
      for (const { definition, delivery } of hooks) if (definition.from === 'start') delivery.mark(room);
      if (hooks.some(({ delivery }) => !delivery.isActive)) store.mark(room);
    });
  }

  /** A room that the engine forgets begins anew, with other cursors. */
  #released(room: string): void {
    const { store } = this.#options;
    if (!store.forgets) return;
    for (const { definition, delivery } of this.#hooksOf(room) ?? []) {
      if (delivery.has(room)) continue;
      const cursor = store.find(definition.name, room);
      if (cursor && !(cursor instanceof Promise)) void store.remove(definition.name, room, cursor.version);
    }
  }

  #replayed(hook: Hook, room: string | undefined): void {
    hook.replays++;
    hook.delivery.replayed(room);
    this.#audit(hook); // after a 410 all rooms are behind
  }

  #scheduleAudit(): void {
    const { store, scheduler } = this.#options;
    if (store.auditMs === undefined || this.#isClosed) return;
    this.#cancelAudit = scheduler.after(store.auditMs, () => {
      for (const hook of this.#hooks) this.#audit(hook);
      this.#scheduleAudit();
    });
  }

  /** Compares the rooms with their cursors. An audit that runs is repeated. */
  #audit(hook: Hook): void {
    if (!hook.delivery.isActive || this.#isClosed) return;
    hook.isAuditDue = true;
    hook.auditing ??= this.#auditAll(hook);
  }

  async #auditAll(hook: Hook): Promise<void> {
    const { name: webhook } = hook.definition;
    let isReported = false;
    while (hook.isAuditDue && hook.delivery.isActive && !this.#isClosed) {
      hook.isAuditDue = false;
      try {
        await this.#auditOnce(hook);
      } catch (err) {
        if (!isReported) this.#options.log.error({ webhook, err }, 'webhook cannot compare rooms with its cursors');
        isReported = true;
        hook.isAuditDue = true;
        await new Promise<void>((resolve) => this.#options.scheduler.after(AUDIT_RETRY_MS, resolve));
      }
    }
    hook.auditing = undefined;
  }

  async #auditOnce(hook: Hook): Promise<void> {
    const { definition, delivery } = hook;
    const { name } = definition;
    const { store } = this.#options;
    const replays = await store.replays(name);
    // The message of a replay may have been lost.
    if (store.auditMs !== undefined && replays !== hook.replays) {
      hook.replays = replays;
      delivery.replayed(undefined);
    }
    if (definition.from === 'start') await this.#createCursors(definition);
    for await (const page of this.#pages(hook)) {
      for (const { room, cursor, head } of page) {
        if (!delivery.isActive) return;
        if (head === undefined && cursor.batch === undefined) await store.remove(name, room, cursor.version);
        else if (isBehind(cursor, head)) delivery.mark(room, head);
      }
    }
  }

  /** Attaches the stored rooms, which creates the cursors that are missing. */
  async #createCursors({ name, matches }: WebhookDefinition): Promise<void> {
    const { store, storedRooms } = this.#options;
    if (!storedRooms) return;
    for await (const page of storedRooms()) {
      for (const room of page) {
        if (!matches(room) || (await store.find(name, room))) continue;
        await this.#tap.hold(room);
        this.#tap.unhold(room);
      }
    }
  }

  /** Iterates over the cursors of a webhook's rooms, with the heads of their logs. */
  async *#pages({
    definition: { name, matches },
  }: Hook): AsyncIterable<readonly { room: string; cursor: StoredCursor; head: Place | undefined }[]> {
    for await (const all of this.#options.store.pages(name)) {
      const page = all.filter(([room]) => matches(room));
      const heads = await this.#heads(page.map(([room]) => room));
      yield page.map(([room, cursor], i) => ({ room, cursor, head: heads[i] }));
    }
  }

  async #heads(rooms: readonly string[]): Promise<readonly (Place | undefined)[]> {
    const { heads } = this.#options;
    if (heads) return heads(rooms);
    const found: Place[] = [];
    for (const room of rooms) {
      const { epoch, seq } = await this.#tap.hold(room);
      this.#tap.unhold(room);
      found.push({ epoch, seq });
    }
    return found;
  }

  async #report(hook: Hook): Promise<WebhookReport> {
    const { name, url, rooms: patterns } = hook.definition;
    let rooms: RoomReport[] = [];
    let [cursors, lag] = [0, 0];
    for await (const page of this.#pages(hook)) {
      for (const { room, cursor, head } of page) {
        const { epoch, seq } = cursor;
        const report = { room, epoch, seq, head: head?.seq ?? seq, lag: Math.max(0, (head?.seq ?? seq) - seq) };
        cursors++;
        lag += report.lag;
        rooms.push(report);
      }
      rooms.sort((a, b) => b.lag - a.lag || (a.room < b.room ? -1 : 1));
      rooms = rooms.slice(0, LISTED_ROOMS);
    }
    const state = hook.delivery.isActive ? hook.delivery.state : await this.#options.store.state(name);
    return { name, url, patterns, cursors, lag, rooms, ...state };
  }
}

/** Called for each batch of records. */
function markCommitted(hooks: readonly Hook[], room: string, epoch: string, records: readonly LogRecord[]): void {
  const [oldest, newest] = [records[0], records.at(-1)];
  if (!oldest || !newest) return;
  const head = { epoch, seq: newest.seq };
  const start = { epoch, seq: oldest.seq - 1 };
  for (const { delivery } of hooks) delivery.mark(room, head, start, oldest.at);
}

function isBehind({ epoch, seq, batch }: StoredCursor, head: Place | undefined): boolean {
  if (head === undefined || batch !== undefined) return true;
  if (epoch === head.epoch) return seq !== head.seq;
  return head.seq > 0; // a new log without a record tells nothing
}

function randomId(): string {
  return `msg_${randomBytes(16).toString('hex')}`;
}
