import type { LogRecord, Records } from '../hub/log.ts';
import type { Frame, Notice } from '../hub/subscriber.ts';
import { closes } from '../protocol/close-codes.ts';
import {
  type ChangeOp,
  type ErrorCode,
  type Json,
  type Place,
  REACTION_BYTES,
  REASON_BYTES,
  ROOM_BYTES,
  USER_BYTES,
} from '../protocol/v1.ts';
import { LineBuffer } from './line-buffer.ts';
import { encodeAnyMessage, encodeChange, encodeRecord, quote } from './record-json.ts';
import { silentFrame } from './text.ts';
import { type Command, decodeText, isName, type Wire, type WireLimits } from './wire.ts';

/** Longest message of a client, in bytes. */
export const MESSAGE_BYTES = 16 * 1024;

export const defaults: WireLimits = {
  maxMessageSize: MESSAGE_BYTES,
  pingPeriod: 25_000,
  pongWait: 35_000,
  writeWait: 10_000,
};

/** Limits of fields: names in bytes, `history` in messages, `depth` in levels of JSON. */
export const fields = { room: ROOM_BYTES, id: 128, history: 1000, depth: 100 };

const EPOCH_BYTES = 128;
export const DEFAULT_HISTORY = 50;

/** The rules of fields, as the error `bad_field` states them. */
export const rules = {
  token: 'must be a non-empty string',
  id: `must be a string of 1 to ${fields.id} bytes`,
  data: `must be a JSON value, nested at most ${fields.depth} deep`,
  since: 'must be an object with "epoch" and "seq"',
  epoch: `must be a string of 1 to ${EPOCH_BYTES} bytes`,
  seq: `must be a whole number from 0 to ${Number.MAX_SAFE_INTEGER}`,
  history: `must be a whole number from 0 to ${fields.history}`,
  limit: `must be a whole number from 1 to ${fields.history}`,
  after: 'must be absent when "before" is given',
  code: 'must be a whole number from 1000 to 4999',
  reason: `must be a string of at most ${REASON_BYTES} bytes`,
  ms: `must be a whole number from 0 to ${Number.MAX_SAFE_INTEGER}`,
  flag: 'must be true or false',
  changes: 'must be true or false',
  op: 'must be "edit", "delete", "react" or "unreact"',
  of: `must be a whole number from 1 to ${Number.MAX_SAFE_INTEGER}`,
  reply: `must be a whole number from 1 to ${Number.MAX_SAFE_INTEGER}`,
  noReply: 'must be absent when "op" is given',
  reaction: `must be a string of 1 to ${REACTION_BYTES} bytes`,
};

/**
 * The wire of `pumphouse.v1`, for the SDK, the built-in chat and any other client of PROTOCOL.md,
 * which gives its rules. Accepts and sends JSON, one message a line.
 */
export function v1(limits: Partial<WireLimits> = {}): Wire {
  const buffer = new LineBuffer();
  const encoder = {
    merges: true,
    notices,
    encode(room: string, records: Records, from: number, maxBytes: number): Frame {
      const prefix = messagePrefix(room);
      return encodeLines(buffer, records, from, maxBytes, (record) => lineOf(prefix, encodeRecord(record)));
    },
    encodeNotice,
  };
  return {
    ...defaults,
    ...limits,
    name: 'v1',
    path: '/ws',
    library: 'gorilla',
    rooms: [],
    ...encoder,
    withChanges: {
      ...encoder,
      name: 'v1',
      encode(room, records, from, maxBytes) {
        return encodeLines(buffer, records, from, maxBytes, lineWithChanges(room));
      },
    },
    decode,
    closeFrame: (close) => close,
  };
}

// ── Decoding ────────────────────────────────────────────────────────────────────────────────────

export function decode(data: Uint8Array, binary: boolean): readonly Command[] {
  if (binary) return [{ kind: 'violation', close: closes.unsupported }];
  const text = decodeText(data);
  return text.includes('\n') ? text.split('\n').map(decodeLine) : [decodeLine(text)];
}

function decodeLine(line: string): Command {
  const send = decodeCanonicalSend(line);
  if (send) return send;
  const value = parseJson(line);
  return isObject(value) ? decodeMessage(value) : refusal('not_json', {});
}

