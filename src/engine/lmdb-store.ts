import { type Database, open, type RootDatabase } from 'lmdb';
import type { Extra, LogRecord } from '../hub/log.ts';
import { erase } from './eraser.ts';
import type { Retention, RetentionOf } from './retention.ts';
import type { Term } from './terms.ts';

/** The stored records of a room, `first`…`stored`. None are stored when `first > stored`. */
export interface Extent {
  readonly id: number;
  readonly epoch: string;
  readonly retention: Retention;
  /** The terms of a log that was restored from a backup; undefined for its first one. */
  readonly terms?: readonly Term[] | undefined;
  /** Whether the store has written the room's name. */
  named: boolean;
  first: number;
  stored: number;
  /** Bytes of all records ever stored, up to and including `stored`. */
  end: number;
  /** Bytes of all records ever stored before `first`. */
  start: number;
}

/** A record with its JSON text, which the journal and the store share. */
export interface EncodedRecord {
  readonly record: LogRecord;
  readonly text: string;
}

/** Records of one room that follow its extent. */
export interface Part {
  readonly name: string;
  readonly extent: Extent;
  readonly records: readonly EncodedRecord[];
  /** Stored records that changes were folded into. */
  readonly folded: readonly EncodedRecord[];
  /** Beginnings of stored records whose data is gone: the file is to be searched for it. */
  readonly erased: readonly string[];
}

// Records are dropped in runs, once a room exceeds its bytes by this fraction. No block of records
// is larger, or spans more time.
const SLACK = 1 / 8;

// Bytes of a block's data: one put stores hundreds of short records.
const BLOCK_BYTES = 64 * 1024;

/**
 * Key of a block: consecutive records of one room, one text a line. The last seq comes first, so
 * that a search for a seq finds its block. `start` and `end` count the bytes of all of the room's
 * records: those before the block, and those up to its last.
 */
export type Key = [roomId: number, last: number, first: number, at: number, start: number, end: number];

type Range = [roomId: number, seq: number];

export type Fields = [
  seq: number,
  at: number,
  from: string,
  sender: string,
  id: string,
  data: string,
  json: boolean,
  bytes: number,
  extra?: Extra,
];

/** Encodes a record as one line. */
export function encodeRecord(record: LogRecord): EncodedRecord {
  const { seq, at, from, sender, id, data, json, bytes, extra } = record;
  const fields: Fields = [seq, at, from, sender, id, data, json, bytes];
  if (extra !== undefined) fields.push(extra);
  return { record, text: JSON.stringify(fields) };
}

/** Returns the record with these fields. */
export function recordOf([seq, at, from, sender, id, data, json, bytes, extra]: Fields): LogRecord {
  const record = { seq, at, from, sender, id, data, json, bytes };
  return extra === undefined ? record : { ...record, extra };
}

/** The entry of a room's name. */
export interface StoredRoom {
  readonly id: number;
  readonly epoch: string;
  readonly terms?: readonly Term[];
}

// The keys of what is to be erased have this in the place of a room.
const NO_ROOM = 0;

const EMPTY_EXTENT = { first: 1, stored: 0, end: 0, start: 0 };

/** The rooms in LMDB: their names and records, trimmed to the retention. */
export class LmdbStore {
  readonly #file: string;
  readonly #root: RootDatabase;
  /** What the file is to be searched for, by its key. */
  readonly #toErase = new Map<number, string>();
  #lastErased = 0;
  readonly #names: Database<StoredRoom, string>;
  readonly #log: Database<string, Key | Range>;
  readonly #retention: RetentionOf;
  readonly #date: () => number;
  #nextId = 1;

