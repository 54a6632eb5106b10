import { type Folded, foldInto, judge, type RefusalCode, recordExtra } from '../hub/changes.ts';
import type { Draft, EngineListener, Outcome } from '../hub/engine.ts';
import type { LogRecord } from '../hub/log.ts';

/** Drafts of one append as records, and what they change. Nothing is stored yet. */
export interface JudgedBatch {
  /** The records of the drafts that are not refused. */
  readonly records: readonly LogRecord[];
  /** By index of the draft; undefined if none is refused. */
  readonly refusals: ReadonlyMap<number, RefusalCode> | undefined;
  /** Records that changes of the batch were folded into, by `seq`: of the batch and before it. */
  readonly folded: ReadonlyMap<number, LogRecord>;
}

const NONE: ReadonlyMap<number, LogRecord> = new Map();

/**
 * Judges the drafts of one append to a log, each after the ones before it.
 *
 * @param at the time of the commit.
 * @param retained finds the records of the log.
 */
export function judgeBatch(
  drafts: readonly Draft[],
  head: number,
  at: number,
  retained: Pick<Folded, 'find'>,
): JudgedBatch {
  const records: LogRecord[] = [];
  let judged: Judged | undefined;
  let seq = head;
  for (const draft of drafts) {
    if (draft.extra !== undefined) {
      judged ??= new Judged(records, head, retained);
      if (judged.refuses(draft, seq)) {
        judged.refusals.set(seq - head + judged.refusals.size, judged.refusal as RefusalCode);
        continue;
      }
    }
    const record = recordOf(draft, ++seq, at);
    records.push(record);
    if (record.extra?.kind === 'change') foldInto(judged as Judged, record);
  }
  if (judged === undefined) return { records, refusals: undefined, folded: NONE };
  return { records, refusals: judged.refusals.size > 0 ? judged.refusals : undefined, folded: judged.folded };
}

/** Returns the record of a draft. */
export function recordOf(draft: Draft, seq: number, at: number): LogRecord {
  const { from, sender = '', id, data, json = false, bytes, extra } = draft;
  const record = { seq, at, from, sender, id, data, json, bytes };
  return extra === undefined ? record : { ...record, extra: recordExtra(extra) };
}

/** Reports a batch that is stored: its commits and its refusals, in the order of the drafts. */
export function reportBatch(listener: EngineListener, room: string, { records, refusals }: JudgedBatch): void {
  if (refusals === undefined) {
    listener.committed({ room, records, own: true });
    return;
  }
  let from = 0;
  let refused = 0;
  let outcomes: Outcome[] = [];
  const decide = () => {
    if (outcomes.length > 0) listener.decided({ room, outcomes });
    outcomes = [];
  };
  for (const [index, code] of refusals) {
    const to = index - refused++;
    if (to > from) {
      decide();
      listener.committed({ room, records: records.slice(from, to), own: true });
      from = to;
    }
    outcomes.push({ kind: 'refused', code });
  }
  decide();
  if (from < records.length) listener.committed({ room, records: records.slice(from), own: true });
}

/** The records of a log as a batch changes them. */
class Judged implements Folded {
  readonly folded = new Map<number, LogRecord>();
  readonly refusals = new Map<number, RefusalCode>();
  refusal: RefusalCode | undefined;
  readonly #records: readonly LogRecord[];
  readonly #head: number;
  readonly #retained: Pick<Folded, 'find'>;

  constructor(records: readonly LogRecord[], head: number, retained: Pick<Folded, 'find'>) {
    this.#records = records;
    this.#head = head;
    this.#retained = retained;
  }

  refuses(draft: Draft, head: number): boolean {
    this.refusal = judge(draft, head, this);
    return this.refusal !== undefined;
  }

  find(seq: number): LogRecord | undefined {
    const changed = this.folded.get(seq);
    if (changed) return changed;
    return seq > this.#head ? this.#records[seq - this.#head - 1] : this.#retained.find(seq);
  }

  replace(record: LogRecord): void {
    this.folded.set(record.seq, record);
  }
}
