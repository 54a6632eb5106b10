import { randomUUID } from 'node:crypto';
import { statfsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Database, open, type RootDatabase } from 'lmdb';
import type { Draft, Engine, EngineListener, LogRecord, Position } from '../hub/ports.ts';

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

/** A room that is in use. `head` and `end` are those of what is committed. */
interface RoomLog extends StoredRoom {
  stored: boolean;
  first: number;
  head: number;
  /** Bytes of all records up to and including `head`, and before `first`. */
  end: number;
  start: number;
  /** What was appended and is not being written yet. */
  waiting: (readonly Draft[])[];
}

/**
 * The engine that keeps rooms on disk. Commits come in groups: while one batch is written the next one gathers, over all
 * rooms. A record is told of once its batch is committed, so what anyone was shown survives the end of the process.
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
  readonly #waiting = new Set<string>();
  #root!: RootDatabase;
  #names!: Database<StoredRoom, string>;
  #log!: Database<Stored, Key>;
  #listener!: EngineListener;
  #nextId = 1;
  #writing: Promise<void> | undefined;
  #sweep: NodeJS.Timeout | undefined;
  #failed = false;

  constructor(path: string, retention: Retention, date: () => number, onError: (error: Error) => void) {
    this.#path = path;
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
    this.#sweep = setInterval(() => this.#trimIdle(), SWEEP_MS).unref();
  }

  position(room: string): Position {
    const { epoch, head, first } = this.#room(room);
    return { epoch, seq: head, first };
  }

  append(room: string, drafts: readonly Draft[]): void {
    this.#room(room).waiting.push(drafts);
    this.#waiting.add(room);
    this.#writing ??= this.#writeAll();
  }

  read(room: string, after: number, limit: number): readonly LogRecord[] {
    const { id, first, head } = this.#room(room);
    const start = Math.max(after + 1, first);
    if (start > head || limit <= 0) return [];
    const range = this.#log.getRange({ start: [id, start], end: [id, Math.min(head, start + limit - 1) + 1] });
    return Array.from(range, ({ key, value }) => recordOf(key[1], value));
  }

  release(room: string): void {
    const log = this.#rooms.get(room);
    if (log && log.waiting.length === 0) this.#rooms.delete(room);
  }

  async close(): Promise<void> {
    clearInterval(this.#sweep);
    while (this.#writing) await this.#writing;
    // After a batch that failed LMDB may wait for a flush that never comes.
    await Promise.race([this.#root.flushed, this.#failed ? sleep(CLOSING_MS) : NEVER]);
    await Promise.race([this.#root.close(), this.#failed ? sleep(CLOSING_MS) : NEVER]);
  }

  #room(name: string): RoomLog {
    const known = this.#rooms.get(name);
    if (known) return known;
    const stored = this.#names.get(name);
    const log = stored ? this.#load(stored) : this.#fresh();
    this.#rooms.set(name, log);
    return log;
  }

  #fresh(): RoomLog {
    return { id: this.#nextId++, epoch: randomUUID(), stored: false, first: 1, head: 0, end: 0, start: 0, waiting: [] };
  }

  #load({ id, epoch }: StoredRoom): RoomLog {
    const [oldest] = this.#log.getRange({ start: [id, 0], end: [id + 1, 0], limit: 1 });
    const [newest] = this.#log.getRange({ start: [id + 1, 0], end: [id, 0], reverse: true, limit: 1 });
    const found = oldest && newest ? bounds(oldest, newest) : { first: 1, head: 0, end: 0, start: 0 };
    const log = { id, epoch, stored: true, waiting: [], ...found };
    if (oldest && oldest.value[0] < this.#date() - this.#retention.ms) this.#trim(log);
    return log;
  }

  /** Writes what waits, batch after batch, until nothing does. */
  async #writeAll(): Promise<void> {
    await undefined; // what is appended in this turn of the Hub belongs to one batch
    while (this.#waiting.size > 0) {
      const batch = [...this.#waiting].map((name) => this.#gather(name));
      this.#waiting.clear();
      try {
        await this.#root.batch(() => {
          for (const part of batch) this.#put(part);
        });
      } catch (error) {
        this.#failed = true;
        this.#onError(this.#inWords(await causeOf(error as CommitError)));
        for (const { name, drafts } of batch) this.#listener.failed(name, drafts.length);
        continue;
      }
      for (const part of batch) this.#committed(part);
    }
    this.#writing = undefined;
  }

  /** LMDB tells of a full disk in more than one way. */
  #inWords(cause: Error): Error {
    const { bavail, bsize } = statfsSync(this.#path);
    return bavail * bsize < FULL ? new Error(`the disk of ${this.#path} is full`, { cause }) : cause;
  }

  /** Gives what waits for a room its place, after what is committed: no batch is under way now. */
  #gather(name: string): Batch {
    const log = this.#room(name);
    const drafts = log.waiting.flat();
    log.waiting = [];
    const at = this.#date();
    let { head, end } = log;
    const records = drafts.map(({ from, sender = '', id, data, json = false, bytes }): LogRecord => {
      end += bytes;
      return { seq: ++head, at, from, sender, id, data, json, bytes };
    });
    return { name, log, drafts, records, end };
  }

  /** In a batch: the outcome of each put is that of the batch. */
  #put({ name, log, records }: Batch): void {
    if (!log.stored) void this.#names.put(name, { id: log.id, epoch: log.epoch });
    let { end } = log;
    for (const { seq, at, from, sender, id, data, json, bytes } of records) {
      end += bytes;
      void this.#log.put([log.id, seq], [at, from, sender, id, data, json, bytes, end]);
    }
  }

  #committed({ name, log, records, end }: Batch): void {
    log.stored = true;
    log.head += records.length;
    log.end = end;
    this.#listener.committed({ room: name, records });
    if (log.end - log.start > this.#retention.bytes * (1 + SLACK)) this.#trim(log);
  }

  /** Drops what is too old or too much, but never the newest. */
  #trim(log: RoomLog): void {
    const before = this.#date() - this.#retention.ms;
    const range = this.#log.getRange({ start: [log.id, log.first], end: [log.id, log.head] });
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
      const oldest = log.first < log.head ? this.#log.get([log.id, log.first]) : undefined;
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

interface Batch {
  readonly name: string;
  readonly log: RoomLog;
  readonly drafts: readonly Draft[];
  readonly records: readonly LogRecord[];
  readonly end: number;
}

function bounds(oldest: { key: Key; value: Stored }, newest: { key: Key; value: Stored }) {
  const { 6: bytes, 7: oldestEnd } = oldest.value;
  return { first: oldest.key[1], head: newest.key[1], end: newest.value[7], start: oldestEnd - bytes };
}

function recordOf(seq: number, [at, from, sender, id, data, json, bytes]: Stored): LogRecord {
  return { seq, at, from, sender, id, data, json, bytes };
}
