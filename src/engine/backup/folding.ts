import { foldInto } from '../../hub/changes.ts';
import type { LogRecord } from '../../hub/log.ts';
import { encodeRecord, type Fields, recordOf } from '../lmdb-store.ts';
import type { Block, StoreReader } from './store-reader.ts';

const LF = 0x0a;
const CHANGED = Buffer.from('"changed":');

/**
 * The records of one room as a backup has them. The changes of the journal are folded into records
 * of the store, which does not have those changes yet. A stored record that is read later than the
 * newest one may contain changes that the backup does not have: they count as its newest record, or
 * the next changes after a restore would pass for older ones.
 */
export class BackupRecords {
  readonly #last: number;
  readonly #folded = new Map<number, LogRecord>();

  /** @param waiting the records of the journal that follow those of the store. */
  constructor(store: StoreReader | undefined, id: number, waiting: readonly Fields[], last: number) {
    this.#last = last;
    const [first = last + 1] = waiting[0] ?? [];
    const stored = (seq: number) => store && findIn(store.blocks(id, seq + 1, 1)[0], seq);
    const find = (seq: number) => {
      const fields = seq < first ? stored(seq) : waiting[seq - first];
      return this.#folded.get(seq) ?? (fields && recordOf(fields));
    };
    const replace = (record: LogRecord) => void this.#folded.set(record.seq, record);
    for (const fields of waiting) {
      const change = recordOf(fields);
      if (change.extra?.kind === 'change') foldInto({ find, replace }, change);
    }
  }

  /** Returns the texts of consecutive records from `first` on, as the backup has them. */
  textsOf(first: number, texts: Buffer): Buffer {
    const last = first + this.#countOf(texts) - 1;
    if (!texts.includes(CHANGED) && !this.#hasFolded(first, last)) return texts;
    const lines = texts.toString().split('\n');
    return Buffer.from(lines.map((line, i) => this.#textOf(first + i, line)).join('\n'));
  }

  #textOf(seq: number, line: string): string {
    const folded = this.#folded.get(seq);
    if (!folded && !line.includes('"changed":')) return line;
    const record = folded ?? recordOf(JSON.parse(line) as Fields);
    return encodeRecord(this.#upToLast(record)).text;
  }

  #upToLast(record: LogRecord): LogRecord {
    const { extra } = record;
    if (extra?.kind !== 'message' || (extra.changed ?? 0) <= this.#last) return record;
    const edited = extra.edited !== undefined && { edited: Math.min(extra.edited, this.#last) };
    return { ...record, extra: { ...extra, changed: this.#last, ...edited } };
  }

  #hasFolded(first: number, last: number): boolean {
    for (const seq of this.#folded.keys()) if (seq >= first && seq <= last) return true;
    return false;
  }

  #countOf(texts: Buffer): number {
    let count = 1;
    for (let at = texts.indexOf(LF); at >= 0; at = texts.indexOf(LF, at + 1)) count++;
    return count;
  }
}

function findIn(block: Block | undefined, seq: number): Fields | undefined {
  if (block === undefined) return undefined;
  const { key, texts } = block;
  const [last, first] = key;
  if (seq < first || seq > last) return undefined;
  return JSON.parse(texts.toString().split('\n')[seq - first] as string) as Fields;
}