// The output of `JSON.stringify({ t: 'send', room, id, data })` without an escape in room and id.
const CANONICAL_SEND = /^\{"t":"send","room":"([^"\\\p{Cc}]+)","id":"([^"\\\p{Cc}]+)","data":(.+)\}$/su;

/**
 * Decodes the usual form of a send at half the cost: its data is not written as JSON again.
 *
 * @returns undefined for any other line.
 */
function decodeCanonicalSend(line: string): Command | undefined {
  const [, room, id, data] = CANONICAL_SEND.exec(line) ?? [];
  if (data === undefined || !isName(room, fields.room) || !isName(id, fields.id) || !isData(parseJson(data))) {
    return undefined;
  }
  return { kind: 'broadcast', room, id, data, json: true, bytes: Buffer.byteLength(data) };
}

type Fields = Record<string, unknown>;

function decodeMessage(message: Fields): Command {
  const { t, room, token } = message;
  if (t === 'ping') return { kind: 'ping' };
  if (t === 'report') return decodeReport(message);
  if (t === 'auth') return isToken(token) ? { kind: 'auth', token } : badField(message, 'token', rules.token);
  const decoder =
    typeof t === 'string' && Object.hasOwn(decoders, t) ? decoders[t as keyof typeof decoders] : undefined;
  if (!decoder) return refusal('unknown_type', message);
  if (!isName(room, fields.room)) return refusal('bad_room', message);
  return decoder(room, message);
}

/** By `t`. Each gets a valid room, and refuses the message if another field is invalid. */
const decoders = {
  send(room: string, message: Fields): Command {
    const { id, data, op, reply } = message;
    if (!isName(id, fields.id)) return badField(message, 'id', rules.id);
    if (op !== undefined) return decodeChange(room, id, message);
    if (!isData(data)) return badField(message, 'data', rules.data);
    if (reply !== undefined && !isNumber(reply)) return badField(message, 'reply', rules.reply);
    const json = JSON.stringify(data);
    const publication = {
      kind: 'broadcast',
      room,
      id,
      data: json,
      json: true,
      bytes: Buffer.byteLength(json),
    } as const;
    return reply === undefined ? publication : { ...publication, extra: { kind: 'message', reply } };
  },
  join(room: string, message: Fields): Command {
    const { since, history = 0, changes = false } = message;
    if (!isCount(history, fields.history)) return badField(message, 'history', rules.history);
    if (typeof changes !== 'boolean') return badField(message, 'changes', rules.changes);
    const join = { kind: 'join', room, history, ...(changes && { changes }) } as const;
    if (since === undefined) return join;
    return isPlace(since) ? { ...join, since } : badSince(message, since);
  },
  leave(room: string): Command {
    return { kind: 'leave', room };
  },
  signal(room: string, message: Fields): Command {
    const { data } = message;
    return isData(data) ? { kind: 'signal', room, data } : badField(message, 'data', rules.data);
  },
  history(room: string, message: Fields): Command {
    const { id, before, after, limit = DEFAULT_HISTORY, changes } = message;
    if (id !== undefined && !isName(id, fields.id)) return badField(message, 'id', rules.id);
    if (!isCount(limit, fields.history) || limit === 0) return badField(message, 'limit', rules.limit);
    if (before !== undefined && after !== undefined) return badField(message, 'after', rules.after);
    if (changes !== undefined && typeof changes !== 'boolean') return badField(message, 'changes', rules.changes);
    const options = { ...(id !== undefined && { id }), ...(changes !== undefined && { changes }) };
    const request = { kind: 'history', room, limit, ...options } as const;
    if (before !== undefined) return isSeq(before) ? { ...request, before } : badField(message, 'before', rules.seq);
    if (after !== undefined) return isSeq(after) ? { ...request, after } : badField(message, 'after', rules.seq);
    return request;
  },
  ack(room: string, message: Fields): Command {
    const { seq } = message;
    return isSeq(seq) ? { kind: 'ack', room, seq } : badField(message, 'seq', rules.seq);
  },
};

const CODES = { min: 1000, max: 4999 };

function decodeReport(message: Fields): Command {
  const { code, reason, after, away, online, visible } = message;
  const isCode = code === undefined || (isCount(code, CODES.max) && code >= CODES.min);
  if (!isCode) return badField(message, 'code', rules.code);
  if (!isText(reason, REASON_BYTES)) return badField(message, 'reason', rules.reason);
  if (!isSeq(after)) return badField(message, 'after', rules.ms);
  if (!isSeq(away)) return badField(message, 'away', rules.ms);
  if (!isFlag(online)) return badField(message, 'online', rules.flag);
  if (!isFlag(visible)) return badField(message, 'visible', rules.flag);
  const report = {
    ...(code !== undefined && { code }),
    reason,
    after,
    away,
    ...(online !== undefined && { online }),
    ...(visible !== undefined && { visible }),
  };
  return { kind: 'report', report };
}

const OPS: ReadonlySet<unknown> = new Set<ChangeOp>(['edit', 'delete', 'react', 'unreact']);

function isOp(value: unknown): value is ChangeOp {
  return OPS.has(value);
}

/** Decodes a send with an `op`. An edit counts twice: its text is in its message, too. */
function decodeChange(room: string, id: string, message: Fields): Command {
  const { op, of, data, reaction, reply } = message;
  if (!isOp(op)) return badField(message, 'op', rules.op);
  if (!isNumber(of)) return badField(message, 'of', rules.of);
  if (reply !== undefined) return badField(message, 'reply', rules.noReply);
  const extra = { kind: 'change', op, of } as const;
  if (op === 'edit') {
    if (!isData(data)) return badField(message, 'data', rules.data);
    const json = JSON.stringify(data);
    return { kind: 'broadcast', room, id, data: json, json: true, bytes: 2 * Buffer.byteLength(json), extra };
  }
  if (op === 'delete') return { kind: 'broadcast', room, id, data: '', json: false, bytes: 0, extra };
  if (!isName(reaction, REACTION_BYTES)) return badField(message, 'reaction', rules.reaction);
  const bytes = Buffer.byteLength(reaction) + USER_BYTES;
  return { kind: 'broadcast', room, id, data: reaction, json: false, bytes, extra };
}

/** Names the refused request and its room where those fields are valid. */
function refusal(code: ErrorCode, { t, id, room }: Fields, invalid?: InvalidField): Command {
  return {
    kind: 'refusal',
    code,
    ...invalid,
    ...((t === 'send' || t === 'history') && isName(id, fields.id) && { id }),
    ...(isName(room, fields.room) && { room }),
  };
}

interface InvalidField {
  readonly field: string;
  readonly message: string;
}

/** @param field its path, such as `since.seq`. */
function badField(message: Fields, field: string, rule: string): Command {
  return refusal('bad_field', message, { field, message: `${message['t']}: "${field}" ${rule}` });
}

function badSince(message: Fields, since: unknown): Command {
  if (!isObject(since)) return badField(message, 'since', rules.since);
  if (!isName(since['epoch'], EPOCH_BYTES)) return badField(message, 'since.epoch', rules.epoch);
  return badField(message, 'since.seq', rules.seq);
}

/** @returns undefined for text that is not JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isToken(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

/** Reports whether `value` is data. Its depth is limited, because JSON.stringify recurses. */
export function isData(value: unknown, depth = fields.depth): value is Json {
  if (typeof value !== 'object' || value === null) return value !== undefined;
  return depth > 0 && Object.values(value).every((inner) => isData(inner, depth - 1));
}

/** Reports whether `value` is a string of at most `maxBytes` bytes of UTF-8. */
function isText(value: unknown, maxBytes: number): value is string {
  return value === '' || isName(value, maxBytes);
}

function isFlag(value: unknown): value is boolean | undefined {
  return value === undefined || typeof value === 'boolean';
}

function isSeq(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Reports whether `value` can be the number of a message. */
function isNumber(value: unknown): value is number {
  return isSeq(value) && value > 0;
}

function isCount(value: unknown, max: number): value is number {
  return isSeq(value) && value <= max;
}

export function isPlace(value: unknown): value is Place {
  return isObject(value) && isName(value['epoch'], EPOCH_BYTES) && isSeq(value['seq']);
}

export const notices: Wire['notices'] = new Set([
  'welcome',
  'joined',
  'left',
  'sent',
  'gap',
  'presence',
  'signal',
  'history',
  'pong',
  'authenticated',
  'read',
  'refresh',
  'drain',
  'error',
] as const);

// ── Encoding ────────────────────────────────────────────────────────────────────────────────────

/** Returns what precedes a record's own fields in a `message` of the room. */
export function messagePrefix(room: string): string {
  return `{"t":"message","room":${JSON.stringify(room)},`;
}

/** Returns the line of a record's own fields; an empty one for none. */
export function lineOf(prefix: string, own: string): string {
  return own === '' ? '' : prefix + own;
}

/**
 * Returns a function that encodes a record for a client that understands changes.
 *
 * @param start precedes each line.
 */
export function lineWithChanges(room: string, start = '', withinLine = (line: string) => line) {
  const message = start + messagePrefix(room);
  const change = `${start}{"t":"change","room":${JSON.stringify(room)},`;
  return (record: LogRecord) => {
    const { extra } = record;
    if (extra?.kind === 'change') return change + withinLine(encodeChange(record, extra));
    return message + withinLine(encodeAnyMessage(record));
  };
}

/**
 * Encodes the records after `from` as lines: as many as fit `maxBytes`, and at least one.
 *
 * @param encodeLine returns an empty text for a record that is not shown.
 */
export function encodeLines(
  buffer: LineBuffer,
  records: Records,
  from: number,
  maxBytes: number,
  encodeLine: (record: LogRecord) => string,
): Frame {
  let to = from;
  let bytes = 0;
  do {
    const line = encodeLine(records.at(to + 1));
    if (line !== '') {
      const bytesWithNext = buffer.add(line);
      if (bytesWithNext > maxBytes && bytes > 0) break;
      bytes = bytesWithNext;
    }
    to++;
  } while (to < records.head && bytes <= maxBytes);
  return bytes === 0 ? silentFrame(from, to) : { bytes: buffer.take(bytes), from, to };
}

export function encodeNotice(notice: Notice): string {
  // Every message is acknowledged, so this one is written by hand.
  if (notice.t === 'sent') {
    const duplicate = notice.duplicate ? ',"duplicate":true' : '';
    return `{"t":"sent","room":${quote(notice.room)},"id":${quote(notice.id)},"seq":${notice.seq}${duplicate}}`;
  }
  if (notice.t !== 'history') return JSON.stringify(notice);
  const { room, id, records, from, to, more } = notice;
  const messages = records.map((record) => `{${encodeAnyMessage(record)}`).join(',');
  const idField = id === undefined ? '' : `,"id":${JSON.stringify(id)}`;
  const range = `"from":${from},"to":${to},"more":${more}`;
  return `{"t":"history","room":${JSON.stringify(room)}${idField},"messages":[${messages}],${range}}`;
}
