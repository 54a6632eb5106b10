import { type RefusalCode, refusalCodes } from '../../hub/changes.ts';
import type { Draft, Outcome } from '../../hub/engine.ts';
import type { LogRecord } from '../../hub/log.ts';
import { recordOf } from '../judged-batch.ts';
import type { Retention } from '../retention.ts';
import type { RoomKeys } from './keys.ts';
import { encodeBatch } from './record-codec.ts';
import { appendScript } from './scripts.lua.ts';

/** The room of a batch, with its bounds. */
export interface AppendTarget {
  readonly keys: RoomKeys;
  readonly retention: Retention;
  /** Milliseconds without an append or a renewal after which the room's keys expire. */
  readonly expiryMs: number;
}

/** The window in which a retry is recognized. The first bound that is reached applies. */
const DEDUPE_MS = 5 * 60_000;
const DEDUPE_MESSAGES = 65_536;

/** What the append script did with a batch. */
export interface AppendReply {
  readonly log: string;
  readonly term: string;
  /** The `seq` before and after the batch. */
  readonly previous: number;
  readonly last: number;
  readonly at: number;
  readonly first: number;
  /**
   * The `seq` of each draft, negative for a duplicate, or why it is refused; undefined when all are
   * stored.
   */
  readonly seqs: readonly (number | RefusalCode)[] | undefined;
}

/**
 * Returns the command that appends a batch.
 *
 * @param run identifies this node until it ends.
 */
export function appendCommand(
  { keys: { meta, log, ids, moved, channel }, retention, expiryMs }: AppendTarget,
  run: string,
  number: number,
  drafts: readonly Draft[],
): string[] {
  const { payload, sizes, changes, ids: hashes } = encodeBatch(drafts);
  const newLog = `${run}${number.toString(36)}`;
  return [
    ...['EVALSHA', appendScript.sha, '5', meta, log, ...ids, moved, channel, newLog, run, String(number)],
    ...[String(retention.bytes), String(retention.ms), String(expiryMs), String(drafts.length)],
    ...[sizes, String(DEDUPE_MS), String(DEDUPE_MESSAGES), payload, changes, ...hashes],
  ];
}

/** Whether the log contradicts its meta: nothing was stored, and the log is to be mended. */
export function isTorn(fields: unknown): boolean {
  return Array.isArray(fields) && String(fields[0]) === 'torn';
}

/** @returns undefined when Redis refused the batch: a later one of this node was appended. */
export function replyOf(fields: unknown): AppendReply | undefined {
  if (!Array.isArray(fields) || fields.length < 6) return undefined;
  const [log, term, previous, last, at, first, seqs] = fields.map(String);
  return {
    log: log as string,
    term: term as string,
    previous: Number(previous),
    last: Number(last),
    at: Number(at),
    first: Number(first),
    seqs: seqs?.split(',').map((each) => (isRefusal(each) ? each : Number(each))),
  };
}

/** Returns the records of the stored drafts. */
export function recordsOf(drafts: readonly Draft[], { previous, at, seqs }: AppendReply): LogRecord[] {
  if (!seqs) return drafts.map((draft, i) => recordOf(draft, previous + 1 + i, at));
  return drafts.flatMap((draft, i) => {
    const seq = seqs[i];
    return typeof seq === 'number' && seq > 0 ? [recordOf(draft, seq, at)] : [];
  });
}

function isRefusal(outcome: string): outcome is RefusalCode {
  return (refusalCodes as readonly string[]).includes(outcome);
}

export function outcomesOf(count: number, { previous, seqs }: AppendReply): Outcome[] {
  const decision: Outcome[] = [];
  for (let i = 0; i < count; i++) {
    const seq = seqs ? (seqs[i] as number | RefusalCode) : previous + 1 + i;
    if (typeof seq === 'string') decision.push({ kind: 'refused', code: seq });
    else decision.push(seq > 0 ? { kind: 'stored', seq } : { kind: 'duplicate', seq: -seq });
  }
  return decision;
}
