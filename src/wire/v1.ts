import type { LogRecord, Records } from '../hub/log.ts';
import type { Frame, Notice } from '../hub/subscriber.ts';
import { closes } from '../protocol/close-codes.ts';
import { type ErrorCode, type Json, type Place, ROOM_BYTES } from '../protocol/v1.ts';
import { Lines } from './lines.ts';
import { type Command, isName, textOf, type Wire, type WireLimits } from './wire.ts';

const defaults: WireLimits = { maxMessageSize: 16 * 1024, pingPeriod: 25_000, pongWait: 35_000, writeWait: 10_000 };

/** What the fields of a message may hold, beside the wire's limits. */
export const fields = { room: ROOM_BYTES, id: 128, history: 1000, depth: 100 };

const HISTORY = 50;

/** The wire of `pumphouse.v1`, as PROTOCOL.md specifies it. */
export function v1(limits: Partial<WireLimits> = {}): Wire {
  const lines = new Lines();
  const encode: Wire['encode'] = (room, records, from, most) => encodeOn(lines, room, records, from, most);
  const closeFrame: Wire['closeFrame'] = (close) => close;
  const own = { name: 'v1', path: '/ws', library: 'gorilla', rooms: [], merges: true } as const;
  return { ...defaults, ...limits, ...own, notices, decode, encode, encodeNotice: notice, closeFrame };
}

// ── What comes in ───────────────────────────────────────────────────────────────────────────────────────────────────

function decode(data: Uint8Array, binary: boolean): readonly Command[] {
  if (binary) return [{ kind: 'violation', close: closes.unsupported }];
  const text = textOf(data);
  return text.includes('\n') ? text.split('\n').map(command) : [command(text)];
}

