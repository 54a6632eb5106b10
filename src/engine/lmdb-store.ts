import { type Database, open, type RootDatabase } from 'lmdb';
import type { LogRecord } from '../hub/log.ts';

/** Bounds of each room's stored records. Both apply, but the newest record always stays. */
export interface Retention {
  /** Maximum age, in milliseconds. */
  readonly ms: number;
  /** Maximum size of the records' data, in bytes. */
  readonly bytes: number;
}

/** The stored records of a room, `first`…`stored`. None are stored when `first > stored`. */
export interface Extent {
  readonly id: number;
  readonly epoch: string;
  /** Whether the store has written the room's name. */
  named: boolean;
  first: number;
  stored: number;
  /** Bytes of all records ever stored, up to and including `stored`. */
  end: number;
  /** Bytes of all records ever stored before `first`. */
  start: number;
}

/** Records of one room that follow its extent. */
export interface Part {
  readonly name: string;
  readonly extent: Extent;
  readonly records: readonly LogRecord[];
}

// Records are dropped in runs, once a room exceeds its bytes by this fraction.
const SLACK = 1 / 8;

type Key = [roomId: number, seq: number];

/** A record. `end` counts the bytes of all of the room's records, up to and including this one. */
type Stored = [
  at: number,
  from: string,
  sender: string,
  id: string,
  data: string,
  json: boolean,
  bytes: number,
  end: number,
];

interface StoredRoom {
  readonly id: number;
  readonly epoch: string;
}

const EMPTY_EXTENT = { first: 1, stored: 0, end: 0, start: 0 };

/** The rooms in LMDB: their names and records, trimmed to the retention. */
export class LmdbStore {
  readonly #root: RootDatabase;
  readonly #names: Database<StoredRoom, string>;
  readonly #log: Database<Stored, Key>;
  readonly #retention: Retention;
  readonly #date: () => number;
  #nextId = 1;

  /**
   * @param path the data directory.
   * @param date returns milliseconds since 1970.
   */
  constructor(path: string, retention: Retention, date: () => number) {
    // `put` makes its own batches: errors of the batches that lmdb forms by itself cannot be
    // caught.
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

  /** Returns a room's extent; undefined for a room that is not stored. */
  find(name: string): Extent | undefined {
    const stored = this.#names.get(name);
    return stored && this.#load(stored);
  }

  /** Returns an empty extent with a new id, for a room that is not stored. `put` writes it. */
  create(epoch: string): Extent {
    return { ...EMPTY_EXTENT, id: this.#nextId++, epoch, named: false };
  }

  /** Returns the records `from`…`to`, which must be stored. */
  read({ id }: Extent, from: number, to: number): LogRecord[] {
    const range = this.#log.getRange({ start: [id, from], end: [id, to + 1] });
    return Array.from(range, ({ key, value }) => recordOf(key[1], value));
  }

  /**
   * Stores parts in one synchronous transaction. The caller then calls `stored` for each part.
   *
   * @throws LMDB's error; then nothing is stored.
   */
  putNow(parts: readonly Part[]): void {
    if (parts.length > 0) this.#root.transactionSync(() => this.#put(parts));
  }

  /**
   * Stores parts in one transaction. The caller then calls `stored` for each part. Rejects with
   * LMDB's error; then nothing is stored.
   */
  async put(parts: readonly Part[]): Promise<void> {
    try {
      await this.#root.batch(() => this.#put(parts));
    } catch (error) {
      throw await causeOf(error as CommitError);
    }
  }

  /**
   * Adds a part that was put to its extent. The caller removes the same records from those waiting
   * in the same step, so that a read never misses a record or sees it twice.
   */
  stored({ extent, records }: Part): void {
    extent.named = true;
    extent.stored += records.length;
    for (const { bytes } of records) extent.end += bytes;
    if (extent.end - extent.start > this.#retention.bytes * (1 + SLACK)) this.#trim(extent);
  }

  /** Resolves when all transactions so far are flushed to the disk. */
  async flushed(): Promise<void> {
    await this.#root.flushed;
  }

  /**
   * Drops records past their age in all rooms, including those not in use.
   *
   * @param inUse returns the extent of a room in use, to be updated.
   */
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
    const extent = { id, epoch, named: true, ...(oldest && newest ? bounds(oldest, newest) : EMPTY_EXTENT) };
    if (oldest && oldest.value[0] < this.#date() - this.#retention.ms) this.#trim(extent);
    return extent;
  }

  /** Runs inside a transaction, which decides the outcome of every put. */
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

  /** Drops records past their age or the room's bytes, but never the newest. */
  #trim(extent: Extent): void {
    const before = this.#date() - this.#retention.ms;
    const range = this.#log.getRange({ start: [extent.id, extent.first], end: [extent.id, extent.stored] });
    let { first, start } = extent;
    for (const { key, value } of range) {
      const [at, , , , , , , end] = value;
      if (at >= before && extent.end - start <= this.#retention.bytes) break;
      this.#log.remove(key).catch(ignore); // the next trim removes what stays
      first = key[1] + 1;
      start = end;
    }
    extent.first = first;
    extent.start = start;
  }
}

/** LMDB's error for a failed batch. Its cause is what `commitError` rejects with. */
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
