import { type Folded, foldInto, judge, recordExtra } from '../../src/hub/changes.ts';
import type { Draft, Outcome } from '../../src/hub/engine.ts';
import type { LogRecord } from '../../src/hub/log.ts';
import type { Place } from '../../src/protocol/v1.ts';
import { Truth } from './truth.ts';

/** A batch that a node has numbered, as the log keeps it to recognize a retry. */
interface StoredBatch {
  readonly number: number;
  readonly outcomes: readonly Outcome[];
  /** The log's head after it. */
  readonly head: number;
}

/** One life of a room's log: a term, from its start to the next one. */
export interface Life {
  readonly epoch: string;
  /** The log, which goes on from one term to the next. */
  readonly log: string;
  /** Its place among the lives of its room. */
  readonly index: number;
  /** The earlier lives of the log, each with the last `seq` that it shares with this one. */
  readonly earlier: readonly Place[];
  /** All records from seq 1 on, as they were stored first, trimmed ones included. */
  readonly records: LogRecord[];
  /** Those that have changes, with them. */
  readonly changed: Map<number, LogRecord>;
  readonly truth: Truth;
  /** The oldest record that can be read. */
  first: number;
  /** The head and `first` after each batch: the log is cut only between batches. */
  readonly boundaries: { readonly head: number; readonly first: number }[];
  readonly ids: Map<string, number>;
  readonly batches: Map<string, StoredBatch[]>;
}

/** A node's subscription to the rooms' logs. */
export interface LogSubscriber {
  /** The records `from` to `to` of a life were stored. */
  pushed(room: string, epoch: string, from: number, to: number): void;
}

/** The reply to a batch. A batch older than another one of its node is `fenced`. */
export type Reply =
  | { readonly kind: 'fenced' }
  | { readonly kind: 'stored'; readonly epoch: string; readonly outcomes: readonly Outcome[] };

/** The rooms' logs in a store that several nodes share. It remembers all of their lives. */
export class SharedLog {
  readonly subscribers = new Set<LogSubscriber>();
  /** A planted fault: ids are not compared. */
  ignoresIds = false;
  /** A planted fault: everyone may change every message. */
  allowsAll = false;
  /** How many records were lost by all moves. */
  lost = 0;
  moves = 0;
  /** Records that are retained for each room. */
  readonly #retention: number;
  readonly #date: () => number;
  readonly #rooms = new Map<string, Life[]>();
  readonly #lives = new Map<string, Life>();
  /** The highest `first` that each room had. */
  readonly #trimmed = new Map<string, number>();
  #logs = 0;

  constructor(retention: number, date: () => number) {
    this.#retention = retention;
    this.#date = date;
  }

  /** Returns the current life of a room's log. */
  life(room: string): Life {
    const lives = this.lives(room);
    return lives.at(-1) ?? this.#begin(room, undefined, 0);
  }

  lives(room: string): readonly Life[] {
    return this.#rooms.get(room) ?? [];
  }

  /** Returns the life of an epoch, or undefined for one that never was. */
  lifeOf(epoch: string): Life | undefined {
    return this.#lives.get(epoch);
  }

  /** Returns the last `seq` that two lives share, or undefined for those of different logs. */
  shared(from: string, to: string): number | undefined {
    if (from === to) return Number.POSITIVE_INFINITY;
    return this.#lives.get(to)?.earlier.find(({ epoch }) => epoch === from)?.seq;
  }

  record({ epoch, seq }: Place): LogRecord | undefined {
    return this.#lives.get(epoch)?.records[seq - 1];
  }

