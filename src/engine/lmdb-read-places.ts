import { type Database, open, type RootDatabase } from 'lmdb';
import { READ_PLACE_MS, type ReadPlaces } from '../hub/cluster.ts';
import type { Place } from '../protocol/v1.ts';
import { faultOf } from './lmdb-file.ts';

type Key = [user: string, room: string];
type Value = [epoch: string, seq: number, movedAt: number];

interface PendingPlace extends Place {
  readonly key: Key;
}

/** Name of the file in a data directory. */
const FILE = 'read-places.mdb';

const FLUSH_MS = 1_000;

// A failing disk keeps places waiting. Past so many, the oldest is lost.
const MAX_PENDING = 100_000;

const SWEEP_MS = 24 * 60 * 60_000;
const SWEEP_STEP = 1_000;

export interface LmdbReadPlacesOptions {
  /** The data directory. */
  readonly path: string;
  /** Called with each error of the disk. What could not be written is tried again. */
  readonly onError: (error: Error) => void;
  /** Returns the time in milliseconds since 1970. @default Date.now */
  readonly date?: () => number;
}

/**
 * The places up to which users have read the rooms, in a database beside the log's. They are
 * written together once a second: a crash loses the last ones, and what they had marked as read is
 * unread again.
 */
export class LmdbReadPlaces implements ReadPlaces {
  readonly #root: RootDatabase;
  readonly #places: Database<Value, Key>;
  readonly #onError: (error: Error) => void;
  readonly #date: () => number;
  /** By user and room, oldest first. */
  readonly #pending = new Map<string, PendingPlace>();
  #timer: NodeJS.Timeout | undefined;
  #sweeper: NodeJS.Timeout | undefined;
  #isClosed = false;

  /** @throws Error with one line if the file is damaged. */
  constructor({ path, onError, date = Date.now }: LmdbReadPlacesOptions) {
    const file = `${path}/${FILE}`;
    const fault = faultOf(file);
    if (fault) throw new Error(`${file} ${fault}`);
    this.#root = open({ path: file, noSubdir: true, maxDbs: 1, eventTurnBatching: false });
    this.#places = this.#root.openDB<Value, Key>({ name: 'places' });
    this.#onError = onError;
    this.#date = date;
    this.#sweepLater(0);
  }

  find(user: string, room: string): Place | undefined {
    const pending = this.#pending.get(keyText(user, room));
    if (pending) return { epoch: pending.epoch, seq: pending.seq };
    const stored = this.#places.get([user, room]);
    return stored && { epoch: stored[0], seq: stored[1] };
  }

  move(user: string, room: string, { epoch, seq }: Place): void {
    const current = this.find(user, room);
    if (current?.epoch === epoch && current.seq >= seq) return;
    const key = keyText(user, room);
    this.#pending.delete(key);
    this.#pending.set(key, { key: [user, room], epoch, seq });
    for (const [oldest] of this.#pending) {
      if (this.#pending.size <= MAX_PENDING) break;
      this.#pending.delete(oldest);
    }
    this.#timer ??= setTimeout(() => this.#flush(), FLUSH_MS);
  }

  /** Writes what waits. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#sweeper);
    this.#flush();
    await this.#root.close();
  }

  #flush(): void {
    this.#timer = undefined;
    const now = this.#date();
    try {
      this.#root.transactionSync(() => {
        for (const { key, epoch, seq } of this.#pending.values()) this.#places.putSync(key, [epoch, seq, now]);
      });
      this.#pending.clear();
    } catch (error) {
      this.#onError(error as Error);
      if (!this.#isClosed) this.#timer = setTimeout(() => this.#flush(), FLUSH_MS);
    }
  }

  #sweepLater(ms: number, after?: Key): void {
    this.#sweeper = setTimeout(() => this.#sweep(after), ms).unref();
  }

  /** Drops places that have not moved for long, some at a time. */
  #sweep(after: Key | undefined): void {
    const oldest = this.#date() - READ_PLACE_MS;
    const expired: Key[] = [];
    let last: Key | undefined;
    let visited = 0;
    const start = after === undefined ? {} : { start: after, exclusiveStart: true };
    for (const { key, value } of this.#places.getRange({ ...start, limit: SWEEP_STEP })) {
      last = key;
      visited++;
      if (value[2] < oldest) expired.push(key);
    }
    try {
      if (expired.length > 0) {
        this.#root.transactionSync(() => {
          for (const key of expired) this.#places.removeSync(key);
        });
      }
    } catch (error) {
      this.#onError(error as Error);
    }
    const isDone = visited < SWEEP_STEP || last === undefined;
    this.#sweepLater(isDone ? SWEEP_MS : 10, isDone ? undefined : last);
  }
}

function keyText(user: string, room: string): string {
  return JSON.stringify([user, room]);
}
