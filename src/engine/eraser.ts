import { fstatSync, readSync, writeSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { LogRecord } from '../hub/log.ts';

// Pages of LMDB have this size, or a multiple of it.
const PAGE_BYTES = 4096;
const CHUNK_BYTES = 1024 * 1024;
// A search for many texts yields after so long: the server delivers meanwhile.
const TURN_MS = 2;
const FIRST_READ_BYTES = 64 * 1024;
// Longer than the longest message in JSON.
const MAX_LITERAL_BYTES = 16 * 1024 * 1024;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const SPACE = 0x20;

/** Returns how each stored text of a record begins, whatever its data is. */
export function beginningOf({ seq, at, from, sender, id }: Pick<LogRecord, 'seq' | 'at' | 'from' | 'sender' | 'id'>) {
  return `${JSON.stringify([seq, at, from, sender, id]).slice(0, -1)},`;
}

/**
 * Overwrites the data of records in a database's file with spaces. LMDB copies a page before it
 * changes it, so a text that was removed from the database is still in pages that are free.
 *
 * What is overwritten stays a JSON text of the same length, as a snapshot that another process
 * reads may have the page. Where the next page of a literal has been reused, it has another page's
 * header in it, whose zeros no literal has: it is overwritten up to there.
 *
 * @param beginnings of records whose data is empty in the database by now.
 * @param lock calls a function while nothing writes to the database.
 */
export async function erase(
  path: string,
  beginnings: readonly string[],
  lock: (work: () => void) => void,
): Promise<void> {
  const patterns = beginnings.map((beginning) => Buffer.from(beginning));
  const overlap = patterns.reduce((longest, { byteLength }) => Math.max(longest, byteLength), 0);
  const file = await open(path, 'r+');
  try {
    const buffer = Buffer.allocUnsafe(CHUNK_BYTES + overlap);
    for (let position = 0; ; position += CHUNK_BYTES) {
      const { bytesRead } = await file.read(buffer, 0, buffer.byteLength, position);
      if (bytesRead === 0) break;
      const chunk = buffer.subarray(0, bytesRead);
      let turnEnds = performance.now() + TURN_MS;
      for (const pattern of patterns) {
        if (performance.now() > turnEnds) {
          await nextTurn();
          turnEnds = performance.now() + TURN_MS;
        }
        for (let at = chunk.indexOf(pattern); at >= 0; at = chunk.indexOf(pattern, at + 1)) {
          const found = position + at;
          lock(() => eraseAt(file.fd, found, pattern));
        }
      }
    }
    await finish(file);
  } finally {
    await file.close();
  }
}

async function finish(file: FileHandle): Promise<void> {
  await file.datasync();
}

/** Overwrites the literal after a record's beginning, if both are there still. */
function eraseAt(descriptor: number, position: number, beginning: Buffer): void {
  const size = fstatSync(descriptor).size - position;
  for (let bytes = FIRST_READ_BYTES; ; bytes *= 4) {
    const text = Buffer.alloc(Math.min(bytes, size));
    readSync(descriptor, text, 0, text.byteLength, position);
    const start = beginning.byteLength + 1;
    if (!text.subarray(0, beginning.byteLength).equals(beginning) || text[start - 1] !== QUOTE) return;
    const end = endOfLiteral(text, start, position);
    if (end !== undefined) {
      if (end > start) writeSync(descriptor, Buffer.alloc(end - start, SPACE), 0, end - start, position + start);
      return;
    }
    if (text.byteLength === size || bytes >= MAX_LITERAL_BYTES) return;
  }
}

/**
 * Returns the index of the quote that ends a literal, or of the page that cuts it off; undefined if
 * the text ends before.
 *
 * @param position of the text in the file.
 */
function endOfLiteral(text: Buffer, start: number, position: number): number | undefined {
  for (let at = start; at < text.byteLength; at++) {
    const byte = text[at] as number;
    if (byte === QUOTE) return at;
    if (byte < SPACE) return at - ((position + at) % PAGE_BYTES);
    if (byte === BACKSLASH) at++;
  }
  return undefined;
}
