import type { LogRecord } from '../hub/log.ts';
import { type Close, closes } from '../protocol/close-codes.ts';
import { apart, textIn } from './text.ts';
import { type Command, isRoom, noNotices, textMessage, textOf, type Wire, type WireLimits } from './wire.ts';

const defaults: WireLimits = { maxMessageSize: 512, pingPeriod: 9_000, pongWait: 10_000, writeWait: 10_000 };

/** The room that its clients begin in and call by no name. */
const GENERAL = 'general';

const NOTHING: Command = { kind: 'nothing' };
const NO_ENVELOPE: Command = {
  kind: 'violation',
  close: { code: closes.abnormal.code, reason: 'a frame is not { type, payload }' },
};

/**
 * The wire of the demo golang-with-websocket: `{ type, payload }` over `/ws?otp=`, with a ticket from `/login`. A client is in one room at a
 * time; `change_room` takes it to another.
 */
export function events(limits: Partial<WireLimits> = {}): Wire {
  const place = { path: '/ws', library: 'gorilla', rooms: [GENERAL] } as const;
  const own = { name: 'events', ...place, ticketed: true, merges: false };
  const closeFrame: Wire['closeFrame'] = (close: Close) => close;
  return { ...defaults, ...limits, ...own, ...noNotices, decode, encode: apart(newMessage), closeFrame };
}

/** What is no envelope ends the connection; a type or a payload that is not known is passed over. */
function decode(data: Uint8Array): readonly Command[] {
  const envelope = objectIn(textOf(data));
  if (envelope === undefined) return [NO_ENVELOPE];
  const { type, payload } = envelope;
  if (typeof payload !== 'object' || payload === null) return [NOTHING];
  const { message, name } = payload as Record<string, unknown>;
  if (type === 'send_message' && typeof message === 'string') return [textMessage('', message)];
  if (type !== 'change_room' || typeof name !== 'string') return [NOTHING];
  const to = name === '' ? GENERAL : name;
  return [isRoom(to) ? { kind: 'change', room: to } : NOTHING];
}

function objectIn(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

/** `from` is who was signed in, not who the sender says it is. */
function newMessage(record: LogRecord): string {
  const { from, at } = record;
  const payload = { message: textIn(record), from, sent: new Date(at).toISOString() };
  return JSON.stringify({ type: 'new_message', payload });
}