  /**
   * @param path the data directory.
   * @param retention returns the bounds of a room.
   * @param date returns milliseconds since 1970.
   */
  constructor(path: string, retention: RetentionOf, date: () => number) {
    // `put` makes its own batches: errors of the batches that lmdb forms by itself cannot be
    // caught.
    // Memory that is not initialized could have parts of deleted texts.
    const options = { noSubdir: true, maxDbs: 2, eventTurnBatching: false, noMemInit: false } as const;
    this.#file = `${path}/data.mdb`;
    this.#root = open({ path: this.#file, ...options });
    this.#names = this.#root.openDB<StoredRoom, string>({ name: 'rooms' });
    this.#log = this.#root.openDB<string, Key | Range>({ name: 'log', encoding: 'string' });
    this.#retention = retention;
    this.#date = date;
    for (const { value } of this.#names.getRange()) this.#nextId = Math.max(this.#nextId, value.id + 1);
    for (const { key, value } of this.#log.getRange({ start: [NO_ROOM, 0], end: [NO_ROOM + 1, 0] })) {
      this.#lastErased = key[1];
      this.#toErase.set(key[1], value);
    }
  }

  /** Whether the file has texts that are to be overwritten. */
  get mustErase(): boolean {
    return this.#toErase.size > 0;
  }

  /** Overwrites the texts of deleted records in the file. Rejects with the file system's error. */
  async erase(): Promise<void> {
    const erased = [...this.#toErase];
    await erase(
      this.#file,
      erased.map(([, beginning]) => beginning),
      (work) => this.#root.transactionSync(work),
    );
    await this.#root.batch(() => {
      for (const [number] of erased) void this.#log.remove([NO_ROOM, number]);
    });
    for (const [number] of erased) this.#toErase.delete(number);
  }

  has(name: string): boolean {
    return this.#names.get(name) !== undefined;
  }

  /** Iterates over the names of the rooms. */
  rooms(): Iterable<string> {
    return this.#names.getKeys();
  }

  /** Returns a room's extent; undefined for a room that is not stored. */
  find(name: string): Extent | undefined {
    const stored = this.#names.get(name);
    return stored && this.#load(name, stored);
  }

  /** Returns an empty extent with a new id, for a room that is not stored. `put` writes it. */
  create(name: string, epoch: string): Extent {
    return { ...EMPTY_EXTENT, id: this.#nextId++, epoch, retention: this.#retention(name), named: false };
  }

  /** Returns the records `from`…`to`, which must be stored. */
  read({ id }: Extent, from: number, to: number): LogRecord[] {
    const records: LogRecord[] = [];
    for (const { key, value } of this.#log.getRange({ start: [id, from], end: [id + 1, 0] })) {
      const [, last, first] = key as Key;
      if (first > to) break;
      const texts = value.split('\n').slice(Math.max(0, from - first), Math.min(last, to) - first + 1);
      for (const text of texts) records.push(recordOf(JSON.parse(text)));
    }
    return records;
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
  stored({ extent, records, erased }: Part): void {
    for (const beginning of erased) this.#toErase.set(++this.#lastErased, beginning);
    extent.named = true;
    extent.stored += records.length;
    for (const { record } of records) extent.end += record.bytes;
    if (extent.end - extent.start > extent.retention.bytes * (1 + SLACK)) this.#trim(extent);
  }

  /** Resolves when all transactions so far are flushed to the disk. */
  async flushed(): Promise<void> {
    await this.#root.flushed;
  }

  /**
   * Drops records past their age in all rooms, including those not in use. Frees what a process
   * that was killed while it read the store, such as a backup, kept from being reused.
   *
   * @param inUse returns the extent of a room in use, to be updated.
   */
  trimOld(inUse: (name: string) => Extent | undefined): void {
    this.#root.readerCheck();
    for (const { key, value } of this.#names.getRange()) {
      const extent = inUse(key) ?? this.#load(key, value);
      const oldest = extent.first < extent.stored ? this.#blocks(extent.id, extent.first).next().value : undefined;
      if (oldest && this.#isOld(oldest, extent)) this.#trim(extent);
    }
  }

  async close(): Promise<void> {
    await this.#root.close();
  }

  #load(name: string, { id, epoch, terms }: StoredRoom): Extent {
    const oldest = this.#blocks(id, 0).next().value;
    const [newest] = this.#log.getKeys({ start: [id + 1, 0], end: [id, 0], reverse: true, limit: 1 }) as Iterable<Key>;
    const retention = this.#retention(name);
    const range = oldest && newest ? bounds(oldest, newest) : EMPTY_EXTENT;
    const extent = { id, epoch, terms, retention, named: true, ...range };
    if (oldest && this.#isOld(oldest, extent)) this.#trim(extent);
    return extent;
  }

  /** Whether the newest record of a block is past its age. */
  #isOld([, , , at]: Key, { retention }: Extent): boolean {
    return at < this.#date() - retention.ms;
  }

  /** Returns the keys of a room's blocks, from that with `seq` on. */
  #blocks(id: number, seq: number): Iterator<Key, undefined> {
    return this.#log.getKeys({ start: [id, seq], end: [id + 1, 0] })[Symbol.iterator]() as Iterator<Key, undefined>;
  }

  /** Runs inside a transaction, which decides the outcome of every put. */
  #put(parts: readonly Part[]): void {
    let number = this.#lastErased;
    for (const { name, extent, records, folded, erased } of parts) {
      for (const beginning of erased) void this.#log.put([NO_ROOM, ++number], beginning);
      if (folded.length > 0) this.#rewrite(extent, folded);
      if (!extent.named) void this.#names.put(name, { id: extent.id, epoch: extent.epoch });
      let { end } = extent;
      for (let from = 0; from < records.length; ) {
        const to = endOfBlock(records, from, extent.retention);
        const block = records.slice(from, to);
        const start = end;
        for (const { record } of block) end += record.bytes;
        const { seq: first } = (block[0] as EncodedRecord).record;
        const { seq: last, at } = (block.at(-1) as EncodedRecord).record;
        void this.#log.put([extent.id, last, first, at, start, end], block.map(({ text }) => text).join('\n'));
        from = to;
      }
    }
  }

