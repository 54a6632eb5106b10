import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Draft, EngineListener, Position, SharedEngine } from '../../hub/engine.ts';
import type { LogRecord } from '../../hub/log.ts';
import type { NowOrLater } from '../../protocol/now-or-later.ts';
import type { Place } from '../../protocol/v1.ts';
import { type Retention, type RetentionOf, retentionOf } from '../retention.ts';
import { epochOf } from '../terms.ts';
import { Auditor } from './auditor.ts';
import { DEFAULT_LEASE, type LeaseTimes, RedisCluster, RUN_LENGTH } from './cluster.ts';
import { inspect } from './inspect.ts';
import { keysOf, META_PATTERN, roomOf, shardOf } from './keys.ts';
import type { Link } from './link.ts';
import { logStateOf } from './position.ts';
import { databaseOf, primariesOf, type Servers } from './primary.ts';
import { readRecords } from './read.ts';
import { type RoomContext, RoomLog } from './room-log.ts';
import { Shard } from './shard.ts';

export interface RedisOptions extends Servers {
  /**
   * Bounds of each room's stored records, or a function that returns those of a room. It is called
   * when the room is attached. All nodes need the same bounds.
   *
   * @default 7 days and 64 MiB
   */
  readonly retention?: Retention | RetentionOf;
  /**
   * Milliseconds that an append or attach waits for Redis.
   *
   * @default 10,000
   */
  readonly patienceMs?: number;
  /**
   * Milliseconds in which each attached room is compared with its log and with the members of the
   * other nodes, in case a push was lost.
   *
   * @default 60,000
   */
  readonly auditMs?: number;
  /** @default a lease of 10 seconds, renewed every 3 */
  readonly lease?: LeaseTimes;
  /** Receives lost connections, failed reconnections and refused appends. @default ignores them */
  readonly onError?: (error: Error) => void;
  /** Receives a line for each setting of a server that loses messages. @default ignores them */
  readonly onWarning?: (warning: string) => void;
}

const MiB = 1024 * 1024;
const MAX_WAITING_BYTES = 16 * MiB;
const TICK_MS = 200;
const TICKS_PER_RETRY = 10;
const AUDIT_MS = 60_000;
const RECOVERIES = 256;
const RECOVERY_POLL_MS = 5;
const SCANNED_AT_ONCE = '1000';

/** Creates an engine that shares rooms with other nodes by Redis or Valkey, 7 or newer. */
export function redis(options: RedisOptions): SharedEngine {
  return new RedisEngine(options);
}

interface Attach {
  readonly room: RoomLog;
  readonly until: number;
  readonly resolve: (position: Position) => void;
  readonly reject: (error: Error) => void;
}

export class RedisEngine implements SharedEngine {
  readonly dedupes = true;
  /** Identifies this node until it ends. */
  readonly run = randomBytes(RUN_LENGTH / 2).toString('hex');
  readonly cluster: RedisCluster;
  readonly shards: readonly Shard[];
  readonly #options: RedisOptions;
  readonly #databases: readonly number[];
  readonly #patienceMs: number;
  readonly #rooms = new Map<string, RoomLog>();
  readonly #attaches = new Map<string, Attach>();
  /** Rooms with drafts on their way. */
  readonly #busy = new Set<RoomLog>();
  /** Rooms whose recovery failed on an open link. */
  readonly #broken = new Set<RoomLog>();
  #context!: RoomContext;
  #waitingBytes = 0;
  #number = 0;
  #isReady = true;
  #isOpen = false;
  #tick: NodeJS.Timeout | undefined;
  #ticks = 0;
  readonly #auditor: Auditor;

