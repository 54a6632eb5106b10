import { randomUUID } from 'node:crypto';
import { statfsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Database, open, type RootDatabase } from 'lmdb';
import type { Draft, Engine, EngineListener, LogRecord, Position } from '../hub/ports.ts';
import { Journal } from './journal.ts';

/** How much of each room is kept: what is older, and what is more than so many bytes, goes. The newest record always stays. */
export interface Retention {
  readonly ms: number;
  readonly bytes: number;
}

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

// Records are dropped in runs, when this part of what is kept is over.
const SLACK = 1 / 8;
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

/** `[room's id, seq]`. */
type Key = [number, number];

/** at, from, sender, id, data, json, bytes, and the bytes of all records of the room up to and including this one. */
type Stored = [number, string, string, string, string, boolean, number, number];

interface StoredRoom {
  readonly id: number;
  readonly epoch: string;
}

/** A room that is in use. */
interface RoomLog extends StoredRoom {
  /** Whether the store has its name. */
  named: boolean;
  first: number;
  head: number;
  /** The last record that the store has; what follows it waits. */
  stored: number;
  waiting: LogRecord[];
  /** Bytes of all records up to and including `stored`, and before `first`. */
  end: number;
  start: number;
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
  #root!: RootDatabase;
  #names!: Database<StoredRoom, string>;
  #log!: Database<Stored, Key>;
  #listener!: EngineListener;
  #nextId = 1;
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
    // Batches are made here; those that LMDB makes of what is put in one turn fail without a way to catch it.
    this.#root = open({ path: `${this.#path}/data.mdb`, noSubdir: true, maxDbs: 2, eventTurnBatching: false });
    this.#names = this.#root.openDB<StoredRoom, string>({ name: 'rooms' });
    this.#log = this.#root.openDB<Stored, Key>({ name: 'log' });
    for (const { value } of this.#names.getRange()) this.#nextId = Math.max(this.#nextId, value.id + 1);
    this.#recover();
    this.#sweep = setInterval(() => this.#trimIdle(), SWEEP_MS).unref();
  }

  position(room: string): Position {
    const { epoch, head, first } = this.#room(room);
    return { epoch, seq: head, first };
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
      this.#journal.write(lineOf(room, log.epoch, at, records));
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
    const { id, first, head, stored, waiting } = this.#room(room);
    const start = Math.max(after + 1, first);
    const last = Math.min(head, start + limit - 1);
    if (start > last) return [];
    const range = this.#log.getRange({ start: [id, start], end: [id, Math.min(last, stored) + 1] });
    const records = start > stored ? [] : Array.from(range, ({ key, value }) => recordOf(key[1], value));
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
    await Promise.race([this.#root.close(), this.#everFailed ? sleep(CLOSING_MS) : NEVER]);
  }

  #room(name: string): RoomLog {
    const known = this.#rooms.get(name);
    if (known) return known;
    const stored = this.#names.get(name);
    const log = stored ? this.#load(stored) : this.#fresh(randomUUID());
    this.#rooms.set(name, log);
    return log;
  }

  #fresh(epoch: string): RoomLog {
    return { ...NOTHING_STORED, id: this.#nextId++, epoch, named: false, head: 0, waiting: [] };
  }

  #load({ id, epoch }: StoredRoom): RoomLog {
    const [oldest] = this.#log.getRange({ start: [id, 0], end: [id + 1, 0], limit: 1 });
    const [newest] = this.#log.getRange({ start: [id + 1, 0], end: [id, 0], reverse: true, limit: 1 });
    const found = oldest && newest ? bounds(oldest, newest) : NOTHING_STORED;
    const log = { id, epoch, named: true, head: found.stored, waiting: [], ...found };
    if (oldest && oldest.value[0] < this.#date() - this.#retention.ms) this.#trim(log);
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
      if (!this.#names.get(name) && !this.#rooms.has(name)) this.#rooms.set(name, this.#fresh(epoch));
      const log = this.#room(name);
      for (const [seq, from, sender, id, data, json, bytes] of said) {
        if (log.epoch !== epoch || seq !== log.head + 1) continue; // the store has it, or lost what was before
        log.head = seq;
        this.#wait(name, log, [{ seq, at, from, sender, id, data, json, bytes }]);
      }
    }
    this.#journal.open();
    const old = this.#journal.rotate();
    const parts = this.#takeWaiting();
    if (parts.length > 0) this.#root.transactionSync(() => this.#put(parts));
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
        await this.#root.batch(() => this.#put(parts));
        for (const part of parts) this.#stored(part);
        // After a batch that failed LMDB may wait for a flush that never comes.
        await Promise.race([this.#root.flushed, this.#everFailed ? sleep(AGAIN_MS) : NEVER]);
        this.#journal.drop(complete);
        this.#failed = false;
      } catch (error) {
        this.#failed = true;
        this.#everFailed = true;
        this.#onError(this.#inWords(await causeOf(error as CommitError)));
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
      const log = this.#room(name);
      return { name, log, records: [...log.waiting] };
    });
  }

  /** In a batch: the outcome of each put is that of the batch. */
  #put(parts: readonly Part[]): void {
    for (const { name, log, records } of parts) {
      if (!log.named) void this.#names.put(name, { id: log.id, epoch: log.epoch });
      let { end } = log;
      for (const { seq, at, from, sender, id, data, json, bytes } of records) {
        end += bytes;
        void this.#log.put([log.id, seq], [at, from, sender, id, data, json, bytes, end]);
      }
    }
  }

