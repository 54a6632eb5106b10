import { type JudgedBatch, judgeBatch, reportBatch } from '../../src/engine/judged-batch.ts';
import type { Draft, EngineListener, LocalEngine, Position } from '../../src/hub/engine.ts';
import type { LogRecord } from '../../src/hub/log.ts';
import { Truth } from './truth.ts';
import type { Random, VirtualTime } from './virtual.ts';

interface StoredRoom {
  readonly epoch: string;
  /** Those that are retained, with their changes. */
  readonly records: LogRecord[];
  head: number;
}

/** The rooms' logs, which survive the server. */
export class Disk {
  readonly rooms = new Map<string, StoredRoom>();
  /** Every record ever written, by epoch, trimmed ones included. */
  readonly written = new Map<string, LogRecord[]>();
  readonly #truths = new Map<string, Truth>();
  /** Records that are retained for each room. */
  readonly retention: number;
  #epochs = 0;

  constructor(retention: number) {
    this.retention = retention;
  }

  room(name: string): StoredRoom {
    const existing = this.rooms.get(name);
    if (existing) return existing;
    const room = { epoch: `${name}/${++this.#epochs}`, records: [], head: 0 };
    this.rooms.set(name, room);
    const written: LogRecord[] = [];
    this.written.set(room.epoch, written);
    this.#truths.set(room.epoch, new Truth(written));
    return room;
  }

  /** Returns the log of an epoch as it was written. */
  truth(epoch: string): Truth {
    return this.#truths.get(epoch) as Truth;
  }

  write(name: string, drafts: readonly Draft[], at: number): JudgedBatch {
    const room = this.room(name);
    const first = this.first(name);
    const batch = judgeBatch(drafts, room.head, at, { find: (seq) => room.records[seq - first] });
    this.written.get(room.epoch)?.push(...batch.records);
    room.records.push(...batch.records);
    room.head += batch.records.length;
    for (const record of batch.folded.values()) room.records[record.seq - first] = record;
    room.records.splice(0, Math.max(0, room.records.length - this.retention));
    return batch;
  }

  /** Loses the log of a room, which returns with another epoch. */
  lose(name: string): void {
    this.rooms.delete(name);
  }

  first(name: string): number {
    const { head, records } = this.room(name);
    return head - records.length + 1;
  }
}

interface Job {
  readonly room: string;
  readonly drafts: readonly Draft[];
}

/** An engine on a slow disk, which fails some writes and may be killed at any moment. */
export class DiskEngine implements LocalEngine {
  /** Probability that a write fails. */
  failureRate = 0.05;
  readonly #disk: Disk;
  readonly #time: VirtualTime;
  readonly #random: Random;
  readonly #slow: boolean;
  #jobs: Job[] = [];
  #listener: EngineListener | undefined;
  #scheduled = false;

  constructor(disk: Disk, time: VirtualTime, random: Random, slow: boolean) {
    this.#disk = disk;
    this.#time = time;
    this.#random = random;
    this.#slow = slow;
  }

  open(listener: EngineListener): void {
    this.#listener = listener;
  }

  attach(name: string): Position {
    return this.position(name);
  }

  position(name: string): Position {
    const { epoch, head } = this.#disk.room(name);
    return { epoch, seq: head, first: this.#disk.first(name) };
  }

  append(room: string, drafts: readonly Draft[]): void {
    this.#jobs.push({ room, drafts });
    if (this.#slow) this.#schedule();
    else this.#work(this.#jobs.length);
  }

  read(name: string, after: number, limit: number): readonly LogRecord[] {
    return this.#disk
      .room(name)
      .records.filter(({ seq }) => seq > after)
      .slice(0, limit);
  }

  release(): void {}

  close(): void {}

  /** Kills the server: some of the pending drafts reach the disk, and none is acknowledged. */
  kill(): void {
    this.#listener = undefined;
    for (let left = this.#random.int(0, this.#jobs.length); left > 0; left--) {
      const { room, drafts } = this.#jobs.shift() as Job;
      this.#disk.write(room, drafts, this.#time.date());
    }
    this.#jobs = [];
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    const work = () => {
      this.#scheduled = false;
      if (this.#listener) this.#work(this.#random.int(1, this.#jobs.length));
    };
    if (this.#random.chance(0.3)) this.#time.soon(work);
    else this.#time.after(this.#random.int(1, 50), work);
  }

  #work(jobs: number): void {
    for (let left = jobs; left > 0; left--) {
      const { room, drafts } = this.#jobs.shift() as Job;
      const listener = this.#listener;
      if (!listener) return;
      const fails = this.#random.chance(this.failureRate);
      if (fails) listener.decided({ room, outcomes: drafts.map(() => ({ kind: 'failed' })) });
      else reportBatch(listener, room, this.#disk.write(room, drafts, this.#time.date()));
    }
    if (this.#jobs.length > 0) this.#schedule();
  }
}
