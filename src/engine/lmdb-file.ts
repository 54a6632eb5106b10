import { closeSync, openSync, readSync, statSync } from 'node:fs';

// Each of LMDB's two meta pages starts with these, after a page header of 24 bytes.
const MAGIC = 0xbeefc0de;
const VERSION = 2;

/** Byte offsets in a meta page. */
const META = { magic: 24, version: 28, pageSize: 48, freeRoot: 88, mainRoot: 136, transaction: 152, end: 160 };
const NO_PAGE = 0xffff_ffff_ffff_ffffn;

/**
 * Checks a database file before LMDB maps it. LMDB does not validate the file, and reading a
 * missing page terminates the process.
 *
 * @returns a predicate for an error message, such as "is truncated"; undefined for a sound, empty
 * or missing file.
 */
export function faultOf(path: string): string | undefined {
  let size: number;
  let meta: Buffer[];
  try {
    size = statSync(path).size;
    if (size === 0) return undefined;
    meta = readMetaPages(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'ENOENT' ? undefined : `cannot be read (${code})`;
  }
  const valid = meta.filter((page) => page.length === META.end && isMeta(page));
  if (valid.length < 2) return 'is not a Pumphouse log';
  const [newest] = valid.sort((a, b) =>
    Number(b.readBigUInt64LE(META.transaction) - a.readBigUInt64LE(META.transaction)),
  );
  const pages = BigInt(Math.floor(size / (newest as Buffer).readUInt32LE(META.pageSize)));
  const roots = [META.freeRoot, META.mainRoot].map((at) => (newest as Buffer).readBigUInt64LE(at));
  return roots.some((root) => root !== NO_PAGE && root >= pages) ? 'is truncated' : undefined;
}

/** Reports whether a file is an LMDB database, of any program. */
export function isLmdbFile(path: string): boolean {
  const file = openSync(path, 'r');
  try {
    const first = readAt(file, 0);
    return first.length === META.end && isMeta(first);
  } finally {
    closeSync(file);
  }
}

function readMetaPages(path: string): Buffer[] {
  const file = openSync(path, 'r');
  try {
    const first = readAt(file, 0);
    const pageSize = first.length === META.end ? first.readUInt32LE(META.pageSize) : 0;
    return [first, readAt(file, pageSize)];
  } finally {
    closeSync(file);
  }
}

function readAt(file: number, position: number): Buffer {
  const page = Buffer.alloc(META.end);
  return page.subarray(0, readSync(file, page, 0, META.end, position));
}

function isMeta(page: Buffer): boolean {
  return page.readUInt32LE(META.magic) === MAGIC && page.readUInt32LE(META.version) === VERSION;
}