  #stored({ name, log, records }: Part): void {
    log.named = true;
    log.waiting.splice(0, records.length);
    if (log.waiting.length === 0) this.#waiting.delete(name);
    log.stored += records.length;
    for (const { bytes } of records) {
      log.end += bytes;
      this.#waitingBytes -= bytes;
    }
    if (log.end - log.start > this.#retention.bytes * (1 + SLACK)) this.#trim(log);
  }

  /** Drops what is too old or too much, but never the newest. */
  #trim(log: RoomLog): void {
    const before = this.#date() - this.#retention.ms;
    const range = this.#log.getRange({ start: [log.id, log.first], end: [log.id, log.stored] });
    let { first, start } = log;
    for (const { key, value } of range) {
      const [at, , , , , , , end] = value;
      if (at >= before && log.end - start <= this.#retention.bytes) break;
      this.#log.remove(key).catch(ignore); // what stays is dropped the next time
      first = key[1] + 1;
      start = end;
    }
    log.first = first;
    log.start = start;
  }

  /** Rooms that nobody uses grow old too. */
  #trimIdle(): void {
    const before = this.#date() - this.#retention.ms;
    for (const { key, value } of this.#names.getRange()) {
      const log = this.#rooms.get(key) ?? this.#load(value);
      const oldest = log.first < log.stored ? this.#log.get([log.id, log.first]) : undefined;
      if (oldest && oldest[0] < before) this.#trim(log);
    }
  }
}

/** LMDB's error for all that was in a batch; the cause comes apart. */
interface CommitError extends Error {
  readonly commitError?: Promise<never>;
}

async function causeOf(error: CommitError): Promise<Error> {
  try {
    await error.commitError;
    return error;
  } catch (cause) {
    return cause as Error;
  }
}

const ignore = () => {};

interface Part {
  readonly name: string;
  readonly log: RoomLog;
  readonly records: readonly LogRecord[];
}

const NOTHING_STORED = { first: 1, stored: 0, end: 0, start: 0 };

function bounds(oldest: { key: Key; value: Stored }, newest: { key: Key; value: Stored }) {
  const { 6: bytes, 7: oldestEnd } = oldest.value;
  return { first: oldest.key[1], stored: newest.key[1], end: newest.value[7], start: oldestEnd - bytes };
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

function recordOf(seq: number, [at, from, sender, id, data, json, bytes]: Stored): LogRecord {
  return { seq, at, from, sender, id, data, json, bytes };
}
