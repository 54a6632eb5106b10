import { randomUUID } from 'node:crypto';
import { statfsSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { foldInto, hasLostText } from '../hub/changes.ts';
import type { Draft, EngineListener, EngineUsage, LocalEngine, Position } from '../hub/engine.ts';
import type { LogRecord } from '../hub/log.ts';
import type { Place } from '../protocol/v1.ts';
import { beginningOf } from './eraser.ts';
import { Journal } from './journal.ts';
import { entryOf } from './journal-entry.ts';
import { judgeBatch, reportBatch } from './judged-batch.ts';
import { type EncodedRecord, type Extent, encodeRecord, LmdbStore, type Part, recordOf } from './lmdb-store.ts';
import { type Retention, type RetentionOf, retentionOf } from './retention.ts';
import { divergedEnd, earlierEpochs, firstLife, type Life } from './terms.ts';

export interface LmdbOptions {
  /** The data directory. No other process may use it: `DataDir` locks it. */
  readonly path: string;
  /**
   * Bounds of each room's stored records, or a function that returns those of a room. It is called
   * when the room is opened, and must return the same bounds each time.
   *
   * @default 7 days and 64 MiB
   */
  readonly retention?: Retention | RetentionOf;
  /**
   * Returns the time of a commit, in milliseconds since 1970.
   *
   * @default Date.now
   */
  readonly date?: () => number;
  /**
   * Receives the error of each failed journal write or LMDB transaction. A failing disk may cause
   * many a second.
   *
   * @default ignores errors
   */
  readonly onError?: (error: Error) => void;
}

const SWEEP_MS = 60_000;

// With less free space than this, a failed write is reported as a full disk.
const FULL_DISK_BYTES = 1024 * 1024;

const MiB = 1024 * 1024;

// Records wait for their transaction until they are this old or this many bytes. The journal has
// them already, so one transaction and one flush of the disk serve many messages.
const STORE_AFTER_MS = 1_000;
const STORE_BYTES = MiB;

const RETRY_MS = 1_000;

// Between two searches of the file for deleted texts at least so many times as the first one took.
const ERASE_SHARE = 10;

// Appends fail while more than this waits for LMDB, which bounds memory and journal.
const MAX_WAITING_BYTES = 16 * MiB;

const FAILED = { kind: 'failed' } as const;
const CLOSE_TIMEOUT_MS = 1_000;
const NEVER = new Promise<never>(() => {});

/** A room in use. */
interface RoomLog {
  readonly extent: Extent;
  /** The epochs from before restores of backups; undefined without any. */
  readonly earlier: readonly Place[] | undefined;
  /** Start of the room's lines in the journal. */
  readonly line: string;
  /** `seq` of the newest record; 0 before the first. */
  head: number;
  /** The records after the extent, up to `head`. */
  readonly waiting: EncodedRecord[];
  /** How many of them are being stored. */
  storing: number;
  /** Records that are stored, or are being stored, as changes since then have left them. */
  readonly folded: Map<number, EncodedRecord>;
}

/**
 * Creates an engine that keeps rooms on disk. `append` writes a line to a journal and then commits,
 * so a committed record survives the end of the process. Within a second, records of all rooms move
 * to LMDB in one transaction and are flushed to the disk.
 */
export function lmdb({ path, retention, date = Date.now, onError = () => {} }: LmdbOptions): LocalEngine {
  return new LmdbEngine(path, retentionOf(retention), date, onError);
}

export class LmdbEngine implements LocalEngine {
  /** The data directory. */
  readonly path: string;
  readonly #retention: RetentionOf;
  readonly #date: () => number;
  readonly #onError: (error: Error) => void;
  readonly #rooms = new Map<string, RoomLog>();
  readonly #journal: Journal;
  /** Rooms with records that are not in LMDB yet. */
  readonly #waiting = new Set<string>();
  /** Length of those records' texts. */
  #waitingBytes = 0;
  #store!: LmdbStore;
  #listener!: EngineListener;
  /** Pending while records move to LMDB. */
  #storing: Promise<void> | undefined;
  /** Ends the delay before the next transaction. */
  #storeNow: (() => void) | undefined;
  #closing = false;
  #sweep: NodeJS.Timeout | undefined;
  /** When deleted texts may be searched for again, as in `performance.now()`. */
  #eraseAt = 0;
  /** The last transaction failed: the next one is a retry. */
  #retrying = false;
  /**
   * A transaction has failed at some time: from then on LMDB's flush and close may never resolve.
   */
  #everFailed = false;

  constructor(path: string, retention: RetentionOf, date: () => number, onError: (error: Error) => void) {
    this.path = path;
    this.#journal = new Journal(path);
    this.#retention = retention;
    this.#date = date;
    this.#onError = onError;
  }

  open(listener: EngineListener): void {
    this.#listener = listener;
    this.#store = new LmdbStore(this.path, this.#retention, this.#date);
    this.#recover();
    const sweep = () => this.#store.trimOld((name) => this.#rooms.get(name)?.extent);
    this.#sweep = setInterval(sweep, SWEEP_MS).unref();
  }

  attach(room: string): Position {
    return this.position(room);
  }

  position(room: string): Position {
    const { extent, head, earlier } = this.#room(room);
    const position = { epoch: extent.epoch, seq: head, first: extent.first };
    return earlier === undefined ? position : { ...position, earlier };
  }

  divergedEnd(room: string, epoch: string): number | undefined {
    const { extent, head } = this.#room(room);
    return divergedEnd(lifeOf(extent, head), epoch);
  }

  append(room: string, drafts: readonly Draft[]): void {
    const log = this.#room(room);
    const batch = judgeBatch(drafts, log.head, this.#date(), { find: (seq) => this.#find(log, seq) });
    const encoded = batch.records.map(encodeRecord);
    try {
      if (this.#waitingBytes > MAX_WAITING_BYTES) throw new Error('too many records wait for LMDB');
      if (encoded.length > 0) this.#journal.write(lineOf(log, encoded));
    } catch (error) {
      this.#onError(this.#describe(error as Error));
      this.#listener.decided({ room, outcomes: drafts.map(() => FAILED) });
      return;
    }
    log.head += encoded.length;
    if (encoded.length > 0) this.#enqueue(room, log, encoded);
    for (const record of batch.folded.values()) this.#replace(log, record);
    if (encoded.length > 0) this.#storing ??= this.#storeAll();
    if (this.#waitingBytes > STORE_BYTES && !this.#retrying) this.#storeNow?.();
    reportBatch(this.#listener, room, batch);
  }

  read(room: string, after: number, limit: number): readonly LogRecord[] {
    const log = this.#room(room);
    const { first } = log.extent;
    const start = Math.max(after + 1, first);
    return this.#read(log, start, Math.min(log.head, start + limit - 1));
  }

  /** @param start the first of the records, which is retained. */
  #read({ extent, waiting, folded }: RoomLog, start: number, last: number): readonly LogRecord[] {
    const { stored } = extent;
    if (start > last) return [];
    const records = start > stored ? [] : this.#store.read(extent, start, Math.min(last, stored));
    for (const { record } of waiting.slice(Math.max(0, start - stored - 1), Math.max(0, last - stored))) {
      records.push(record);
    }
    return folded.size === 0 ? records : records.map((record) => folded.get(record.seq)?.record ?? record);
  }

  #find(log: RoomLog, seq: number): LogRecord | undefined {
    return seq < log.extent.first || seq > log.head ? undefined : this.#read(log, seq, seq)[0];
  }

  /** Puts a record in the place of another, which may be stored. */
  #replace(log: RoomLog, record: LogRecord): void {
    const { extent, waiting, storing, folded } = log;
    const encoded = encodeRecord(record);
    const index = record.seq - extent.stored - 1;
    if (index < storing) {
      folded.set(record.seq, encoded);
      return;
    }
    this.#waitingBytes += encoded.text.length - (waiting[index] as EncodedRecord).text.length;
    waiting[index] = encoded;
  }

  /** Iterates over the names of the stored rooms. */
  rooms(): Iterable<string> {
    return this.#store.rooms();
  }

  release(room: string): void {
    const log = this.#rooms.get(room);
    if (log && log.waiting.length === 0 && log.folded.size === 0) this.#rooms.delete(room);
  }

  usage(): EngineUsage {
    const waiting = this.#waitingBytes / MAX_WAITING_BYTES;
    return { journalBytes: this.#journal.size(), storeBytes: storeBytes(this.path), waiting };
  }

  async close(): Promise<void> {
    clearInterval(this.#sweep);
    this.#closing = true;
    this.#storeNow?.();
    while (this.#storing) await this.#storing;
    this.#journal.close();
    await Promise.race([this.#store.close(), this.#everFailed ? sleep(CLOSE_TIMEOUT_MS) : NEVER]);
  }

  #room(name: string): RoomLog {
    return this.#rooms.get(name) ?? this.#use(name, this.#store.find(name) ?? this.#store.create(name, randomUUID()));
  }

  #use(name: string, extent: Extent): RoomLog {
    const line = JSON.stringify([name, extent.epoch]).slice(0, -1);
    const earlier = extent.terms && earlierEpochs(lifeOf(extent, extent.stored));
    const log: RoomLog = { extent, earlier, line, head: extent.stored, waiting: [], storing: 0, folded: new Map() };
    this.#rooms.set(name, log);
    return log;
  }

  #enqueue(name: string, log: RoomLog, records: readonly EncodedRecord[]): void {
    this.#waiting.add(name);
    for (const encoded of records) {
      log.waiting.push(encoded);
      this.#waitingBytes += encoded.text.length;
    }
  }

  /** Moves the journal entries of earlier processes to LMDB. @throws LMDB's error. */
  #recover(): void {
    for (const [name, epoch, ...records] of this.#journal.read(entryOf)) {
      const exists = this.#rooms.has(name) || this.#store.has(name);
      const log = exists ? this.#room(name) : this.#use(name, this.#store.create(name, epoch));
      for (const fields of records) {
        const record = recordOf(fields);
        if (log.extent.epoch !== epoch || record.seq !== log.head + 1) continue; // already stored, or after lost records
        log.head = record.seq;
        this.#enqueue(name, log, [encodeRecord(record)]);
        foldInto({ find: (seq) => this.#find(log, seq), replace: (folded) => this.#replace(log, folded) }, record);
      }
    }
    this.#journal.open();
    // The process before may have been killed while it wrote them.
    const parts = this.#waitingParts(true);
    this.#store.putNow(parts);
    for (const part of parts) this.#stored(part);
    this.#journal.forget();
    this.#rooms.clear();
    if (this.#store.mustErase) this.#storing = this.#storeAll();
  }

  /** Moves the waiting records to LMDB, one transaction after another, until none wait. */
  async #storeAll(): Promise<void> {
    while (this.#waiting.size > 0 || this.#store.mustErase) {
      await this.#delay(this.#retrying ? RETRY_MS : STORE_AFTER_MS);
      try {
        const complete = this.#journal.rotate();
        const parts = this.#waitingParts();
        await this.#store.put(parts);
        for (const part of parts) this.#stored(part);
        // After a failed transaction, LMDB may wait for a flush that never comes.
        await Promise.race([this.#store.flushed(), this.#everFailed ? sleep(RETRY_MS) : NEVER]);
        this.#journal.drop(complete);
        if (this.#store.mustErase) await this.#erase();
        this.#retrying = false;
      } catch (error) {
        this.#retrying = true;
        this.#everFailed = true;
        for (const name of this.#waiting) this.#notStored(this.#room(name));
        this.#onError(this.#describe(error as Error));
        if (this.#closing) break; // the next start reads the journal
      }
    }
    this.#storing = undefined;
  }

  /**
   * Overwrites deleted texts in the file. The whole file is read, so this waits until some times as
   * long has passed since the last time.
   */
  async #erase(): Promise<void> {
    const started = performance.now();
    if (started < this.#eraseAt && !this.#closing) return;
    await this.#store.erase();
    this.#eraseAt = performance.now() + ERASE_SHARE * (performance.now() - started);
  }

  /** Waits for `ms`, for `#storeNow` or for the close. */
  async #delay(ms: number): Promise<void> {
    if (this.#closing || (this.#waitingBytes > STORE_BYTES && !this.#retrying)) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#storeNow = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#storeNow = undefined;
  }

  /** Names a full disk or a missing directory: LMDB reports them by several different errors. */
  #describe(cause: Error): Error {
    try {
      const { bavail, bsize } = statfsSync(this.path);
      return bavail * bsize < FULL_DISK_BYTES ? new Error(`the disk of ${this.path} is full`, { cause }) : cause;
    } catch {
      return new Error(`the data directory ${this.path} is missing`, { cause });
    }
  }

  /**
   * Returns a copy of the waiting records. They keep waiting, readable, until `#stored`.
   *
   * @param wereWritten whether a transaction that did not end may have left their texts in the
   * file.
   */
  #waitingParts(wereWritten = this.#everFailed): Part[] {
    return [...this.#waiting].map((name) => {
      const log = this.#room(name);
      log.storing = log.waiting.length;
      const folded = [...log.folded.values()];
      const written = wereWritten ? [...folded, ...log.waiting] : folded;
      const erased = written.filter(({ record }) => hasLostText(record)).map(({ record }) => beginningOf(record));
      return { name, extent: log.extent, records: [...log.waiting], folded, erased };
    });
  }

  /** The transaction has failed: what was changed meanwhile is stored as it is now. */
  #notStored(log: RoomLog): void {
    log.storing = 0;
    for (const { record } of log.folded.values()) {
      if (record.seq <= log.extent.stored) continue;
      log.folded.delete(record.seq);
      this.#replace(log, record);
    }
  }

  /** Moves a part from the waiting records to the extent, without yielding in between. */
  #stored(part: Part): void {
    const { name, records } = part;
    const log = this.#room(name);
    const { waiting, folded } = log;
    this.#store.stored(part);
    waiting.splice(0, records.length);
    log.storing = 0;
    for (const encoded of part.folded) {
      const { seq } = encoded.record;
      if (folded.get(seq) === encoded) folded.delete(seq);
    }
    if (waiting.length === 0 && folded.size === 0) this.#waiting.delete(name);
    for (const { text } of records) this.#waitingBytes -= text.length;
  }
}

function lifeOf({ epoch, terms }: Extent, head: number): Life {
  const life = firstLife(epoch, head);
  return terms ? { ...life, terms } : life;
}

function lineOf(log: RoomLog, records: readonly EncodedRecord[]): string {
  let { line } = log;
  for (const { text } of records) line += `,${text}`;
  return `${line}]`;
}

/** Returns the size of the store; 0 where the directory is missing. */
function storeBytes(path: string): number {
  return statSync(`${path}/data.mdb`, { throwIfNoEntry: false })?.size ?? 0;
}
