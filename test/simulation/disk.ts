import type { Draft, Engine, EngineListener, Position } from '../../src/hub/engine.ts';
import type { LogRecord } from '../../src/hub/log.ts';
import type { Random, VirtualTime } from './virtual.ts';

interface StoredRoom {
  readonly epoch: string;
  readonly records: LogRecord[];
  head: number;
}

/** What survives the end of a server: the rooms' logs. */
export class Disk {
  readonly rooms = new Map<string, StoredRoom>();
  /** Everything that was ever written, by epoch and seq; also what is trimmed by now. */
  readonly written = new Map<string, LogRecord>();
  /** Records of a room. */
  readonly retention: number;
  #epochs = 0;

  constructor(retention: number) {
    this.retention = retention;
  }

  room(name: string): StoredRoom {
    const known = this.rooms.get(name);
    if (known) return known;
    const room = { epoch: `${name}/${++this.#epochs}`, records: [], head: 0 };
    this.rooms.set(name, room);
    return room;
  }

  write(name: string, drafts: readonly Draft[], at: number): LogRecord[] {
    const room = this.room(name);
    const records = drafts.map(({ from, sender = '', id, data, json = false, bytes }) => {
      const record = { seq: ++room.head, at, from, sender, id, data, json, bytes };
      this.written.set(`${room.epoch} ${record.seq}`, record);
      return record;
    });
    room.records.push(...records);
    room.records.splice(0, Math.max(0, room.records.length - this.retention));
    return records;
  }

  /** The log of a room is lost: its next life has another epoch. */
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

/** An engine on a disk that takes its time, now and then fails, and may be killed at any moment. */
export class DiskEngine implements Engine {
  /** How often a write fails. */
  failing = 0.05;
  readonly #disk: Disk;
  readonly #time: VirtualTime;
  readonly #random: Random;
  readonly #slow: boolean;
  #jobs: Job[] = [];
  #listener: EngineListener | undefined;
  #waits = false;

  constructor(disk: Disk, time: VirtualTime, random: Random, slow: boolean) {
    this.#disk = disk;
    this.#time = time;
    this.#random = random;
    this.#slow = slow;
  }

  open(listener: EngineListener): void {
    this.#listener = listener;
  }

  position(name: string): Position {
    const { epoch, head } = this.#disk.room(name);
    return { epoch, seq: head, first: this.#disk.first(name) };
  }

  append(room: string, drafts: readonly Draft[]): void {
    this.#jobs.push({ room, drafts });
    if (this.#slow) this.#later();
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

  /** The server is killed: of what it was writing a part is on the disk, though nobody was told. */
  kill(): void {
    this.#listener = undefined;
    for (let left = this.#random.int(0, this.#jobs.length); left > 0; left--) {
      const { room, drafts } = this.#jobs.shift() as Job;
      this.#disk.write(room, drafts, this.#time.date());
    }
    this.#jobs = [];
  }

  #later(): void {
    if (this.#waits) return;
    this.#waits = true;
    const work = () => {
      this.#waits = false;
      if (this.#listener) this.#work(this.#random.int(1, this.#jobs.length));
    };
    if (this.#random.chance(0.3)) this.#time.soon(work);
    else this.#time.after(this.#random.int(1, 50), work);
  }

  #work(jobs: number): void {
    for (let left = jobs; left > 0; left--) {
      const { room, drafts } = this.#jobs.shift() as Job;
      if (this.#random.chance(this.failing)) this.#listener?.failed(room, drafts.length);
      else this.#listener?.committed({ room, records: this.#disk.write(room, drafts, this.#time.date()) });
    }
    if (this.#jobs.length > 0) this.#later();
  }
}
