import type { LogRecord } from '../hub/log.ts';
import { closes } from '../protocol/close-codes.ts';
import { encodeUnmerged, recordText } from './text.ts';
import {
  type Command,
  decodeText,
  fieldOf,
  isRoom,
  noNotices,
  textMessage,
  type Wire,
  type WireLimits,
} from './wire.ts';

const defaults: WireLimits = { maxMessageSize: 512, pingPeriod: 9_000, pongWait: 10_000, writeWait: 10_000 };

/** The room that a client starts in. `change_room` reaches it by an empty name too. */
const GENERAL = 'general';

const IGNORED: Command = { kind: 'ignored' };
// The demo ends a connection whose frame it cannot parse, and sends no close frame.
const NOT_AN_EVENT: Command = {
  kind: 'violation',
  close: { code: closes.abnormal.code, reason: 'a frame is not { type, payload }' },
};

/**
 * The wire of the demo golang-with-websocket, for its page at `/ws?otp=`, with a ticket from
 * `/login`. Accepts `{ type, payload }` of the types `send_message` and `change_room`, and sends
 * `new_message`. As in the demo, a client is in one room at a time.
 */
export function events(limits: Partial<WireLimits> = {}): Wire {
  return {
    ...defaults,
    ...limits,
    ...noNotices,
    name: 'events',
    path: '/ws',
    library: 'gorilla',
    rooms: [GENERAL],
    ticketed: true,
    merges: false,
    decode,
    encode: encodeUnmerged(newMessage),
    closeFrame: (close) => close,
  };
}

/** Ignores an unknown type and a malformed payload, as the demo does. */
function decode(data: Uint8Array): readonly Command[] {
  const event = parseObject(decodeText(data));
  if (event === undefined) return [NOT_AN_EVENT];
  const [type, payload] = [fieldOf(event, 'type'), fieldOf(event, 'payload')];
  if (typeof payload !== 'object' || payload === null) return [IGNORED];
  const message = type === 'send_message' ? fieldOf(payload, 'message') : undefined;
  if (typeof message === 'string') return [textMessage('', message)];
  const name = type === 'change_room' ? fieldOf(payload, 'name') : undefined;
  if (typeof name !== 'string') return [IGNORED];
  const room = name === '' ? GENERAL : name;
  return [isRoom(room) ? { kind: 'change-room', room } : IGNORED];
}

/** Parses an envelope. Null is one without fields. */
function parseObject(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (value === null) return {};
    return typeof value === 'object' && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** `from` is the authenticated user. The name in the sender's own payload is ignored. */
function newMessage(record: LogRecord): string {
  const { from, at } = record;
  const payload = { message: recordText(record), from, sent: new Date(at).toISOString() };
  return JSON.stringify({ type: 'new_message', payload });
}
