import { randomUUID } from 'node:crypto';
import { statfsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Draft, Engine, EngineListener, Position } from '../hub/engine.ts';
import type { LogRecord } from '../hub/log.ts';
import { Journal } from './journal.ts';
import { type Extent, LmdbStore, type Part, type Retention } from './lmdb-store.ts';

export interface LmdbOptions {
  /** The directory of the store. No other process may use it (`DataDir`). */
  readonly path: string;
  readonly retention?: Retention;
  /** Milliseconds since 1970. */
  readonly date?: () => number;
  /** Is told why a batch could not be stored. */
  readonly onError?: (error: Error) => void;
}

const WEEK = 7 * 24 * 60 * 60 * 1000;
const defaultRetention: Retention = { ms: WEEK, bytes: 64 * 1024 * 1024 };

const SWEEP_MS = 60_000;

// Less than this is not enough for a batch.
const FULL = 1024 * 1024;

// What was written ahead is stored this much later, so that one flush of the disk does for many messages.
const STORE_EVERY_MS = 20;
const AGAIN_MS = 1_000;

// More than this must not wait for a store that takes nothing.
const MOST_WAITING_BYTES = 16 * 1024 * 1024;

const CLOSING_MS = 1_000;
const NEVER = new Promise<never>(() => {});

/** A room that is in use. */
interface RoomLog {
  readonly extent: Extent;
  head: number;
  /** What follows the records that the store has. */
  readonly waiting: LogRecord[];
}

/** A line of the journal: a room, its epoch, when, and what was said. */
type Entry = [string, string, number, [number, string, string, string, string, boolean, number][]];

/**
 * The engine that keeps rooms on disk. What is said is written to a journal, and then told of: so what anyone was shown survives
 * the end of the process. LMDB takes it over a little later, over all rooms at once, and flushes it to the disk.
 */
export function lmdb({ path, retention = defaultRetention, date = Date.now, onError = () => {} }: LmdbOptions): Engine {
  return new LmdbEngine(path, retention, date, onError);
}

class LmdbEngine implements Engine {
  readonly #path: string;
  readonly #retention: Retention;
  readonly #date: () => number;
  readonly #onError: (error: Error) => void;
  readonly #rooms = new Map<string, RoomLog>();
  readonly #journal: Journal;
  /** Rooms with records that the store does not have yet, and how many bytes that is. */
  readonly #waiting = new Set<string>();
  #waitingBytes = 0;
  #store!: LmdbStore;
  #listener!: EngineListener;
  #storing: Promise<void> | undefined;
  #closing = false;
  #sweep: NodeJS.Timeout | undefined;
  #failed = false;
  #everFailed = false;

  constructor(path: string, retention: Retention, date: () => number, onError: (error: Error) => void) {
    this.#path = path;
    this.#journal = new Journal(path);
    this.#retention = retention;
    this.#date = date;
    this.#onError = onError;
  }

  open(listener: EngineListener): void {
    this.#listener = listener;
    this.#store = new LmdbStore(this.#path, this.#retention, this.#date);
    this.#recover();
    const sweep = () => this.#store.trimOld((name) => this.#rooms.get(name)?.extent);
    this.#sweep = setInterval(sweep, SWEEP_MS).unref();
  }

  position(room: string): Position {
    const { extent, head } = this.#room(room);
    return { epoch: extent.epoch, seq: head, first: extent.first };
  }

