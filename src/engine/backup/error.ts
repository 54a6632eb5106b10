import { statfsSync } from 'node:fs';

/** Why a backup, a restore or a verification cannot go on, in one line. */
export class BackupError extends Error {}

// LMDB reports a full disk by several different errors, and leaves less than this free.
const FULL_DISK_BYTES = 1024 * 1024;

/** Returns the error of an operation on files of `path` as one line. */
export function describe(error: unknown, path: string): Error {
  const { code } = error as NodeJS.ErrnoException;
  if (error instanceof BackupError) return error;
  if (code === 'ENOSPC' || code === 'EDQUOT' || (typeof code !== 'string' && isFull(path))) {
    return new BackupError(`the disk of ${path} is full`, { cause: error });
  }
  if (typeof code !== 'string') return error as Error;
  const { path: file = path } = error as NodeJS.ErrnoException;
  return new BackupError(`${file} cannot be used (${code})`, { cause: error });
}

function isFull(path: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize < FULL_DISK_BYTES;
  } catch {
    return false;
  }
}
