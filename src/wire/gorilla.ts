import { isUtf8 } from 'node:buffer';
import { sizeOf } from '../hub/changes.ts';
import type { LogRecord, Records } from '../hub/log.ts';
import type { Frame } from '../hub/subscriber.ts';
import { type Close, closes } from '../protocol/close-codes.ts';
import { endOfHidden, isShown, PUBLIC_ROOM, recordText, silentFrame } from './text.ts';
import { type Command, decodeText, isSlow, noNotices, type Wire, type WireLimits } from './wire.ts';

const defaults: WireLimits = { maxMessageSize: 512, pingPeriod: 54_000, pongWait: 60_000, writeWait: 10_000 };

// The white space of Go's bytes.TrimSpace. It includes U+0085 and excludes U+FEFF; JavaScript's
// trim does the opposite.
const SPACE = '\\t\\n\\v\\f\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const OUTER_SPACE = new RegExp(`^[${SPACE}]+|[${SPACE}]+$`, 'g');

/**
 * The wire of gorilla/websocket's chat example, for its page at `/ws`. Accepts text, or binary that
 * is valid UTF-8: newlines become spaces and outer white space is trimmed, as in its readPump.
 * Sends every message of the one public room, the sender's own included. As in its writePump,
 * messages that are ready together share a text frame, separated by newlines.
 */
export function gorilla(limits: Partial<WireLimits> = {}): Wire {
  return {
    ...defaults,
    ...limits,
    ...noNotices,
    name: 'gorilla',
    path: '/ws',
    library: 'gorilla',
    rooms: [PUBLIC_ROOM],
    merges: true,
    decode,
    encode,
    closeFrame,
  };
}

function decode(data: Uint8Array, binary: boolean): readonly Command[] {
  if (binary && !isUtf8(data)) return [{ kind: 'violation', close: closes.invalidText }];
  const received = decodeText(data);
  const text = trim(withoutNewlines(received));
  const bytes = text.length === received.length ? data.byteLength : Buffer.byteLength(text);
  return [{ kind: 'broadcast', room: PUBLIC_ROOM, id: '', data: text, json: false, bytes }];
}

function encode(_room: string, records: Records, from: number, maxBytes: number): Frame {
  const hiddenTo = endOfHidden(records, from);
  if (hiddenTo === records.head) return silentFrame(from, hiddenTo);
  let to = hiddenTo + 1;
  let text = encodeRecord(records.at(to));
  let bytes = sizeOf(records.at(to));
  while (to < records.head) {
    const record = records.at(to + 1);
    if (isShown(record)) {
      bytes += sizeOf(record) + 1;
      if (bytes > maxBytes) break;
      text += `\n${encodeRecord(record)}`;
    }
    to++;
  }
  return { bytes: Buffer.from(text), from, to };
}

function encodeRecord(record: LogRecord): string {
  return withoutNewlines(recordText(record));
}

/** Newlines separate messages. Those in a message, also of another wire, become spaces. */
function withoutNewlines(text: string): string {
  return text.includes('\n') ? text.replaceAll('\n', ' ') : text;
}

function trim(text: string): string {
  return mayBeSpace(text, 0) || mayBeSpace(text, text.length - 1) ? text.replace(OUTER_SPACE, '') : text;
}

/** Reports whether the character may be white space; only then the costlier pattern is needed. */
function mayBeSpace(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code <= 0x20 || code >= 0x80;
}

/** As in the example, a slow client gets an empty close frame, and one without a pong gets none. */
function closeFrame(close: Close): Close {
  const { code, reason } = close;
  if (isSlow(close)) return { ...closes.empty, reason };
  return code === closes.pongTimeout.code ? { ...closes.abnormal, reason } : close;
}
