import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkDataDir, DATA_FILES, DataDir } from '../data-dir.ts';
import { Check } from './check.ts';
import { BackupError, describe } from './error.ts';
import {
  type Counts,
  DATABASES,
  type DatabaseLine,
  FILES,
  type FileSum,
  MANIFEST,
  type Manifest,
  MESSAGES,
  parseManifest,
} from './format.ts';
import { linesOf, Sum } from './input-file.ts';
import { JournalReader, journalKeyOf, textOf } from './journal-reader.ts';
import { itemsOf } from './rooms.ts';
import { type StoredHead, StoreReader } from './store-reader.ts';

/** The result of a verification. */
export interface Verification extends Counts {
  readonly kind: 'backup' | 'data';
  /** Those of a backup. */
  readonly manifest?: Manifest | undefined;
  /** The first problems. */
  readonly problems: readonly string[];
  /** How many problems there are. */
  readonly found: number;
}

const BLOCK_BYTES = 1024 * 1024;

// Names that a restore writes itself.
const RESERVED = new RegExp(`^(\\.{0,2}|data\\.mdb.*|journal-\\d+|${DATA_FILES.marker}|${DATA_FILES.lock})$`);

/**
 * Verifies a backup, or a data directory that no server uses. Rejects with a one-line message for
 * anything else.
 */
export async function verify(path: string): Promise<Verification> {
  if (!existsSync(path)) throw new BackupError(`${path} does not exist`);
  if (existsSync(join(path, DATA_FILES.marker))) return verifyDataDir(path);
  if (!existsSync(join(path, MANIFEST))) {
    throw new BackupError(`${path} is neither a data directory nor a complete backup: it has no ${MANIFEST}`);
  }
  return verifyBackup(path);
}

/** Returns a backup's manifest. @throws BackupError with one line. */
export function readManifest(path: string): Manifest {
  const file = join(path, MANIFEST);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw describe(error, file);
    if (!existsSync(path)) throw new BackupError(`${path} does not exist`);
    throw new BackupError(`${path} is not a complete backup: it has no ${MANIFEST}`);
  }
  return parseManifest(text, file);
}

/** Verifies the hash of each file, and every message. */
export async function verifyBackup(path: string): Promise<Verification> {
  const check = new Check();
  let manifest: Manifest | undefined;
  await attempt(check, path, async () => {
    manifest = readManifest(path);
    for (const file of manifest.files) await attempt(check, path, () => verifyFile(path, file, check));
    if (check.found === 0) compareCounts(check, manifest, path);
  });
  return { kind: 'backup', manifest, ...check.counts, problems: check.problems, found: check.found };
}

async function verifyFile(folder: string, file: FileSum, check: Check): Promise<void> {
  const path = join(folder, file.name);
  const sum = new Sum();
  if (file.name === MESSAGES) await checkMessages(path, check, sum);
  else if (file.name === DATABASES) await checkDatabases(path, sum);
  else if (isRestorable(file.name)) await sum.addFile(path);
  else throw new BackupError(`${path} is not a file that a backup has`);
  const difference = sum.differs(file);
  if (difference !== undefined) check.report(`${path} ${difference}`);
}

function isRestorable(name: string): boolean {
  const base = name.slice(FILES.length);
  return name.startsWith(FILES) && !/[/\\]/.test(base) && !RESERVED.test(base);
}

async function checkMessages(path: string, check: Check, sum: Sum): Promise<void> {
  for await (const item of itemsOf(path, sum)) {
    if (item.kind === 'room') check.room(item.room);
    else check.block(item.key, item.lines);
  }
  check.endRooms();
}

async function checkDatabases(path: string, sum: Sum): Promise<void> {
  for await (const lines of linesOf(path, sum)) {
    for (const line of lines) if (parseDatabaseLine(line) === undefined) throw new BackupError(`${path} is damaged`);
  }
}

/** @returns undefined for a damaged line. */
export function parseDatabaseLine(line: Buffer): DatabaseLine | undefined {
  try {
    const entry: unknown = JSON.parse(line.toString());
    const isEntry = Array.isArray(entry) && entry.length === 3 && entry.every((field) => typeof field === 'string');
    return isEntry ? (entry as DatabaseLine) : undefined;
  } catch {
    return undefined;
  }
}

function compareCounts(check: Check, manifest: Manifest, path: string): void {
  for (const name of ['rooms', 'messages', 'bytes'] as const) {
    const count = check.counts[name];
    if (count !== manifest[name]) check.report(`${path} has ${count} ${name} instead of ${manifest[name]}`);
  }
}

async function verifyDataDir(path: string): Promise<Verification> {
  const check = new Check();
  const folder = new DataDir(path);
  await folder.lock();
  try {
    await attempt(check, path, async () => {
      checkDataDir(path);
      checkSecret(path, check);
      await checkRooms(path, check);
    });
  } finally {
    folder.close();
  }
  return { kind: 'data', ...check.counts, problems: check.problems, found: check.found };
}

function checkSecret(path: string, check: Check): void {
  const file = join(path, DATA_FILES.secret);
  if (existsSync(file) && !/^[0-9a-f]{64}$/.test(readFileSync(file, 'utf8'))) check.report(`${file} is damaged`);
}

async function checkRooms(path: string, check: Check): Promise<void> {
  const journal = new JournalReader(path);
  if (journal.damaged > 0) check.report(`${path}: the journal is damaged before its end`);
  const store = StoreReader.open(path);
  try {
    const unsaved = new Set(journal.rooms);
    for (const head of store?.heads() ?? []) {
      unsaved.delete(head.room);
      checkRoom(head, journal, store, check);
    }
    for (const room of unsaved) {
      const epoch = journal.epochOf(room);
      if (epoch !== undefined) checkRoom({ room, epoch, id: 0, last: 0, end: 0 }, journal, undefined, check);
    }
  } finally {
    await store?.close();
  }
}

/** Checks a room's records in the journal and in the store, the newest first. */
function checkRoom(head: StoredHead, journal: JournalReader, store: StoreReader | undefined, check: Check): void {
  const waiting = journal.after(head);
  const { room, epoch, id, end } = head;
  const last = head.last + waiting.length;
  if (journal.end(room, epoch) > last) check.report(`room ${JSON.stringify(room)}: message ${last + 1} is missing`);
  if (last === 0) return;
  check.room({ ...head, last });
  if (waiting.length > 0)
    check.block(
      journalKeyOf(waiting, end),
      waiting.map((fields) => Buffer.from(textOf(fields))),
    );
  let next = head.last;
  for (;;) {
    const blocks = store?.blocks(id, next + 1, BLOCK_BYTES) ?? [];
    if (blocks.length === 0) break;
    for (const { key, texts } of blocks) {
      check.block(
        key,
        texts
          .toString()
          .split('\n')
          .map((text) => Buffer.from(text)),
      );
      next = key[1] - 1;
    }
  }
  check.endRooms();
}

/** Reports what a check throws as a problem. */
async function attempt(check: Check, path: string, run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    check.report(describe(error, path).message);
  }
}
