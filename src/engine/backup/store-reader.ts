import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Database, open, type RootDatabase } from 'lmdb';
import type { StoredRoom } from '../lmdb-store.ts';
import { BackupError } from './error.ts';
import { areTerms, type BlockKey, isBlockKey, type RoomLine } from './format.ts';

/** A stored room, and its newest block. */
export interface StoredHead extends RoomLine {
  readonly id: number;
  /** Bytes of all records ever stored. */
  readonly end: number;
}

/** A block of records, one text a line. */
export interface Block {
  readonly key: BlockKey;
  readonly texts: Buffer;
}

/** An entry of a database, as it is stored. */
export interface RawEntry {
  readonly key: Buffer;
  readonly value: Buffer;
}

// Those of a later version, too, are copied.
const MAX_DATABASES = 64;
const OWN_DATABASES: readonly string[] = ['rooms', 'log'];

/**
 * Reads a store while another process may write to it. No snapshot outlives a call: LMDB cannot
 * reuse the pages that the store no longer needs while a reader has them.
 */
export class StoreReader {
  readonly #path: string;
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #databases: readonly string[];
  readonly #log: Database<Buffer, never> | undefined;

  private constructor(path: string) {
    this.#path = path;
    const options = { noSubdir: true, maxDbs: MAX_DATABASES, readOnly: true } as const;
    this.#root = open({ path, ...options, keyEncoding: 'binary', encoding: 'binary' });
    this.#databases = [...this.#root.getKeys()].map((name) => String(name).replace(/\0$/, ''));
    if (this.#databases.includes('log')) {
      this.#log = this.#root.openDB<Buffer, never>({ name: 'log', keyEncoding: 'ordered-binary', encoding: 'binary' });
    }
  }

  /** @returns undefined if nothing has been stored yet. */
  static open(dataDir: string): StoreReader | undefined {
    const path = join(dataDir, 'data.mdb');
    return existsSync(path) ? new StoreReader(path) : undefined;
  }

  /**
   * Returns the rooms that have records, all of one snapshot.
   *
   * @throws BackupError for a damaged one.
   */
  heads(): StoredHead[] {
    if (!this.#databases.includes('rooms') || this.#log === undefined) return [];
    const names = this.#root.openDB<StoredRoom, string>({
      name: 'rooms',
      keyEncoding: 'ordered-binary',
      encoding: 'msgpack',
    });
    const heads: StoredHead[] = [];
    for (const { key: room, value } of names.getRange()) {
      const { id, epoch, terms } = (value ?? {}) as Partial<StoredRoom>;
      if (typeof room !== 'string' || !Number.isSafeInteger(id) || typeof epoch !== 'string' || !areTerms(terms)) {
        throw new BackupError(`${this.#path} is damaged: the room ${JSON.stringify(room)} cannot be read`);
      }
      const newest = this.newest(id as number);
      if (newest) heads.push({ room, id: id as number, epoch, terms, last: newest[0], end: newest[4] });
    }
    this.#root.resetReadTxn();
    return heads;
  }

  /** Returns the key of a room's newest block. */
  newest(id: number): BlockKey | undefined {
    const range = { start: [id + 1, 0], end: [id, 0], reverse: true, limit: 1 } as object;
    const [key] = this.#log?.getKeys(range) ?? [];
    return key === undefined ? undefined : this.#keyOf(key);
  }

  /**
   * Returns the blocks of a room before a `seq`, newest first: at least one if there is any, and no
   * more after `maxBytes`.
   *
   * @throws BackupError for a damaged one.
   */
  blocks(id: number, before: number, maxBytes: number): Block[] {
    const blocks: Block[] = [];
    let bytes = 0;
    let previous = before;
    const range = this.#log?.getRange({ start: [id, before], end: [id, 0], reverse: true } as object) ?? [];
    for (const { key, value: texts } of range) {
      const block = { key: this.#keyOf(key), texts };
      if (block.key[0] >= previous) throw new BackupError(`${this.#path} is damaged: blocks are out of order`);
      previous = block.key[1];
      blocks.push(block);
      bytes += texts.byteLength;
      if (bytes >= maxBytes) break;
    }
    this.#root.resetReadTxn();
    return blocks;
  }

  /** Returns the block that has a record; undefined for a record that is not stored. */
  blockWith(id: number, seq: number): Block | undefined {
    const range = { start: [id, seq], end: [id + 1, 0], limit: 1 } as object;
    const [entry] = this.#log?.getRange(range) ?? [];
    this.#root.resetReadTxn();
    return entry && { key: this.#keyOf(entry.key), texts: entry.value };
  }

  /** The names of the store's databases besides those of the rooms. */
  get others(): readonly string[] {
    return this.#databases.filter((name) => !OWN_DATABASES.includes(name));
  }

  /**
   * Returns all entries of another database, in one snapshot.
   *
   * @throws BackupError if keys repeat.
   */
  entries(name: string): RawEntry[] {
    const database = this.#root.openDB<Buffer, Buffer>({ name, keyEncoding: 'binary', encoding: 'binary' });
    const entries = [...database.getRange()].map(({ key, value }) => ({ key, value }));
    if (entries.some(({ key }, i) => i > 0 && key.equals((entries[i - 1] as RawEntry).key))) {
      throw new BackupError(`the database ${name} of ${this.#path} has several values for a key, and cannot be copied`);
    }
    this.#root.resetReadTxn();
    return entries;
  }

  async close(): Promise<void> {
    await this.#root.close();
  }

  #keyOf(key: unknown): BlockKey {
    const rest = Array.isArray(key) ? key.slice(1) : undefined;
    if (!isBlockKey(rest)) throw new BackupError(`${this.#path} is damaged: a block's key cannot be read`);
    return rest;
  }
}
