import { createHash } from 'node:crypto';
import { type DraftExtra, recordExtra } from '../../hub/changes.ts';
import type { Draft } from '../../hub/engine.ts';
import type { Extra, LogRecord } from '../../hub/log.ts';

/** A record in a payload. Its `seq` and time follow from its entry. */
type Line = [from: string, sender: string, id: string, data: string, bytes: number, json: 0 | 1, extra?: Extra];

/** Drafts as the append script takes them. */
export interface EncodedBatch {
  /** A JSON array of lines without its brackets, each on a line of its own. */
  readonly payload: string;
  /** Bytes of each draft's data, separated by commas. */
  readonly sizes: string;
  /** The changes and replies, each as index, op, `seq` and whether a user may: `2 edit 7 1`. */
  readonly changes: string;
  /** The hash of each draft's id; empty when no draft has one. */
  readonly ids: readonly string[];
}

/** Header of a pushed batch. */
export interface PushHeader {
  readonly log: string;
  readonly term: string;
  /** The `seq` before the batch. */
  readonly previous: number;
  readonly count: number;
  readonly at: number;
  /** Oldest `seq` that can be read. */
  readonly first: number;
  /** The node that appended the batch, and its number for it. */
  readonly run: string;
  readonly number: number;
}

/** Bytes from Redis that this version cannot have written. */
export class MalformedError extends Error {
  override readonly name = 'MalformedError';
  /** The last `seq` of the entry, where its id is one. */
  readonly seq: number | undefined;

  constructor(message: string, seq?: number) {
    super(message);
    this.seq = seq;
  }
}

export function encodeBatch(drafts: readonly Draft[]): EncodedBatch {
  let payload = '';
  let sizes = '';
  let changes = '';
  let identified = false;
  const ids: string[] = [];
  for (const { from, sender = '', id, data, json, bytes, extra } of drafts) {
    const line: Line = [from, sender, id, data, bytes, json ? 1 : 0];
    if (extra !== undefined) {
      line.push(recordExtra(extra));
      changes += `${ids.length + 1} ${changeOf(extra)},`;
    }
    payload += payload === '' ? JSON.stringify(line) : `,\n${JSON.stringify(line)}`;
    sizes += sizes === '' ? bytes : `,${bytes}`;
    const hash = sender === '' || id === '' ? '' : hashOf(sender, id);
    identified ||= hash !== '';
    ids.push(hash);
  }
  return { payload, sizes, changes, ids: identified ? ids : [] };
}

function changeOf(extra: DraftExtra): string {
  return extra.kind === 'message' ? `reply ${extra.reply} 0` : `${extra.op} ${extra.of} ${extra.byUser ? 1 : 0}`;
}

/** Decodes a pushed batch. @throws MalformedError */
export function decodePayload(payload: string, previous: number, count: number, at: number): LogRecord[] {
  const records = decodeLines(payload, previous, count, at);
  if (!records) throw new MalformedError(`the pushed batch after ${previous} is malformed`);
  return records;
}

function decodeLines(payload: string, previous: number, count: number, at: number): LogRecord[] | undefined {
  const lines = parse(payload);
  if (lines?.length !== count) return undefined;
  const records: LogRecord[] = [];
  let seq = previous;
  for (const line of lines) {
    if (!isLine(line)) return undefined;
    const [from, sender, id, data, bytes, json, extra] = line;
    const record = { seq: ++seq, at, from, sender, id, data, json: json === 1, bytes };
    records.push(extra === undefined ? record : { ...record, extra });
  }
  return records;
}

function parse(payload: string): unknown[] | undefined {
  try {
    return JSON.parse(`[${payload}]`);
  } catch {
    return undefined;
  }
}

/** Reads the header of a pushed batch, which ends at `end`. @throws MalformedError */
export function decodeHeader(message: Buffer, end: number): PushHeader {
  const [log, term, previous, count, at, first, run, number] = message.toString('latin1', 1, end).split(' ');
  const header = {
    log: log as string,
    term: term ?? '',
    previous: Number(previous),
    count: Number(count),
    at: Number(at),
    first: Number(first),
    run: run ?? '',
    number: Number(number),
  };
  if (!Number.isSafeInteger(header.previous) || !(header.count > 0) || !(header.at >= 0) || !(header.first >= 1)) {
    throw new MalformedError('a pushed batch has a malformed header');
  }
  return header;
}

/**
 * Decodes an entry of a room's stream.
 *
 * @param entry `[id, [field, value, …]]`
 * @throws MalformedError
 */
export function decodeEntry(entry: unknown): LogRecord[] {
  const [id, fields] = Array.isArray(entry) ? entry : [];
  const last = Number(/^(\d+)-0$/.exec(String(id))?.[1]);
  const values = new Map<unknown, unknown>();
  if (Array.isArray(fields)) for (let i = 0; i + 1 < fields.length; i += 2) values.set(fields[i], fields[i + 1]);
  const count = Number(values.get('c'));
  const at = Number(values.get('t'));
  const payload = values.get('p');
  if (last >= count && count >= 1 && at >= 0 && typeof payload === 'string') {
    const records = decodeLines(payload, last - count, count, at);
    if (records) return records;
  }
  throw new MalformedError(`the entry ${String(id)} is malformed`, last || undefined);
}

function isLine(line: unknown): line is Line {
  return (
    Array.isArray(line) &&
    typeof line[0] === 'string' &&
    typeof line[1] === 'string' &&
    typeof line[2] === 'string' &&
    typeof line[3] === 'string' &&
    typeof line[4] === 'number'
  );
}

/** Returns an entry of the sorted set as one of the stream; the text itself if it is malformed. */
export function movedEntry(member: string): unknown {
  const [, last, c, t, e, b, p] = /^(\d+) (\d+) (\d+) (\S+) (\d+)\n(.*)$/s.exec(member) ?? [];
  return last === undefined ? member : [`${last}-0`, ['c', c, 't', t, 'e', e, 'b', b, 'p', p]];
}

/** The same on every node. The length separates ('ab', 'c') from ('a', 'bc'). */
function hashOf(sender: string, id: string): string {
  return createHash('sha1').update(`${sender.length}:${sender}${id}`).digest('base64url').slice(0, 22);
}
