import { randomUUID } from 'node:crypto';
import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import * as v from 'valibot';
import { USER_BYTES } from '../protocol/v1.ts';
import { hashPassword } from './passwords.ts';

const schema = v.object({ users: v.record(v.string(), v.string()) });

/** An unusable users file, or an unknown or invalid user. The message is one line for people. */
export class UsersError extends Error {}

/** The users file: names and password hashes. It is read again whenever it has changed. */
export class Users {
  readonly #path: string;
  #read: { readonly stamp: string; readonly hashes: ReadonlyMap<string, string> } | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /**
   * Returns the hash of a user's password, or undefined for an unknown user.
   *
   * @throws UsersError when the file cannot be read.
   */
  hashOf(name: string): string | undefined {
    return this.#hashes().get(name);
  }

  /** Returns the names, sorted. @throws UsersError when the file cannot be read. */
  names(): string[] {
    return [...this.#hashes().keys()].toSorted();
  }

  /**
   * Adds a user or changes the password. Creates the file if it does not exist.
   *
   * @returns whether the user is new.
   * @throws UsersError for an invalid name, an empty password, or a file that cannot be read.
   */
  async set(name: string, password: string): Promise<boolean> {
    if (name === '' || Buffer.byteLength(name) > USER_BYTES) {
      throw new UsersError(`a user name must have 1 to ${USER_BYTES} bytes`);
    }
    if (password === '') throw new UsersError('the password is empty');
    const hashes = new Map(this.#exists() ? this.#hashes() : []);
    const isNew = !hashes.has(name);
    this.#write(hashes.set(name, await hashPassword(password)));
    return isNew;
  }

  /** Removes a user. @throws UsersError for an unknown user, or when the file cannot be read. */
  remove(name: string): void {
    const hashes = new Map(this.#hashes());
    if (!hashes.delete(name)) throw new UsersError(`there is no user ${JSON.stringify(name)} in ${this.#path}`);
    this.#write(hashes);
  }

  #exists(): boolean {
    return statSync(this.#path, { throwIfNoEntry: false }) !== undefined;
  }

  #hashes(): ReadonlyMap<string, string> {
    try {
      const { mtimeMs, size, ino } = statSync(this.#path);
      const stamp = `${mtimeMs} ${size} ${ino}`;
      if (this.#read?.stamp === stamp) return this.#read.hashes;
      const { users } = v.parse(schema, JSON.parse(readFileSync(this.#path, 'utf8')));
      this.#read = { stamp, hashes: new Map(Object.entries(users)) };
      return this.#read.hashes;
    } catch (error) {
      const why = (error as NodeJS.ErrnoException).code ?? 'not a users file';
      throw new UsersError(`the users file ${this.#path} cannot be read (${why})`);
    }
  }

  /** Replaces the file atomically, so that a server never reads half of it. */
  #write(hashes: ReadonlyMap<string, string>): void {
    const next = `${this.#path}.${randomUUID()}`;
    writeFileSync(next, `${JSON.stringify({ users: Object.fromEntries(hashes) }, null, 2)}\n`, { mode: 0o600 });
    renameSync(next, this.#path);
  }
}