  constructor(options: RedisOptions) {
    this.#options = options;
    this.#databases = (typeof options.url === 'string' ? [options.url] : options.url).map(databaseOf);
    this.#patienceMs = options.patienceMs ?? 10_000;
    this.#auditor = new Auditor({
      roundMs: options.auditMs ?? AUDIT_MS,
      tickMs: TICK_MS,
      audit: (room, link) => Promise.all([room.audit(link), this.cluster.audit(room.name, link)]),
    });
    this.shards = primariesOf(options).map((primary) => {
      const shard = new Shard({ primary, onChange: () => this.#changed(), onError: (error) => this.failed(error) });
      shard.listen({
        connected: (link) => this.#recover(shard, link),
        renewed: (link) => this.#recover(shard, link),
        lost: () => this.#lost(shard),
      });
      return shard;
    });
    this.cluster = new RedisCluster(this, options.lease ?? DEFAULT_LEASE);
  }

  /** The shard that has what is not of one room. */
  get home(): Shard {
    return this.shards[0] as Shard;
  }

  /** The number of the database of `home`. */
  get homeDatabase(): number {
    return this.#databases[0] ?? 0;
  }

  /** Returns the heads of rooms, attached or not. Undefined for a room that is not stored. */
  async heads(rooms: readonly string[]): Promise<readonly (Place | undefined)[]> {
    return Promise.all(
      rooms.map(async (room) => {
        const { meta } = keysOf(room, this.#databaseOf(room));
        return headOf((await this.shardOf(room).query(['HMGET', meta, 'log', 'terms', 'seq', 'first'])) as unknown[]);
      }),
    );
  }

  /** Iterates over the names of all stored rooms, some at a time. A name may occur twice. */
  async *storedRooms(): AsyncIterable<readonly string[]> {
    for (const shard of this.shards) {
      let next = '0';
      do {
        const reply = await shard.query(['SCAN', next, 'MATCH', META_PATTERN, 'COUNT', SCANNED_AT_ONCE]);
        const [cursor, keys] = reply as [unknown, unknown[]];
        next = String(cursor);
        yield keys.map((key) => roomOf(String(key)));
      } while (next !== '0');
    }
  }

  /** Returns the shard that has a room. */
  shardOf(room: string): Shard {
    return this.shards[shardOf(room, this.shards.length)] as Shard;
  }

  /**
   * Publishes to all nodes that have attached a room, this one included. Nobody receives it while
   * Redis cannot be reached.
   *
   * @param kind one character, not `r`, which are records.
   */
  publish(room: string, kind: string, payload: string): void {
    this.shardOf(room).publish(keysOf(room, this.#databaseOf(room)).channel, kind + payload);
  }

  async open(listener: EngineListener): Promise<void> {
    this.#context = this.#createContext(listener);
    try {
      await this.#warn();
      for (const shard of this.shards) await shard.start();
    } catch (error) {
      for (const shard of this.shards) shard.close();
      throw error;
    }
    this.#tick = setInterval(() => this.#onTick(), TICK_MS);
    this.#isOpen = true;
    this.#changed();
  }

  /** Warns of the servers' settings. @throws Error with one line if a server cannot be used. */
  async #warn(): Promise<void> {
    const { url, sentinel, onWarning } = this.#options;
    const findings = await inspect({ urls: typeof url === 'string' ? [url] : url, sentinel });
    for (const { kind, text } of findings) if (kind === 'warning') onWarning?.(text);
  }

  attach(name: string): NowOrLater<Position> {
    const attached = this.#rooms.get(name);
    if (attached?.isAttached) return attached.position;
    const room = new RoomLog(name, this.#context);
    this.#rooms.set(name, room);
    return new Promise((resolve, reject) => {
      this.#attaches.set(name, { room, until: performance.now() + this.#patienceMs, resolve, reject });
      const { link } = this.shardOf(name);
      if (link) void this.#follow(room, link);
    });
  }

  position(room: string): Position {
    return this.#room(room).position;
  }

  divergedEnd(room: string, epoch: string): number | undefined {
    return this.#room(room).divergedEnd(epoch);
  }

  append(name: string, drafts: readonly Draft[]): void {
    const room = this.#room(name);
    room.outbox.add(drafts, performance.now());
    if (!room.outbox.isEmpty) this.#busy.add(room);
  }

  async read(name: string, after: number, limit: number): Promise<readonly LogRecord[]> {
    const room = this.#rooms.get(name) ?? new RoomLog(name, this.#context);
    const until = performance.now() + this.#patienceMs;
    for (;;) {
      const link = room.isAttached ? room.link : this.shardOf(name).link;
      const { lives } = room;
      if (link) {
        const records = await readRecords(link, room, after, limit);
        // A log that moved meanwhile is read again, after the listener has been told.
        if (room.lives === lives && (!room.isAttached || room.link === link)) return records;
      }
      if (!this.shardOf(name).link || performance.now() >= until) throw new Error('Redis cannot be reached');
      await sleep(RECOVERY_POLL_MS);
    }
  }

  async catchUp(name: string): Promise<void> {
    const until = performance.now() + this.#patienceMs;
    for (;;) {
      const room = this.#room(name);
      const { link } = room;
      if (link) await room.audit(link);
      if (link && room.link === link) return;
      if (performance.now() >= until) throw new Error('Redis cannot be reached');
      await sleep(RECOVERY_POLL_MS);
    }
  }

  release(name: string): void {
    const room = this.#rooms.get(name);
    if (!room) return;
    this.#rooms.delete(name);
    this.#busy.delete(room);
    this.cluster.forget(name);
    room.release();
  }

  async close(): Promise<void> {
    for (const attach of this.#attaches.values()) attach.reject(new Error('the server is closing'));
    this.#attaches.clear();
    const until = performance.now() + this.#patienceMs;
    while (performance.now() < until && this.#hasDrafts()) await sleep(RECOVERY_POLL_MS);
    clearInterval(this.#tick);
    for (const room of this.#busy) room.outbox.abandon();
    for (const shard of this.shards) shard.close();
  }

  #createContext(listener: EngineListener): RoomContext {
    return {
      run: this.run,
      patienceMs: this.#patienceMs,
      listener,
      retentionOf: retentionOf(this.#options.retention),
      databaseOf: (room) => this.#databaseOf(room),
      nextNumber: () => ++this.#number,
      take: (bytes) => {
        if (this.#waitingBytes + bytes > MAX_WAITING_BYTES) return false;
        this.#waitingBytes += bytes;
        return true;
      },
      giveBack: (bytes) => {
        this.#waitingBytes -= bytes;
      },
      subscribed: (room, link) => this.cluster.follow(room, link),
      message: (room, kind, payload) => this.cluster.received(room, String.fromCharCode(kind), payload),
      failed: (error) => this.failed(error),
      broken: (room) => this.#broken.add(room),
    };
  }

  /** The URLs of sentinels name the database of their primary. */
  #databaseOf(room: string): number {
    return this.#databases[shardOf(room, this.shards.length)] ?? 0;
  }

  #room(name: string): RoomLog {
    const room = this.#rooms.get(name);
    if (!room) throw new Error(`the room ${JSON.stringify(name)} is not attached`);
    return room;
  }

  /** Makes a room live on a link. An attach that waits for it resolves. */
  async #follow(room: RoomLog, link: Link): Promise<void> {
    try {
      await room.recover(link);
    } catch (error) {
      if (this.#attaches.get(room.name)?.room === room) this.#rejectAttach(room, error as Error);
      else {
        room.failed(error as Error);
        this.#broken.add(room);
      }
      return;
    }
    const attach = this.#attaches.get(room.name);
    if (attach?.room !== room || !room.link) return;
    this.#attaches.delete(room.name);
    attach.resolve(room.position);
  }

  #rejectAttach(room: RoomLog, cause: Error): void {
    const attach = this.#attaches.get(room.name);
    this.#attaches.delete(room.name);
    this.release(room.name);
    attach?.reject(new Error(`room ${JSON.stringify(room.name)}: ${cause.message}`, { cause }));
  }

  /** Recovers all rooms of a shard, several at a time. */
  async #recover(shard: Shard, link: Link): Promise<void> {
    const rooms = [...this.#roomsOf(shard)];
    for (let i = 0; i < rooms.length && link.isOpen; i += RECOVERIES) {
      await Promise.all(rooms.slice(i, i + RECOVERIES).map((room) => this.#follow(room, link)));
    }
  }

  #lost(shard: Shard): void {
    for (const room of this.#roomsOf(shard)) room.lost();
  }

  *#roomsOf(shard: Shard): Iterable<RoomLog> {
    for (const room of this.#rooms.values()) if (this.shardOf(room.name) === shard) yield room;
  }

  #onTick(): void {
    const now = performance.now();
    for (const room of this.#busy) {
      room.outbox.tick(now);
      if (room.outbox.isEmpty) this.#busy.delete(room);
    }
    for (const { room, until } of this.#attaches.values()) {
      if (now >= until) this.#rejectAttach(room, new Error('Redis cannot be reached'));
    }
    if (++this.#ticks % TICKS_PER_RETRY === 0) this.#retryBroken();
    this.#auditor.tick(this.#rooms);
  }

  #retryBroken(): void {
    const rooms = [...this.#broken];
    this.#broken.clear();
    for (const room of rooms) {
      const { link } = this.shardOf(room.name);
      if (link && !room.link && this.#rooms.get(room.name) === room) void this.#follow(room, link);
    }
  }

  #hasDrafts(): boolean {
    for (const room of this.#busy) if (!room.outbox.isEmpty) return true;
    return false;
  }

  #changed(): void {
    const isReady = this.shards.every((shard) => shard.isReady);
    if (!this.#isOpen || isReady === this.#isReady) return;
    this.#isReady = isReady;
    this.#context.listener.changed(isReady ? 'ready' : 'away');
  }

  /** Reports an error. */
  failed(error: Error): void {
    this.#options.onError?.(error);
  }
}

/** @param fields log, terms, seq and first, which are null where the room is not stored. */
function headOf(fields: readonly unknown[]): Place | undefined {
  if (fields[0] === null) return undefined;
  const state = logStateOf(fields);
  return { epoch: epochOf(state), seq: state.seq };
}