  /**
   * Puts records in the places of stored ones. Each block is first filled with spaces: a page from
   * which LMDB removes an entry keeps some of its bytes.
   */
  #rewrite({ id, first }: Extent, folded: readonly EncodedRecord[]): void {
    const sorted = folded.filter(({ record }) => record.seq >= first).sort((a, b) => a.record.seq - b.record.seq);
    for (let i = 0; i < sorted.length; ) {
      const { seq } = (sorted[i] as EncodedRecord).record;
      const [block] = this.#log.getRange({ start: [id, seq], end: [id + 1, 0], limit: 1 });
      if (block === undefined) return;
      const { key, value } = block as { key: Key; value: string };
      const [, last, start] = key;
      const lines = value.split('\n');
      for (; i < sorted.length; i++) {
        const { record, text } = sorted[i] as EncodedRecord;
        if (record.seq > last) break;
        lines[record.seq - start] = text;
      }
      void this.#log.put(key, ' '.repeat(Buffer.byteLength(value)));
      void this.#log.put(key, lines.join('\n'));
    }
  }

  /** Drops blocks past their age or the room's bytes. Of the newest, the newest record stays. */
  #trim(extent: Extent): void {
    const blocks = this.#blocks(extent.id, extent.first);
    for (let next = blocks.next(); !next.done; next = blocks.next()) {
      const [, last, , , start, end] = next.value;
      if (!this.#isOld(next.value, extent) && extent.end - start <= extent.retention.bytes) break;
      extent.first = last === extent.stored ? last : last + 1;
      if (last === extent.stored) break;
      this.#log.remove(next.value).catch(ignore); // the next trim removes what stays
      extent.start = end;
    }
    blocks.return?.();
  }
}

/** Returns the index after the block that starts at `from`. */
function endOfBlock(records: readonly EncodedRecord[], from: number, retention: Retention): number {
  const maxBytes = Math.min(BLOCK_BYTES, retention.bytes * SLACK);
  const until = (records[from] as EncodedRecord).record.at + retention.ms * SLACK;
  let to = from;
  let bytes = 0;
  for (; to < records.length; to++) {
    const { record } = records[to] as EncodedRecord;
    bytes += record.bytes;
    if (to > from && (bytes > maxBytes || record.at > until)) break;
  }
  return to;
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

function bounds([, , first, , start]: Key, [, stored, , , , end]: Key) {
  return { first, stored, end, start };
}
