import { createHash } from 'node:crypto';
import type { Fields, Key } from '../lmdb-store.ts';
import type { Term } from '../terms.ts';
import { BackupError } from './error.ts';

/** The format of backups that this version writes, and the newest that it reads. */
const FORMAT = 1;
const KIND = 'pumphouse-backup';

export const MANIFEST = 'manifest.json';
/** Rooms, each with its blocks of records from the newest to the oldest. */
export const MESSAGES = 'messages.jsonl';
/** Entries of the store's other databases. */
export const DATABASES = 'databases.jsonl';
/** Folder of the data directory's other files. */
export const FILES = 'files/';

/** A file of a backup. */
export interface FileSum {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** The amount of data in a backup or a data directory. */
export interface Counts {
  readonly rooms: number;
  readonly messages: number;
  /** Bytes of the messages' data. */
  readonly bytes: number;
}

/** The file that completes a backup. */
export interface Manifest extends Counts {
  readonly kind: typeof KIND;
  readonly format: number;
  /** The version of Pumphouse that wrote it. */
  readonly version: string;
  /** ISO 8601. Every message that was acknowledged before it is in the backup. */
  readonly started: string;
  readonly finished: string;
  readonly files: readonly FileSum[];
}

/** The line that begins a room. */
export interface RoomLine {
  readonly room: string;
  readonly epoch: string;
  readonly terms?: readonly Term[] | undefined;
  /** The `seq` of the newest record. */
  readonly last: number;
}

/** A block's key without the room, as the line that begins a block. Its records follow. */
export type BlockKey = Key extends [number, ...infer Rest] ? Rest : never;

/** An entry of another database, in base64. */
export type DatabaseLine = [database: string, key: string, value: string];

/** Returns a manifest's text, whose last field is the hash of the others. */
export function manifestText(fields: Omit<Manifest, 'kind' | 'format'>): string {
  return withChecksum({ kind: KIND, format: FORMAT, ...fields });
}

/** @throws BackupError with one line. */
export function parseManifest(text: string, path: string): Manifest {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new BackupError(`${path} is damaged: it is not JSON`);
  }
  const { checksum, ...manifest } = (parsed ?? {}) as Manifest & { checksum?: string };
  const isOurs = manifest.kind === KIND && text === withChecksum(manifest);
  if (manifest.kind === KIND && manifest.format > FORMAT) {
    throw new BackupError(`${path} has the format ${manifest.format}, of a newer version of Pumphouse`);
  }
  if (!isOurs) throw new BackupError(`${path} is damaged: its checksum does not match`);
  return manifest;
}

function withChecksum(manifest: object): string {
  const checksum = createHash('sha256').update(JSON.stringify(manifest)).digest('hex');
  return `${JSON.stringify({ ...manifest, checksum }, undefined, 2)}\n`;
}

/** Reports whether a value is a stored record. */
export function isRecord(value: unknown): value is Fields {
  if (!Array.isArray(value) || value.length < 8 || value.length > 9) return false;
  const [seq, at, from, sender, id, data, json, bytes, extra] = value;
  if (extra !== undefined && extra?.kind !== 'message' && extra?.kind !== 'change') return false;
  const texts = [from, sender, id, data].every((text) => typeof text === 'string');
  return texts && isCount(seq) && seq > 0 && typeof at === 'number' && typeof json === 'boolean' && isCount(bytes);
}

/** Reports whether a value is the key of a block, without the room. */
export function isBlockKey(value: unknown): value is BlockKey {
  if (!Array.isArray(value) || value.length !== 5) return false;
  const [last, first, at, start, end] = value;
  const counts = [last, first, start, end].every(isCount);
  return counts && typeof at === 'number' && first > 0 && first <= last && start <= end;
}

/** Reports whether a value is the line that begins a room. */
export function isRoomLine(value: unknown): value is RoomLine {
  const { room, epoch, terms, last } = (value ?? {}) as Partial<Record<keyof RoomLine, unknown>>;
  return typeof room === 'string' && typeof epoch === 'string' && isCount(last) && last > 0 && areTerms(terms);
}

/** Reports whether a value is the list of a room's terms, or undefined. */
export function areTerms(value: unknown): value is Term[] | undefined {
  if (value === undefined) return true;
  const isTerm = (term: Partial<Term> | null) => typeof term?.token === 'string' && isCount(term.first);
  return Array.isArray(value) && value.length > 0 && value.every(isTerm);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