  /** The record cannot be read by now, or could not be at some time. */
  wasTrimmed(room: string, seq: number): boolean {
    return seq < (this.#trimmed.get(room) ?? 1);
  }

  /** Returns the records `from` + 1…`to` of a life, with the changes that it has by now. */
  read({ records, changed }: Life, from: number, to: number): readonly LogRecord[] {
    return records.slice(from, to).map((record) => changed.get(record.seq) ?? record);
  }

  /** Appends a batch, in one atomic step. */
  append(room: string, node: string, number: number, drafts: readonly Draft[]): Reply {
    const life = this.life(room);
    const { epoch, records } = life;
    const batches = life.batches.get(node) ?? [];
    life.batches.set(node, batches);
    const last = batches.at(-1);
    if (last && number < last.number) return { kind: 'fenced' };
    if (last?.number === number) return { kind: 'stored', epoch, outcomes: last.outcomes };
    const from = records.length + 1;
    const outcomes = drafts.map((draft) => this.#add(life, draft));
    const head = records.length;
    this.#trimTo(room, life, head - this.#retention + 1);
    life.boundaries.push({ head, first: life.first });
    batches.push({ number, outcomes, head });
    if (head >= from) for (const subscriber of this.subscribers) subscriber.pushed(room, epoch, from, head);
    return { kind: 'stored', epoch, outcomes };
  }

  /** Trims the oldest records, but never the newest. */
  trim(room: string, records: number): void {
    const life = this.life(room);
    this.#trimTo(room, life, Math.min(life.first + records, life.records.length));
  }

  /**
   * Begins another term, as a failover or a restart does.
   *
   * @param batches how many of the newest batches are lost.
   */
  move(room: string, batches: number): void {
    const life = this.life(room);
    const { boundaries, records } = life;
    const kept = boundaries.length - batches;
    const end = batches === 0 ? records.length : (boundaries[kept - 1]?.head ?? 0);
    this.lost += records.length - end;
    this.moves++;
    this.#begin(room, life, end);
  }

  /** Loses the log. The room gets another one. */
  replace(room: string): void {
    this.lost += this.life(room).records.length;
    this.moves++;
    this.#begin(room, undefined, 0);
  }

  #begin(room: string, before: Life | undefined, end: number): Life {
    const lives = this.#rooms.get(room) ?? [];
    this.#rooms.set(room, lives);
    const log = before?.log ?? `${room}/${++this.#logs}`;
    const records = before?.records.slice(0, end) ?? [];
    const boundaries = before?.boundaries.filter(({ head }) => head <= end) ?? [];
    const earlier = before ? [...before.earlier, { epoch: before.epoch, seq: before.records.length }] : [];
    const life: Life = {
      epoch: `${log}-${lives.length + 1}`,
      log,
      index: lives.length,
      earlier: earlier.map(({ epoch, seq }) => ({ epoch, seq: Math.min(seq, end) })),
      records,
      changed: new Map(),
      truth: new Truth(records),
      first: boundaries.at(-1)?.first ?? 1,
      boundaries,
      ids: new Map([...(before?.ids ?? [])].filter(([, seq]) => seq <= end)),
      batches: new Map(
        [...(before?.batches ?? [])].map(([node, all]) => [node, all.filter(({ head }) => head <= end)] as const),
      ),
    };
    for (const record of records) foldInto(foldedOf(life, 1), record);
    lives.push(life);
    this.#lives.set(life.epoch, life);
    return life;
  }

  #add(life: Life, draft: Draft): Outcome {
    const { ids, records } = life;
    const { from, sender = '', id, data, json = false, bytes, extra } = draft;
    const key = `${sender} ${id}`;
    const seq = id === '' || this.ignoresIds ? undefined : ids.get(key);
    if (seq !== undefined) return { kind: 'duplicate', seq };
    const folded = foldedOf(life);
    const code = judge(draft, records.length, folded);
    if (code !== undefined && !(this.allowsAll && code === 'forbidden')) return { kind: 'refused', code };
    const at = Math.max(records.at(-1)?.at ?? 0, this.#date());
    const ordinary = { seq: records.length + 1, at, from, sender, id, data, json, bytes };
    const record = extra === undefined ? ordinary : { ...ordinary, extra: recordExtra(extra) };
    records.push(record);
    foldInto(folded, record);
    if (id !== '') ids.set(key, record.seq);
    return { kind: 'stored', seq: record.seq };
  }

  #trimTo(room: string, life: Life, first: number): void {
    life.first = Math.max(life.first, first);
    this.#trimmed.set(room, Math.max(this.#trimmed.get(room) ?? 1, life.first));
  }
}

/** Returns the records of a life that can be read, for changes to be folded into. */
function foldedOf({ records, changed, first: oldest }: Life, first = oldest): Folded {
  return {
    find: (seq) => (seq < first ? undefined : (changed.get(seq) ?? records[seq - 1])),
    replace: (record) => void changed.set(record.seq, record),
  };
}