  append(room: string, drafts: readonly Draft[]): void {
    const log = this.#room(room);
    const at = this.#date();
    let seq = log.head;
    const records = drafts.map(({ from, sender = '', id, data, json = false, bytes }): LogRecord => {
      return { seq: ++seq, at, from, sender, id, data, json, bytes };
    });
    try {
      if (this.#waitingBytes > MOST_WAITING_BYTES) throw new Error('the store takes nothing');
      this.#journal.write(lineOf(room, log.extent.epoch, at, records));
    } catch (error) {
      this.#onError(this.#inWords(error as Error));
      this.#listener.failed(room, drafts.length);
      return;
    }
    log.head = seq;
    this.#wait(room, log, records);
    this.#storing ??= this.#storeAll();
    this.#listener.committed({ room, records });
  }

  read(room: string, after: number, limit: number): readonly LogRecord[] {
    const { extent, head, waiting } = this.#room(room);
    const { first, stored } = extent;
    const start = Math.max(after + 1, first);
    const last = Math.min(head, start + limit - 1);
    if (start > last) return [];
    const records = start > stored ? [] : this.#store.read(extent, start, Math.min(last, stored));
    return last > stored ? [...records, ...waiting.slice(Math.max(0, start - stored - 1), last - stored)] : records;
  }

  release(room: string): void {
    const log = this.#rooms.get(room);
    if (log && log.waiting.length === 0) this.#rooms.delete(room);
  }

  async close(): Promise<void> {
    clearInterval(this.#sweep);
    this.#closing = true;
    while (this.#storing) await this.#storing;
    this.#journal.close();
    await Promise.race([this.#store.close(), this.#everFailed ? sleep(CLOSING_MS) : NEVER]);
  }

  #room(name: string): RoomLog {
    return this.#rooms.get(name) ?? this.#use(name, this.#store.find(name) ?? this.#store.fresh(randomUUID()));
  }

  #use(name: string, extent: Extent): RoomLog {
    const log: RoomLog = { extent, head: extent.stored, waiting: [] };
    this.#rooms.set(name, log);
    return log;
  }

  #wait(name: string, log: RoomLog, records: readonly LogRecord[]): void {
    this.#waiting.add(name);
    for (const record of records) {
      log.waiting.push(record);
      this.#waitingBytes += record.bytes;
    }
  }

  /** Takes over what an earlier life wrote ahead and did not store. @throws when that cannot be stored. */
  #recover(): void {
    for (const [name, epoch, at, said] of this.#journal.read(entryOf)) {
      const known = this.#rooms.has(name) || this.#store.has(name);
      const log = known ? this.#room(name) : this.#use(name, this.#store.fresh(epoch));
      for (const [seq, from, sender, id, data, json, bytes] of said) {
        if (log.extent.epoch !== epoch || seq !== log.head + 1) continue; // the store has it, or lost what was before
        log.head = seq;
        this.#wait(name, log, [{ seq, at, from, sender, id, data, json, bytes }]);
      }
    }
    this.#journal.open();
    const old = this.#journal.rotate();
    const parts = this.#takeWaiting();
    this.#store.putNow(parts);
    for (const part of parts) this.#stored(part);
    this.#journal.drop(old);
    this.#rooms.clear();
  }

  /** Stores what waits, batch after batch, until nothing does. */
  async #storeAll(): Promise<void> {
    while (this.#waiting.size > 0) {
      if (!this.#closing) await sleep(this.#failed ? AGAIN_MS : STORE_EVERY_MS);
      try {
        const complete = this.#journal.rotate();
        const parts = this.#takeWaiting();
        await this.#store.put(parts);
        for (const part of parts) this.#stored(part);
        // After a batch that failed LMDB may wait for a flush that never comes.
        await Promise.race([this.#store.flushed(), this.#everFailed ? sleep(AGAIN_MS) : NEVER]);
        this.#journal.drop(complete);
        this.#failed = false;
      } catch (error) {
        this.#failed = true;
        this.#everFailed = true;
        this.#onError(this.#inWords(error as Error));
        if (this.#closing) break; // the journal has it
      }
    }
    this.#storing = undefined;
  }

  /** LMDB tells of a full disk in more than one way. */
  #inWords(cause: Error): Error {
    try {
      const { bavail, bsize } = statfsSync(this.#path);
      return bavail * bsize < FULL ? new Error(`the disk of ${this.#path} is full`, { cause }) : cause;
    } catch {
      return new Error(`the data directory ${this.#path} has gone`, { cause });
    }
  }

  /** What waits now, and stays there until it is stored. */
  #takeWaiting(): Part[] {
    return [...this.#waiting].map((name) => {
      const { extent, waiting } = this.#room(name);
      return { name, extent, records: [...waiting] };
    });
  }

  #stored(part: Part): void {
    const { name, records } = part;
    const { waiting } = this.#room(name);
    this.#store.stored(part);
    waiting.splice(0, records.length);
    if (waiting.length === 0) this.#waiting.delete(name);
    for (const { bytes } of records) this.#waitingBytes -= bytes;
  }
}

function lineOf(room: string, epoch: string, at: number, records: readonly LogRecord[]): string {
  const said = records.map(({ seq, from, sender, id, data, json, bytes }) => [
    seq,
    from,
    sender,
    id,
    data,
    json,
    bytes,
  ]);
  return JSON.stringify([room, epoch, at, said]);
}

function entryOf(line: string): Entry | undefined {
  try {
    const entry: unknown = JSON.parse(line);
    return Array.isArray(entry) && entry.length === 4 ? (entry as Entry) : undefined;
  } catch {
    return undefined;
  }
}
