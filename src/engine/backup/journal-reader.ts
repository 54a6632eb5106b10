import { journalFilesBeside } from '../journal.ts';
import { entryOf } from '../journal-entry.ts';
import type { Fields } from '../lmdb-store.ts';
import { type BlockKey, isRecord, type RoomLine } from './format.ts';

/** A record in the journal. */
interface JournalRecord {
  readonly epoch: string;
  readonly fields: Fields;
}

/** The records in a data directory's journal, by room, in the order in which they were written. */
export class JournalReader {
  readonly #rooms = new Map<string, JournalRecord[]>();
  /** Files with lines after an invalid one, which no start would read. */
  readonly damaged: number = 0;

  /** Reads the journal. Another process may write to it. @throws the file system's error. */
  constructor(dataDir: string) {
    for (const lines of journalFilesBeside(dataDir)) {
      const end = lines.findIndex((line) => entryOf(line) === undefined);
      if (end !== -1 && lines.slice(end + 1).some((line) => entryOf(line) !== undefined)) this.damaged++;
      for (const line of end === -1 ? lines : lines.slice(0, end)) this.#add(line);
    }
  }

  /** The rooms in the journal. */
  get rooms(): Iterable<string> {
    return this.#rooms.keys();
  }

  /** Returns the epoch of a room that is not in the store. */
  epochOf(room: string): string | undefined {
    return this.#rooms.get(room)?.[0]?.epoch;
  }

  /** Returns the records that follow those of the store, without a hole. */
  after({ room, epoch, last }: Pick<RoomLine, 'room' | 'epoch' | 'last'>): Fields[] {
    const records: Fields[] = [];
    for (const { epoch: written, fields } of this.#rooms.get(room) ?? []) {
      if (written === epoch && fields[0] === last + records.length + 1) records.push(fields);
    }
    return records;
  }

  /** Returns the highest `seq` of a room's records, 0 without any. */
  end(room: string, epoch: string): number {
    const records = this.#rooms.get(room) ?? [];
    return records.reduce(
      (end, { epoch: written, fields: [seq] }) => (written === epoch ? Math.max(end, seq) : end),
      0,
    );
  }

  #add(line: string): void {
    const [room, epoch, ...records] = entryOf(line) as NonNullable<ReturnType<typeof entryOf>>;
    const list = this.#rooms.get(room) ?? [];
    this.#rooms.set(room, list);
    for (const fields of records) if (isRecord(fields)) list.push({ epoch, fields });
  }
}

/** Returns the key of a block of these records, after `start` bytes of the room. */
export function journalKeyOf(records: readonly Fields[], start: number): BlockKey {
  const [first] = records[0] as Fields;
  const [last, at] = records.at(-1) as Fields;
  return [last, first, at, start, records.reduce((end, [, , , , , , , bytes]) => end + bytes, start)];
}

/** Returns the text of a record as the store has it. */
export function textOf(fields: Fields): string {
  return JSON.stringify(fields);
}
