import { withChanges } from './changes.ts';
import type { LateReads } from './late-reads.ts';
import type { LogRecord, Records } from './log.ts';
import type { Room } from './room.ts';
import type { Subscriber } from './subscriber.ts';
import type { Scheduler } from './time.ts';

// Records read at once from the engine.
const COLD_READ = 1024;

// Results that wait for their readers: each has at most as many records as one read. The newest one
// is kept, however large.
const KEPT_RESULTS = 64;
const KEPT_BYTES = 16 * 1024 * 1024;

// The delay before a read that failed is tried again.
const RETRY_MS = 1_000;

/** A read that an engine answers later. Members at the same cursor share it. */
interface ColdRead {
  readonly readers: Set<Subscriber>;
  /** Undefined until the engine has answered. */
  records: Records | undefined;
  /** Bytes of the records' data. */
  bytes: number;
}

/** The records of members that are further behind than the log in memory. */
export class ColdReads {
  readonly #lateReads: LateReads;
  readonly #scheduler: Scheduler;
  readonly #onRead: (readers: Iterable<Subscriber>) => void;
  readonly #reads = new Map<Room, Map<number, ColdRead>>();
  #size = 0;
  #bytes = 0;

  /** @param onRead receives the subscribers whose records can be had now. */
  constructor(lateReads: LateReads, scheduler: Scheduler, onRead: (readers: Iterable<Subscriber>) => void) {
    this.#lateReads = lateReads;
    this.#scheduler = scheduler;
    this.#onRead = onRead;
  }

  /**
   * Returns the records after `seq`, which must be in the room's reach: all in memory, or the first
   * of those that are not. Undefined where the engine answers later: `onRead` gets the reader then.
   */
  recordsAfter(room: Room, seq: number, reader: Subscriber): Records | undefined {
    if (room.log.reaches(seq)) return room.log;
    const reads = this.#reads.get(room);
    if (reads) {
      for (const [from, read] of reads) {
        if (read.records && from <= seq && seq < read.records.head) return read.records;
      }
    }
    const pending = reads?.get(seq);
    if (pending) {
      pending.readers.add(reader);
      return undefined;
    }
    const records = room.read(seq, COLD_READ);
    if (records instanceof Promise) this.#await(room, seq, reader, records);
    else if (records[0]?.seq === seq + 1) return recordsOf(seq, records);
    else this.#resume(room, seq, [reader]);
    return undefined;
  }

  /** The room's log has changed, or the room is released: what was read of it is void. */
  forget(room: Room): void {
    for (const [seq, read] of this.#reads.get(room) ?? []) this.#delete(room, seq, read);
  }

  /** Records from `changed` on have changed. What is still being read gets the changes later. */
  forgetChanged(room: Room, changed: number): void {
    for (const [seq, read] of this.#reads.get(room) ?? []) {
      if (read.records && read.records.head >= changed) this.#delete(room, seq, read);
    }
  }

  #await(room: Room, seq: number, reader: Subscriber, reading: Promise<readonly LogRecord[]>): void {
    const read: ColdRead = { readers: new Set([reader]), records: undefined, bytes: 0 };
    this.#add(room, seq, read);
    const changes = room.collectChanges();
    const resume = () => this.#onRead(read.readers);
    const retry = () => {
      room.endCollection(changes);
      this.#delete(room, seq, read);
      this.#scheduler.after(RETRY_MS, resume);
    };
    const finish = (found: readonly LogRecord[]) => {
      room.endCollection(changes);
      const records = withChanges(found, changes);
      if (this.#reads.get(room)?.get(seq) !== read) {
        resume(); // the records are void: see `forget`
        return;
      }
      if (records[0]?.seq === seq + 1) this.#keep(read, seq, records);
      else this.#delete(room, seq, read);
      if (read.records) resume();
      else this.#resume(room, seq, read.readers);
    };
    this.#lateReads.add(reading, finish, retry);
  }

  /** An engine that lacks the next record has moved the position: the readers skip the gap. */
  #resume(room: Room, seq: number, readers: Iterable<Subscriber>): void {
    if (room.reaches(seq)) this.#scheduler.after(RETRY_MS, () => this.#onRead(readers));
    else this.#onRead(readers);
  }

  #keep(read: ColdRead, seq: number, records: readonly LogRecord[]): void {
    const bytes = records.reduce((sum, record) => sum + record.bytes, 0);
    while (this.#bytes > 0 && this.#bytes + bytes > KEPT_BYTES) this.#dropOldestResult();
    read.records = recordsOf(seq, records);
    read.bytes = bytes;
    this.#bytes += bytes;
  }

  #add(room: Room, seq: number, read: ColdRead): void {
    if (this.#size >= KEPT_RESULTS) this.#dropOldestResult();
    const reads = this.#reads.get(room);
    if (reads) reads.set(seq, read);
    else this.#reads.set(room, new Map([[seq, read]]));
    this.#size++;
  }

  #dropOldestResult(): void {
    for (const [room, reads] of this.#reads) {
      for (const [seq, read] of reads) {
        if (read.records === undefined) continue;
        this.#delete(room, seq, read);
        return;
      }
    }
  }

  #delete(room: Room, seq: number, read: ColdRead): void {
    const reads = this.#reads.get(room);
    if (reads?.get(seq) !== read) return;
    reads.delete(seq);
    this.#size--;
    this.#bytes -= read.bytes;
    if (reads.size === 0) this.#reads.delete(room);
  }
}

function recordsOf(seq: number, records: readonly LogRecord[]): Records {
  return { head: seq + records.length, at: (at) => records[at - seq - 1] as LogRecord };
}
