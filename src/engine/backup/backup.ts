import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { mkdir, open as openFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { open } from 'lmdb';
import { checkDataDir, DATA_FILES } from '../data-dir.ts';
import { isLmdbFile } from '../lmdb-file.ts';
import { BackupError, describe } from './error.ts';
import { BackupRecords } from './folding.ts';
import {
  type BlockKey,
  type Counts,
  DATABASES,
  type DatabaseLine,
  FILES,
  type FileSum,
  MANIFEST,
  MESSAGES,
  manifestText,
  type RoomLine,
} from './format.ts';
import { JournalReader, journalKeyOf, textOf } from './journal-reader.ts';
import { OutputFile, syncFolder } from './output-file.ts';
import { type StoredHead, StoreReader } from './store-reader.ts';
import { Throttle } from './throttle.ts';

export interface BackupOptions {
  /** The data directory. A server may use it. */
  readonly data: string;
  /** The backup's directory, which must not exist. */
  readonly to: string;
  /** Bytes a second that are read. */
  readonly rate: number;
  /** The version of Pumphouse. */
  readonly version: string;
  /** Ends the backup, which then removes what it has written. */
  readonly signal: AbortSignal;
  /** Receives what the backup leaves out. */
  readonly onWarning: (line: string) => void;
  /** The backup writes to this folder until it is complete. */
  readonly onStart?: (folder: string) => void;
}

// Bytes that are read and written between two waits: few, so that a server's turn beside is short.
const STEP_BYTES = 256 * 1024;

const LF = Buffer.from('\n');

/** Names of a data directory that are no content, or that a backup reads in its own way. */
const SKIPPED = new RegExp(`^(data\\.mdb|journal-\\d+|.*-lock|${DATA_FILES.marker}|${DATA_FILES.lock})$`);
// File systems keep it at their root. Restores move what they replace into the other one.
const SKIPPED_FOLDERS = /^(lost\+found|before-restore-.*)$/;

/**
 * Writes a backup of a data directory, which a server may use meanwhile. Every message that was
 * acknowledged before the start is in it, and each room's messages follow each other without a
 * hole. The directory gets its name when it is complete and on the disk.
 *
 * Rejects with BackupError, and leaves nothing behind.
 */
export async function backup(options: BackupOptions): Promise<Counts> {
  const { data, to, onStart } = options;
  checkDataDir(data);
  const target = resolve(to);
  if (existsSync(target)) throw new BackupError(`${to} exists; choose a name that does not`);
  const folder = `${target}.incomplete`;
  try {
    await mkdir(dirname(target), { recursive: true });
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw describe(error, to);
    throw new BackupError(`${folder} exists: another backup writes it, or was killed; then remove it`);
  }
  onStart?.(folder);
  try {
    const counts = await new Backup(options, folder).write();
    renameSync(folder, target);
    await syncFolder(dirname(target));
    return counts;
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw describe(error, to);
  }
}

class Backup {
  readonly #options: BackupOptions;
  readonly #folder: string;
  readonly #throttle: Throttle;
  readonly #files: FileSum[] = [];
  readonly #counts = { rooms: 0, messages: 0, bytes: 0 };

  constructor(options: BackupOptions, folder: string) {
    this.#options = options;
    this.#folder = folder;
    this.#throttle = new Throttle(options.rate, options.signal);
  }

  /**
   * Places in the log that others keep, in files and databases, are read before the log: a place is
   * never past its end. The journal is read before the store, which takes over its records.
   */
  async write(): Promise<Counts> {
    const { data, version } = this.#options;
    const started = new Date().toISOString();
    await this.#copyFiles();
    const store = StoreReader.open(data);
    try {
      if (store) await this.#copyDatabases(store);
      const journal = new JournalReader(data);
      await this.#file(MESSAGES, (file) =>
        new Messages(file, this.#counts, this.#throttle, this.#options).write(store, journal),
      );
    } finally {
      await store?.close();
    }
    const finished = new Date().toISOString();
    const manifest = manifestText({ version, started, finished, ...this.#counts, files: this.#files });
    const file = await OutputFile.create(this.#folder, MANIFEST);
    await file.write(Buffer.from(manifest));
    await file.finish();
    await syncFolder(this.#folder);
    return this.#counts;
  }

  async #file(name: string, write: (file: OutputFile) => Promise<void>, mode?: number): Promise<void> {
    const file = await OutputFile.create(this.#folder, name, mode);
    try {
      await write(file);
    } catch (error) {
      await file.close();
      throw error;
    }
    this.#files.push(await file.finish());
  }

  /** Copies the files that are neither the log's nor of one process, such as the secret. */
  async #copyFiles(): Promise<void> {
    const { data, onWarning } = this.#options;
    for (const entry of readdirSync(data, { withFileTypes: true })) {
      const { name } = entry;
      if (SKIPPED.test(name)) continue;
      if (entry.isFile()) {
        await mkdir(join(this.#folder, FILES), { recursive: true, mode: 0o700 });
        await this.#copyFile(name);
      } else if (!SKIPPED_FOLDERS.test(name)) {
        onWarning(`${join(data, name)} is not a file and is left out`);
      }
    }
    if (existsSync(join(this.#folder, FILES))) await syncFolder(join(this.#folder, FILES));
  }

  async #copyFile(name: string): Promise<void> {
    let path = join(this.#options.data, name);
    const { mode } = statSync(path);
    const isDatabase = isLmdbFile(path);
    if (isDatabase) {
      const snapshot = join(this.#folder, `${name}.snapshot`);
      await copyDatabase(path, snapshot);
      path = snapshot;
    }
    const source = await openFile(path);
    try {
      await this.#file(
        FILES + name,
        async (file) => {
          for await (const chunk of source.createReadStream({ autoClose: false, highWaterMark: STEP_BYTES })) {
            await file.write(chunk);
            await this.#throttle.spend(chunk.byteLength);
          }
        },
        mode & 0o777,
      );
    } finally {
      await source.close();
    }
    if (isDatabase) rmSync(path);
  }

  /** Copies the entries of other databases of the store, such as those of a later version. */
  async #copyDatabases(store: StoreReader): Promise<void> {
    if (store.others.length === 0) return;
    await this.#file(DATABASES, async (file) => {
      for (const name of store.others) {
        for (const { key, value } of store.entries(name)) {
          const line: DatabaseLine = [name, key.toString('base64'), value.toString('base64')];
          const text = Buffer.from(`${JSON.stringify(line)}\n`);
          await file.write(text);
          await this.#throttle.spend(text.byteLength);
        }
      }
    });
  }
}

/** Writes the rooms, in steps. */
class Messages {
  readonly #file: OutputFile;
  readonly #counts: { -readonly [name in keyof Counts]: Counts[name] };
  readonly #throttle: Throttle;
  readonly #options: BackupOptions;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(file: OutputFile, counts: Counts, throttle: Throttle, options: BackupOptions) {
    this.#file = file;
    this.#counts = counts;
    this.#throttle = throttle;
    this.#options = options;
  }

  async write(store: StoreReader | undefined, journal: JournalReader): Promise<void> {
    const unsaved = new Set(journal.rooms);
    for (const head of store?.heads() ?? []) {
      unsaved.delete(head.room);
      await this.#room(head, journal, store);
      if (this.#bytes >= STEP_BYTES) await this.#flush();
    }
    for (const room of unsaved) {
      const epoch = journal.epochOf(room);
      if (epoch !== undefined) await this.#room({ room, epoch, id: 0, last: 0, end: 0 }, journal, undefined);
    }
    await this.#flush();
  }

  /**
   * Writes a room from its newest block back, since the store deletes the oldest ones meanwhile:
   * what is written has no hole.
   */
  async #room(head: StoredHead, journal: JournalReader, store: StoreReader | undefined): Promise<void> {
    const { room, epoch, terms, id, end } = head;
    const waiting = journal.after(head);
    let next = head.last;
    let blocks = store?.blocks(id, next + 1, STEP_BYTES) ?? [];
    if (blocks.length === 0 && waiting.length === 0) {
      const [last = 0, , , , newEnd = 0] = store?.newest(id) ?? [];
      if (last > head.last) await this.#room({ ...head, last, end: newEnd }, journal, store); // all of it was deleted
      return;
    }
    const line: RoomLine = { room, epoch, terms, last: next + waiting.length };
    const records = new BackupRecords(store, id, waiting, line.last);
    this.#add(Buffer.from(`${JSON.stringify(line)}\n`));
    this.#counts.rooms++;
    if (waiting.length > 0) {
      const texts = Buffer.from(waiting.map(textOf).join('\n'));
      this.#addBlock(journalKeyOf(waiting, end), records.textsOf(next + 1, texts));
    }
    for (; blocks.length > 0; blocks = store?.blocks(id, next + 1, STEP_BYTES) ?? []) {
      for (const { key, texts } of blocks) {
        const [last, first] = key;
        if (last !== next) return this.#warnOfHole(room, last, next);
        this.#addBlock(key, records.textsOf(first, texts));
        next = first - 1;
      }
      if (this.#bytes >= STEP_BYTES) await this.#flush();
    }
  }

  #warnOfHole(room: string, last: number, next: number): void {
    const missing = `the messages ${last + 1} to ${next} of the room ${JSON.stringify(room)} are missing`;
    this.#options.onWarning(`${missing}; those before them are left out`);
  }

  #addBlock(key: BlockKey, texts: Buffer): void {
    const [last, first, , start, end] = key;
    this.#counts.messages += last - first + 1;
    this.#counts.bytes += end - start;
    this.#add(Buffer.from(`${JSON.stringify({ block: key })}\n`));
    this.#add(texts);
    this.#add(LF);
  }

  #add(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.byteLength;
  }

  async #flush(): Promise<void> {
    const bytes = this.#bytes;
    if (bytes === 0) return;
    this.#bytes = 0;
    await this.#file.write(Buffer.concat(this.#chunks.splice(0), bytes));
    await this.#throttle.spend(bytes);
  }
}

/** Copies a database that another process may write to. */
async function copyDatabase(from: string, to: string): Promise<void> {
  const database = open({ path: from, noSubdir: true, readOnly: true });
  try {
    await database.backup(to, false);
  } finally {
    await database.close();
  }
}