// `JSON.stringify({ t: 'send', room, id, data })` where nothing in the room and the id is escaped.
const USUAL_SEND = /^\{"t":"send","room":"([^"\\\p{Cc}]+)","id":"([^"\\\p{Cc}]+)","data":(.+)\}$/su;

/** Reads most of what comes in at half the price: its data is JSON already. @returns undefined for all that is not so usual. */
function usualSend(line: string): Command | undefined {
  const [, room, id, data] = USUAL_SEND.exec(line) ?? [];
  if (data === undefined || !isName(room, fields.room) || !isName(id, fields.id) || !isData(parsed(data))) {
    return undefined;
  }
  return { kind: 'broadcast', room, id, data, json: true, bytes: Buffer.byteLength(data) };
}

type Fields = Record<string, unknown>;

function command(line: string): Command {
  const usual = usualSend(line);
  if (usual) return usual;
  const value = parsed(line);
  return isObject(value) ? read(value) : refusal('not_json', {});
}

function read(value: Fields): Command {
  const { t, room } = value;
  if (t === 'ping') return { kind: 'ping' };
  if (t === 'auth') return isToken(value['token']) ? { kind: 'auth', token: value['token'] } : refusal('bad_field', {});
  const reader = typeof t === 'string' && Object.hasOwn(readers, t) ? readers[t as keyof typeof readers] : undefined;
  if (!reader) return refusal('unknown_type', value);
  if (!isName(room, fields.room)) return refusal('bad_room', value);
  return reader(room, value) ?? refusal('bad_field', value);
}

/** By `t`: each gets a room's name that is one, and returns undefined when another field is not what it should be. */
const readers = {
  send(room: string, { id, data }: Fields): Command | undefined {
    if (!isName(id, fields.id) || !isData(data)) return undefined;
    const json = JSON.stringify(data);
    return { kind: 'broadcast', room, id, data: json, json: true, bytes: Buffer.byteLength(json) };
  },
  join(room: string, { since, history = 0 }: Fields): Command | undefined {
    if (!isCount(history, fields.history)) return undefined;
    if (since === undefined) return { kind: 'join', room, history };
    return isPlace(since) ? { kind: 'join', room, history, since } : undefined;
  },
  leave(room: string): Command {
    return { kind: 'leave', room };
  },
  signal(room: string, { data }: Fields): Command | undefined {
    return isData(data) ? { kind: 'signal', room, data } : undefined;
  },
  history(room: string, { id, before, after, limit = HISTORY }: Fields): Command | undefined {
    if (id !== undefined && !isName(id, fields.id)) return undefined;
    if (!isCount(limit, fields.history) || limit === 0 || (before !== undefined && after !== undefined))
      return undefined;
    const asked = { kind: 'history', room, limit, ...(id !== undefined && { id }) } as const;
    if (before !== undefined) return isSeq(before) ? { ...asked, before } : undefined;
    if (after !== undefined) return isSeq(after) ? { ...asked, after } : undefined;
    return asked;
  },
  ack(room: string, { seq }: Fields): Command | undefined {
    return isSeq(seq) ? { kind: 'ack', room, seq } : undefined;
  },
};

/** Names the request and the room that it refuses, as far as they can be read. */
function refusal(code: ErrorCode, { t, id, room }: Fields): Command {
  return {
    kind: 'refusal',
    code,
    ...((t === 'send' || t === 'history') && isName(id, fields.id) && { id }),
    ...(isName(room, fields.room) && { room }),
  };
}

/** @returns undefined for what is not JSON. */
function parsed(text: string): unknown {
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

/** What is nested deeper could not be written as JSON again: that recurses. */
function isData(value: unknown, depth = fields.depth): value is Json {
  if (typeof value !== 'object' || value === null) return value !== undefined;
  return depth > 0 && Object.values(value).every((inner) => isData(inner, depth - 1));
}

function isSeq(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isCount(value: unknown, most: number): value is number {
  return isSeq(value) && value <= most;
}

function isPlace(value: unknown): value is Place {
  return isObject(value) && isName(value['epoch'], 128) && isSeq(value['seq']);
}

const notices: Wire['notices'] = new Set([
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
  'drain',
  'error',
] as const);

// ── What goes out ───────────────────────────────────────────────────────────────────────────────────────────────────

function encodeOn(lines: Lines, room: string, records: Records, from: number, most: number): Frame {
  const head = `{"t":"message","room":${JSON.stringify(room)},`;
  let to = from + 1;
  let bytes = lines.add(head + messageOf(records.at(to)));
  while (to < records.head) {
    const more = lines.add(head + messageOf(records.at(to + 1)));
    if (more > most) break;
    bytes = more;
    to++;
  }
  return { bytes: lines.take(bytes), from, to };
}

/** A record's own fields, and the brace that ends its object. What other wires say is text: it is `{ text }` here. */
function messageOf({ seq, id, from, at, data, json }: LogRecord): string {
  const value = json ? data : `{"text":${JSON.stringify(data)}}`;
  return `"seq":${seq},"id":${quoted(id)},"from":${quoted(from)},"at":${at},"data":${value}}`;
}

// What JSON writes as it is.
const PLAIN = /^[ !#-[\]-~]*$/;

function quoted(text: string): string {
  return PLAIN.test(text) ? `"${text}"` : JSON.stringify(text);
}

function notice(said: Notice): string {
  // There is one for each message: it is written by hand.
  if (said.t === 'sent') {
    const again = said.duplicate ? ',"duplicate":true' : '';
    return `{"t":"sent","room":${quoted(said.room)},"id":${quoted(said.id)},"seq":${said.seq}${again}}`;
  }
  if (said.t !== 'history') return JSON.stringify(said);
  const messages = said.records.map((record) => `{${messageOf(record)}`).join(',');
  const id = said.id === undefined ? '' : `,"id":${JSON.stringify(said.id)}`;
  return `{"t":"history","room":${JSON.stringify(said.room)}${id},"messages":[${messages}],"more":${said.more}}`;
}
