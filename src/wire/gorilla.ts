import { isUtf8 } from 'node:buffer';
import type { LogRecord, Records } from '../hub/log.ts';
import type { Frame } from '../hub/subscriber.ts';
import { type Close, closes } from '../protocol/close-codes.ts';
import { PUBLIC_ROOM, textIn } from './text.ts';
import { type Command, isSlow, noNotices, textOf, type Wire, type WireLimits } from './wire.ts';

const defaults: WireLimits = { maxMessageSize: 512, pingPeriod: 54_000, pongWait: 60_000, writeWait: 10_000 };

// What Go's bytes.TrimSpace takes for space: U+0085 is in, U+FEFF is not; for JavaScript's trim it is the other way round.
const SPACE = '\\t\\n\\v\\f\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const OUTER_SPACE = new RegExp(`^[${SPACE}]+|[${SPACE}]+$`, 'g');

/**
 * The wire of gorilla/websocket's chat example: text or binary in, newlines become spaces, outer space is trimmed; text
 * out, the messages that are ready joined by newlines in one frame. One public room, the sender included.
 */
export function gorilla(limits: Partial<WireLimits> = {}): Wire {
  const own = { name: 'gorilla', path: '/ws', library: 'gorilla', rooms: [PUBLIC_ROOM], merges: true } as const;
  return { ...defaults, ...limits, ...own, ...noNotices, decode, encode, closeFrame };
}

function decode(data: Uint8Array, binary: boolean): readonly Command[] {
  if (binary && !isUtf8(data)) return [{ kind: 'violation', close: closes.invalidText }];
  const said = textOf(data);
  const text = trim(onOneLine(said));
  const bytes = text.length === said.length ? data.byteLength : Buffer.byteLength(text);
  return [{ kind: 'broadcast', room: PUBLIC_ROOM, id: '', data: text, json: false, bytes }];
}

function encode(_room: string, records: Records, from: number, most: number): Frame {
  let to = from + 1;
  let text = lineOf(records.at(to));
  let bytes = records.at(to).bytes;
  while (to < records.head) {
    const record = records.at(to + 1);
    bytes += record.bytes + 1;
    if (bytes > most) break;
    text += `\n${lineOf(record)}`;
    to++;
  }
  return { bytes: Buffer.from(text), from, to };
}

function lineOf(record: LogRecord): string {
  return onOneLine(textIn(record));
}

/** A newline parts messages, so none may hold one: neither those that come in here nor those of other wires that go out. */
function onOneLine(text: string): string {
  return text.includes('\n') ? text.replaceAll('\n', ' ') : text;
}

function trim(text: string): string {
  return isOuterSpace(text, 0) || isOuterSpace(text, text.length - 1) ? text.replace(OUTER_SPACE, '') : text;
}

/** Whether the character may be space: only then the costlier pattern is asked. */
function isOuterSpace(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code <= 0x20 || code >= 0x80;
}

/** The example says nothing to a client that is too slow (an empty close frame), nor to one that is gone (none). */
function closeFrame(close: Close): Close {
  const { code, reason } = close;
  if (isSlow(close)) return { ...closes.empty, reason };
  return code === closes.pongTimeout.code ? { ...closes.abnormal, reason } : close;
}
