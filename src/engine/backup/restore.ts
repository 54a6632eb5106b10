import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { copyFile, open as openFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Database, open, type RootDatabase } from 'lmdb';
import { DATA_FILES, DataDir, markerText } from '../data-dir.ts';
import type { Key, StoredRoom } from '../lmdb-store.ts';
import { epochOf, firstLife, nextLife } from '../terms.ts';
import { BackupError, describe } from './error.ts';
import { type BlockKey, type Counts, DATABASES, FILES, type Manifest, MESSAGES, type RoomLine } from './format.ts';
import { linesOf } from './input-file.ts';
import { syncFolder } from './output-file.ts';
import { itemsOf } from './rooms.ts';
import { parseDatabaseLine, readManifest, verifyBackup } from './verify.ts';

export interface RestoreOptions {
  /** The backup's directory. */
  readonly from: string;
  /** The data directory to create. It must be missing or empty unless `force` is set. */
  readonly data: string;
  /** Move the content of the data directory aside. */
  readonly force: boolean;
  /** Ends the restore, which then removes what it has written. */
  readonly signal: AbortSignal;
}

export interface Restored extends Counts {
  /** Where the earlier content of the data directory is. */
  readonly aside?: string | undefined;
}

const LF = Buffer.from('\n');
const BATCH_BYTES = 4 * 1024 * 1024;
const BATCH_BLOCKS = 10_000;
const OWN_DATABASES = 2;
const TOKEN_LENGTH = 8;

/** Entries that an empty directory may have. */
const EMPTY: readonly string[] = ['lost+found', DATA_FILES.lock];

/**
 * Restores a backup into a data directory. Each room goes on in a new term after its last message
 * in the backup, so no client takes a new message for one that it was sent before.
 *
 * The file that marks a data directory is written last: no server starts with a part of it. Rejects
 * with BackupError, and leaves nothing of the backup behind.
 */
export async function restore({ from, data, force, signal }: RestoreOptions): Promise<Restored> {
  const manifest = readManifest(from);
  const { problems } = await verifyBackup(from);
  if (problems.length > 0) throw new BackupError(`the backup is damaged: ${problems[0]}`);
  signal.throwIfAborted();
  const target = new Target(data);
  try {
    await target.prepare(force);
    await new Restoration(from, data, manifest, signal).run();
    return { rooms: manifest.rooms, messages: manifest.messages, bytes: manifest.bytes, aside: target.aside };
  } catch (error) {
    const { message } = describe(error, data);
    target.clear();
    throw new BackupError(target.aside ? `${message}; the earlier data is in ${target.aside}` : message, {
      cause: error,
    });
  } finally {
    target.close();
  }
}

/** The data directory, locked while it is restored. */
class Target {
  readonly #path: string;
  #folder: DataDir;
  #ready = false;
  aside: string | undefined;

  constructor(path: string) {
    this.#path = path;
    this.#folder = new DataDir(path);
  }

