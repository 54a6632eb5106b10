import { type Database, open, type RootDatabase } from 'lmdb';
import type { LogRecord } from '../hub/log.ts';

/** How much of each room is kept: what is older, and what is more than so many bytes, goes. The newest record always stays. */
export interface Retention {
  readonly ms: number;
  readonly bytes: number;
}

/** What the store has of a room: the records `first`…`stored`. */
export interface Extent {
  readonly id: number;
  readonly epoch: string;
  /** Whether the store has its name. */
  named: boolean;
  first: number;
  stored: number;
  /** Bytes of all records up to and including `stored`, and before `first`. */
  end: number;
  start: number;
}

/** Records of a room that follow what the store has of it. */
export interface Part {
  readonly name: string;
  readonly extent: Extent;
  readonly records: readonly LogRecord[];
}

// Records are dropped in runs, when this part of what is kept is over.
const SLACK = 1 / 8;

/** `[room's id, seq]`. */
type Key = [number, number];

/** at, from, sender, id, data, json, bytes, and the bytes of all records of the room up to and including this one. */
type Stored = [number, string, string, string, string, boolean, number, number];

interface StoredRoom {
  readonly id: number;
  readonly epoch: string;
}

const NOTHING_STORED = { first: 1, stored: 0, end: 0, start: 0 };

/** The rooms in LMDB: their names, their records, and what of them is dropped. */
export class LmdbStore {
  readonly #root: RootDatabase;
  readonly #names: Database<StoredRoom, string>;
  readonly #log: Database<Stored, Key>;
  readonly #retention: Retention;
  readonly #date: () => number;
  #nextId = 1;

  /** @param date milliseconds since 1970. */
  constructor(path: string, retention: Retention, date: () => number) {
    // Batches are made by `put`; those that LMDB makes of what is put in one turn fail without a way to catch it.
    this.#root = open({ path: `${path}/data.mdb`, noSubdir: true, maxDbs: 2, eventTurnBatching: false });
    this.#names = this.#root.openDB<StoredRoom, string>({ name: 'rooms' });
    this.#log = this.#root.openDB<Stored, Key>({ name: 'log' });
    this.#retention = retention;
    this.#date = date;
    for (const { value } of this.#names.getRange()) this.#nextId = Math.max(this.#nextId, value.id + 1);
  }

  has(name: string): boolean {
    return this.#names.get(name) !== undefined;
  }

  /** @returns undefined for a room that it does not have. */
  find(name: string): Extent | undefined {
    const stored = this.#names.get(name);
    return stored && this.#load(stored);
  }

  /** A room that it does not have yet. */
  fresh(epoch: string): Extent {
    return { ...NOTHING_STORED, id: this.#nextId++, epoch, named: false };
  }

  /** The records `from`…`to` of a room, which it must have. */
  read({ id }: Extent, from: number, to: number): LogRecord[] {
    const range = this.#log.getRange({ start: [id, from], end: [id, to + 1] });
    return Array.from(range, ({ key, value }) => recordOf(key[1], value));
  }

  /** Stores parts in one transaction, at once; call `stored` for each. @throws when that fails. */
  putNow(parts: readonly Part[]): void {
    if (parts.length > 0) this.#root.transactionSync(() => this.#put(parts));
  }

  /** Stores parts in one transaction; call `stored` for each. Rejects with what LMDB gives as the cause when that fails. */
  async put(parts: readonly Part[]): Promise<void> {
    try {
      await this.#root.batch(() => this.#put(parts));
    } catch (error) {
      throw await causeOf(error as CommitError);
    }
  }

  /** Counts what was put to what the store has: in one step with the caller's own account of what it lacks. */
  stored({ extent, records }: Part): void {
    extent.named = true;
    extent.stored += records.length;
    for (const { bytes } of records) extent.end += bytes;
    if (extent.end - extent.start > this.#retention.bytes * (1 + SLACK)) this.#trim(extent);
  }

  /** Resolves when what was put is on the disk. */
  async flushed(): Promise<void> {
    await this.#root.flushed;
  }

  /** Rooms that nobody uses grow old too. @param inUse the extent of a room that is in use. */
  trimOld(inUse: (name: string) => Extent | undefined): void {
    const before = this.#date() - this.#retention.ms;
    for (const { key, value } of this.#names.getRange()) {
      const extent = inUse(key) ?? this.#load(value);
      const oldest = extent.first < extent.stored ? this.#log.get([extent.id, extent.first]) : undefined;
      if (oldest && oldest[0] < before) this.#trim(extent);
    }
  }

  async close(): Promise<void> {
    await this.#root.close();
  }

  #load({ id, epoch }: StoredRoom): Extent {
    const [oldest] = this.#log.getRange({ start: [id, 0], end: [id + 1, 0], limit: 1 });
    const [newest] = this.#log.getRange({ start: [id + 1, 0], end: [id, 0], reverse: true, limit: 1 });
    const extent = { id, epoch, named: true, ...(oldest && newest ? bounds(oldest, newest) : NOTHING_STORED) };
    if (oldest && oldest.value[0] < this.#date() - this.#retention.ms) this.#trim(extent);
    return extent;
  }

  /** In a batch: the outcome of each put is that of the batch. */
  #put(parts: readonly Part[]): void {
    for (const { name, extent, records } of parts) {
      if (!extent.named) void this.#names.put(name, { id: extent.id, epoch: extent.epoch });
      let { end } = extent;
      for (const { seq, at, from, sender, id, data, json, bytes } of records) {
        end += bytes;
        void this.#log.put([extent.id, seq], [at, from, sender, id, data, json, bytes, end]);
      }
    }
  }

  /** Drops what is too old or too much, but never the newest. */
  #trim(extent: Extent): void {
    const before = this.#date() - this.#retention.ms;
    const range = this.#log.getRange({ start: [extent.id, extent.first], end: [extent.id, extent.stored] });
    let { first, start } = extent;
    for (const { key, value } of range) {
      const [at, , , , , , , end] = value;
      if (at >= before && extent.end - start <= this.#retention.bytes) break;
      this.#log.remove(key).catch(ignore); // what stays is dropped the next time
      first = key[1] + 1;
      start = end;
    }
    extent.first = first;
    extent.start = start;
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

function bounds(oldest: { key: Key; value: Stored }, newest: { key: Key; value: Stored }) {
  const { 6: bytes, 7: oldestEnd } = oldest.value;
  return { first: oldest.key[1], stored: newest.key[1], end: newest.value[7], start: oldestEnd - bytes };
}

function recordOf(seq: number, [at, from, sender, id, data, json, bytes]: Stored): LogRecord {
  return { seq, at, from, sender, id, data, json, bytes };
}
