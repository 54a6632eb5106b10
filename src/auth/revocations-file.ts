import { randomUUID } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import * as v from 'valibot';
import { REVOCATIONS, type RevocationStore } from '../hub/cluster.ts';

const schema = v.object({ revoked: v.record(v.string(), v.pipe(v.number(), v.minValue(0))) });

type Times = ReadonlyMap<string, number>;

const NONE: Times = new Map();

/**
 * The file of revocations: the time of each user, in milliseconds since 1970. It is read again
 * whenever it has changed. A missing file has none.
 */
export class RevocationsFile implements RevocationStore {
  readonly #path: string;
  readonly #date: () => number;
  #read: { readonly stamp: string; readonly times: Times } | undefined;

  /** @param date returns the time in milliseconds since 1970. */
  constructor(path: string, date: () => number = Date.now) {
    this.#path = path;
    this.#date = date;
  }

  /** @throws Error with one line when the file cannot be read. */
  check(): void {
    this.#times();
  }

  async find(users: readonly string[]): Promise<readonly number[]> {
    const times = this.#times();
    return users.map((user) => times.get(user) ?? 0);
  }

  async revoke(user: string, before: number): Promise<boolean> {
    const oldest = this.#date() - REVOCATIONS.ms;
    const times = new Map([...this.#times()].filter(([, time]) => time > oldest));
    if (!times.has(user) && times.size >= REVOCATIONS.users) return false;
    this.#write(times.set(user, Math.max(before, times.get(user) ?? 0)));
    return true;
  }

  #times(): Times {
    try {
      const stats = statSync(this.#path, { throwIfNoEntry: false });
      if (stats === undefined) return NONE;
      const stamp = `${stats.mtimeMs} ${stats.size} ${stats.ino}`;
      if (this.#read?.stamp === stamp) return this.#read.times;
      const { revoked } = v.parse(schema, JSON.parse(readFileSync(this.#path, 'utf8')));
      this.#read = { stamp, times: new Map(Object.entries(revoked)) };
      return this.#read.times;
    } catch (error) {
      const why = (error as NodeJS.ErrnoException).code ?? 'not a file of revocations';
      throw new Error(`the file of revocations ${this.#path} cannot be read (${why})`, { cause: error });
    }
  }

  /** Replaces the file atomically. It is on the disk when it returns. */
  #write(times: Times): void {
    const next = `${this.#path}.${randomUUID()}`;
    try {
      const file = openSync(next, 'wx', 0o600);
      try {
        writeFileSync(file, `${JSON.stringify({ revoked: Object.fromEntries(times) }, null, 2)}\n`);
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      renameSync(next, this.#path);
    } catch (error) {
      rmSync(next, { force: true });
      throw error;
    }
  }
}
