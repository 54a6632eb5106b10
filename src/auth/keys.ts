import { createHash, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import * as v from 'valibot';
import { isReservedRoom } from '../protocol/reserved-rooms.ts';
import { matchesRoom } from '../protocol/room-pattern.ts';
import { ROOM_BYTES, USER_BYTES } from '../protocol/v1.ts';

/** What a key allows: to publish, to read rooms and members, to manage members and users. */
export const scopes = ['publish', 'read', 'admin'] as const;

export type Scope = (typeof scopes)[number];

/** A program's key to the Server API. */
export interface ApiKey {
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** Room names, or prefixes followed by `*`. @default undefined: all rooms */
  readonly rooms?: readonly string[];
}

/** Reports whether a key allows requests on a room. None allows those on a room of the server. */
export function allowsRoom({ rooms }: ApiKey, room: string): boolean {
  if (isReservedRoom(room)) return false;
  return rooms === undefined || rooms.some((pattern) => matchesRoom(pattern, room));
}

/** A key as the file has it. */
export interface StoredKey extends ApiKey {
  /** The part of the key that names it. It is no secret. */
  readonly id: string;
  /** When the key was added, in milliseconds since 1970. */
  readonly created: number;
}

/** The result of a request's key: whose it is, or why it is rejected. */
export type KeyCheck =
  | { readonly kind: 'valid'; readonly key: ApiKey }
  | { readonly kind: 'missing' | 'invalid' | 'unavailable' };

/** An unusable keys file, or an unknown or invalid key. The message is one line for people. */
export class KeysError extends Error {}

const names = v.pipe(
  v.string(),
  v.nonEmpty(),
  v.check((name) => Buffer.byteLength(name) <= USER_BYTES),
);

const entry = v.object({
  name: names,
  /** The SHA-256 of the whole key. */
  hash: v.pipe(v.string(), v.regex(/^[\da-f]{64}$/)),
  scopes: v.pipe(v.array(v.picklist(scopes)), v.minLength(1)),
  rooms: v.exactOptional(v.pipe(v.array(v.pipe(v.string(), v.nonEmpty())), v.minLength(1))),
  created: v.number(),
});

type Entry = v.InferOutput<typeof entry>;

const schema = v.object({ keys: v.record(v.string(), entry) });

/** `ph_`, the id in 16 hexadecimal digits, and 256 random bits. */
const KEY = /^ph_([\da-f]{16})_[\w-]{43}$/;

const NONE: ReadonlyMap<string, Entry> = new Map();

/**
 * The keys file: names, permissions and SHA-256 hashes of keys. It is read again whenever it has
 * changed. A missing file has no keys. A key is 256 random bits, so its hash needs no salt and no
 * slow function.
 */
export class Keys {
  readonly #path: string;
  #read: { readonly stamp: string; readonly entries: ReadonlyMap<string, Entry> } | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** Checks the value of a header `Authorization`. Compares in constant time. */
  check(authorization: string): KeyCheck {
    const [, scheme = '', text = ''] = /^(\S+) +(\S+)$/.exec(authorization) ?? [];
    if (scheme.toLowerCase() !== 'bearer') return { kind: 'missing' };
    const id = KEY.exec(text)?.[1];
    if (id === undefined) return { kind: 'invalid' };
    let entries: ReadonlyMap<string, Entry>;
    try {
      entries = this.#entries();
    } catch {
      return { kind: 'unavailable' };
    }
    const found = entries.get(id);
    if (found === undefined || !timingSafeEqual(sha256(text), Buffer.from(found.hash, 'hex')))
      return { kind: 'invalid' };
    return { kind: 'valid', key: found };
  }

  /** Returns the keys, by name. @throws KeysError when the file cannot be read. */
  list(): readonly StoredKey[] {
    const keys = [...this.#entries()].map(([id, { hash: _, ...key }]) => ({ id, ...key }));
    return keys.toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.created - b.created));
  }

  /**
   * Adds a key. Creates the file if it does not exist. Several keys may have one name, so that one
   * can replace another.
   *
   * @returns the key, which is not stored anywhere.
   * @throws KeysError for an invalid name or pattern, or a file that cannot be read.
   */
  add({ name, scopes, rooms }: ApiKey): string {
    if (name === '' || Buffer.byteLength(name) > USER_BYTES) {
      throw new KeysError(`a key's name must have 1 to ${USER_BYTES} bytes`);
    }
    const invalid = rooms?.find((room) => !isPattern(room));
    if (invalid !== undefined) {
      const rule = `must be a room name of 1 to ${ROOM_BYTES} bytes, or a prefix followed by *`;
      throw new KeysError(`the pattern ${JSON.stringify(invalid)} ${rule}`);
    }
    const id = randomBytes(8).toString('hex');
    const key = `ph_${id}_${randomBytes(32).toString('base64url')}`;
    const hash = sha256(key).toString('hex');
    const added: Entry = { name, hash, scopes: [...scopes], ...(rooms && { rooms: [...rooms] }), created: Date.now() };
    this.#write(new Map(this.#entries()).set(id, added));
    return key;
  }

  /**
   * Removes a key by its name or its id.
   *
   * @throws KeysError for an unknown key, for the name of several, or when the file cannot be read.
   */
  remove(nameOrId: string): void {
    const entries = new Map(this.#entries());
    const ids = entries.has(nameOrId)
      ? [nameOrId]
      : [...entries].filter(([, { name }]) => name === nameOrId).map(([id]) => id);
    const [id, ...more] = ids;
    if (id === undefined) throw new KeysError(`there is no key ${JSON.stringify(nameOrId)} in ${this.#path}`);
    if (more.length > 0) {
      throw new KeysError(
        `${ids.length} keys are named ${JSON.stringify(nameOrId)}; remove one by its id: ${ids.join(', ')}`,
      );
    }
    entries.delete(id);
    this.#write(entries);
  }

  #entries(): ReadonlyMap<string, Entry> {
    try {
      const stats = statSync(this.#path, { throwIfNoEntry: false });
      if (stats === undefined) return NONE;
      const stamp = `${stats.mtimeMs} ${stats.size} ${stats.ino}`;
      if (this.#read?.stamp === stamp) return this.#read.entries;
      const { keys } = v.parse(schema, JSON.parse(readFileSync(this.#path, 'utf8')));
      this.#read = { stamp, entries: new Map(Object.entries(keys)) };
      return this.#read.entries;
    } catch (error) {
      const why = (error as NodeJS.ErrnoException).code ?? 'not a keys file';
      throw new KeysError(`the keys file ${this.#path} cannot be read (${why})`);
    }
  }

  /** Replaces the file atomically, so that a server never reads half of it. */
  #write(entries: ReadonlyMap<string, Entry>): void {
    const next = `${this.#path}.${randomUUID()}`;
    writeFileSync(next, `${JSON.stringify({ keys: Object.fromEntries(entries) }, null, 2)}\n`, { mode: 0o600 });
    renameSync(next, this.#path);
  }
}

/** A prefix may be as long as a room name, and empty. */
function isPattern(text: string): boolean {
  const name = text.endsWith('*') ? text.slice(0, -1) : text;
  return text !== '' && Buffer.byteLength(name) <= ROOM_BYTES;
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