  /**
   * Creates or empties the directory.
   *
   * @throws BackupError if it has content and `force` is not set.
   */
  async prepare(force: boolean): Promise<void> {
    mkdirSync(this.#path, { recursive: true });
    const isEmpty = this.#content().length === 0;
    if (!isEmpty && !force) {
      throw new BackupError(
        `${this.#path} is not empty; choose another directory, or move its content aside with --force`,
      );
    }
    await this.#folder.lock();
    if (!isEmpty) await this.#moveAside();
    this.#ready = true;
  }

  /** Removes what was restored. */
  clear(): void {
    if (!this.#ready) return;
    for (const name of this.#content()) {
      if (join(this.#path, name) !== this.aside) rmSync(join(this.#path, name), { recursive: true, force: true });
    }
  }

  close(): void {
    this.#folder.close();
  }

  #content(): string[] {
    return readdirSync(this.#path).filter((name) => !EMPTY.includes(name));
  }

  async #moveAside(): Promise<void> {
    const suffix = `before-restore-${new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '')}`;
    const path = resolve(this.#path);
    const beside = `${path}.${suffix}`;
    try {
      renameSync(path, beside);
    } catch {
      this.#moveInside(join(path, suffix)); // such as a volume's root, which cannot be renamed
      return;
    }
    this.aside = beside;
    this.#folder.close(); // which deletes the lock's file by its path, so before the new one exists
    await nextTurn();
    rmSync(join(beside, DATA_FILES.lock), { force: true });
    mkdirSync(path);
    await this.#folder.lock();
  }

  #moveInside(inside: string): void {
    const names = this.#content();
    mkdirSync(inside);
    // The marker first: a server does not start with the rest.
    for (const name of names.sort((a) => (a === DATA_FILES.marker ? -1 : 0))) {
      if (!name.startsWith('before-restore-')) renameSync(join(this.#path, name), join(inside, name));
    }
    this.aside = inside;
  }
}

/** Writes the content of a backup to an empty directory. */
class Restoration {
  readonly #from: string;
  readonly #data: string;
  readonly #manifest: Manifest;
  readonly #signal: AbortSignal;

  constructor(from: string, data: string, manifest: Manifest, signal: AbortSignal) {
    this.#from = from;
    this.#data = data;
    this.#manifest = manifest;
    this.#signal = signal;
  }

  async run(): Promise<void> {
    await this.#writeStore();
    for (const { name } of this.#manifest.files) {
      if (!name.startsWith(FILES)) continue;
      const path = join(this.#data, name.slice(FILES.length));
      await copyFile(join(this.#from, name), path);
      await syncFile(path);
    }
    await syncFile(join(this.#data, 'data.mdb'));
    this.#signal.throwIfAborted();
    const marker = join(this.#data, DATA_FILES.marker);
    writeFileSync(`${marker}.new`, markerText());
    await syncFile(`${marker}.new`);
    renameSync(`${marker}.new`, marker);
    await syncFolder(this.#data);
    await syncFolder(dirname(resolve(this.#data)));
  }

  async #writeStore(): Promise<void> {
    const others = await this.#otherDatabases();
    const path = join(this.#data, 'data.mdb');
    const root = open({ path, noSubdir: true, maxDbs: OWN_DATABASES + others.size, eventTurnBatching: false });
    try {
      const store = new StoreWriter(root);
      for await (const item of itemsOf(join(this.#from, MESSAGES))) {
        this.#signal.throwIfAborted();
        if (item.kind === 'room') store.room(item.room);
        else store.block(item.key, item.lines);
      }
      store.write();
      await this.#writeDatabases(root, others);
      await root.flushed;
    } finally {
      await root.close();
    }
  }

  async #otherDatabases(): Promise<Set<string>> {
    const names = new Set<string>();
    for await (const [name] of this.#databaseLines()) names.add(name);
    return names;
  }

  async #writeDatabases(root: RootDatabase, names: ReadonlySet<string>): Promise<void> {
    const databases = new Map(
      [...names].map((name) => [
        name,
        root.openDB<Buffer, Buffer>({ name, keyEncoding: 'binary', encoding: 'binary' }),
      ]),
    );
    for await (const [name, key, value] of this.#databaseLines()) {
      databases.get(name)?.putSync(Buffer.from(key, 'base64'), Buffer.from(value, 'base64'));
    }
  }

  async *#databaseLines() {
    const path = join(this.#from, DATABASES);
    if (!existsSync(path)) return;
    for await (const lines of linesOf(path)) {
      for (const line of lines) {
        const entry = parseDatabaseLine(line);
        if (entry) yield entry;
      }
    }
  }
}

/** Writes rooms to a store, in batches. */
class StoreWriter {
  readonly #root: RootDatabase;
  readonly #names: Database<StoredRoom, string>;
  readonly #log: Database<Buffer, Key>;
  #id = 0;
  #rooms: (readonly [name: string, room: StoredRoom])[] = [];
  #blocks: (readonly [key: Key, texts: Buffer])[] = [];
  #bytes = 0;

  constructor(root: RootDatabase) {
    this.#root = root;
    this.#names = root.openDB<StoredRoom, string>({ name: 'rooms' });
    this.#log = root.openDB<Buffer, Key>({ name: 'log', encoding: 'binary' });
  }

  /** Begins a room, in a new term. */
  room({ room, epoch, terms, last }: RoomLine): void {
    const life = firstLife(epoch, last);
    const next = nextLife(terms ? { ...life, terms } : life, randomUUID().slice(0, TOKEN_LENGTH));
    this.#rooms.push([room, { id: ++this.#id, epoch: epochOf(next), terms: next.terms }]);
  }

  block([last, first, at, start, end]: BlockKey, lines: readonly Buffer[]): void {
    const texts = Buffer.concat(lines.flatMap((line, i) => (i === 0 ? [line] : [LF, line])));
    this.#blocks.push([[this.#id, last, first, at, start, end], texts]);
    this.#bytes += texts.byteLength;
    if (this.#bytes >= BATCH_BYTES || this.#blocks.length >= BATCH_BLOCKS) this.write();
  }

  /** Writes the rooms and blocks so far. */
  write(): void {
    this.#root.transactionSync(() => {
      for (const [name, room] of this.#rooms) this.#names.putSync(name, room);
      for (const [key, texts] of this.#blocks) this.#log.putSync(key, texts);
    });
    this.#rooms = [];
    this.#blocks = [];
    this.#bytes = 0;
  }
}

async function syncFile(path: string): Promise<void> {
  const file = await openFile(path, 'r+');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
