/** Why a backup, a restore or a verification cannot go on, in one line. */
export class BackupError extends Error {}

/** Returns the error of a file operation on `path` as one line. */
export function describe(error: unknown, path: string): Error {
  const { code } = error as NodeJS.ErrnoException;
  if (error instanceof BackupError || code === undefined) return error as Error;
  if (code === 'ENOSPC' || code === 'EDQUOT') return new BackupError(`the disk of ${path} is full`, { cause: error });
  const { path: file = path } = error as NodeJS.ErrnoException;
  return new BackupError(`${file} cannot be used (${code})`, { cause: error });
}
