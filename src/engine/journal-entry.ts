import type { Fields } from './lmdb-store.ts';

/** A line of the journal: records of one room. */
export type Entry = [room: string, epoch: string, ...records: Fields[]];

/** @returns undefined for a line that is not a whole entry. */
export function entryOf(line: string): Entry | undefined {
  try {
    const entry: unknown = JSON.parse(line);
    return Array.isArray(entry) && entry.length > 2 ? (entry as Entry) : undefined;
  } catch {
    return undefined;
  }
}
