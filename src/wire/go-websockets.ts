import { randomInt } from 'node:crypto';
import type { LogRecord } from '../hub/log.ts';
import type { Notice } from '../hub/subscriber.ts';
import { type Close, closes } from '../protocol/close-codes.ts';
import { rawPublishing } from './coder.ts';
import { encodeUnmerged, recordText } from './text.ts';
import {
  isRoom,
  isSlow,
  isUser,
  noNotices,
  type Publishing,
  type ReadPost,
  subscribeOnly,
  textMessage,
  type Wire,
  type WireLimits,
} from './wire.ts';

// The server queues 16 messages for a client, and waits 5 seconds for a write.
const defaults: WireLimits = { ...subscribeOnly.limits, writeWait: 5_000, sendBuffer: 16 };

const TOO_SLOW = { code: 1008, reason: 'Server too slow to handle load' };
const ENDED = { code: 1011, reason: 'Closed in defer' };

/** Accepts JSON or a form that names a room; any other body is a message for the public room. */
const roomPublishing: Publishing = {
  ...rawPublishing,
  read: (body, type) => forRoom(body, type) ?? rawPublishing.read(body, type),
};

/**
 * The wire of fuadnafiz98/go-websockets, branch `basic`, for its page and any client of
 * `/subscribe`. Accepts messages at `/publish` alone and sends each as one text frame with the same
 * bytes.
 */
export function goWebsocketsBasic(limits: Partial<WireLimits> = {}): Wire {
  return { ...shared(limits), ...noNotices, name: 'go-websockets-basic', encode: encodeUnmerged(recordText) };
}

/**
 * The wire of fuadnafiz98/go-websockets, branch `master`. Accepts what the branch `basic` accepts,
 * and sends `{ message, messageType, created }`: messages, and notices of joins and leaves. As
 * there, a client without a name gets one of four random letters.
 */
export function goWebsockets(limits: Partial<WireLimits> = {}): Wire {
  return {
    ...shared(limits),
    name: 'go-websockets',
    guest,
    notices: new Set(['presence', 'signal'] as const),
    encodeNotice,
    encode: encodeUnmerged(encodeRecord),
  };
}

function shared(limits: Partial<WireLimits>) {
  const { decode, path, library, rooms } = subscribeOnly;
  return {
    ...defaults,
    ...limits,
    path,
    library,
    rooms,
    merges: false,
    publishing: roomPublishing,
    decode,
    closeFrame,
  };
}

/**
 * Reads JSON or a form of `room_id`, `user_id` and `message`. Without a message it announces the
 * user. @returns undefined for a body that names no room.
 */
export function forRoom(body: string, type: string): ReadPost | undefined {
  const { room_id: room, user_id: user = 'guest', message } = fieldsOf(body, type);
  if (room === undefined) return undefined;
  if (!isRoom(room)) return { kind: 'invalid', reason: 'room_id is not the name of a room' };
  if (!isUser(user)) return { kind: 'invalid', reason: 'user_id is not a name of 1 to 64 bytes' };
  if (message === undefined) return { kind: 'post', post: { kind: 'arrival', room, user, accepted: 202 } };
  if (typeof message !== 'string') return { kind: 'invalid', reason: 'message is not a text' };
  return { kind: 'post', post: { ...textMessage(room, message), from: user, accepted: 202 } };
}

function fieldsOf(body: string, type: string): Record<string, unknown> {
  if (/^application\/x-www-form-urlencoded\b/i.test(type)) return Object.fromEntries(new URLSearchParams(body));
  if (!/^application\/json\b/i.test(type)) return {};
  try {
    return (JSON.parse(body) as Record<string, unknown> | null) ?? {};
  } catch {
    return {};
  }
}

const LETTERS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';

function guest(): string {
  return Array.from({ length: 4 }, () => LETTERS[randomInt(LETTERS.length)]).join('');
}

function encodeRecord(record: LogRecord): string {
  return encodeLine(recordText(record), 'MESSAGE', record.at);
}

/** Encodes one line for each join and leave: none where the room is too large for names. */
function encodeNotice(notice: Notice): string {
  const now = Date.now();
  const welcome = (user: string) => encodeLine(`Welcome new user: ${user}`, 'WELCOME_MESSAGE', now);
  if (notice.t === 'signal') return isArrival(notice.data) ? welcome(notice.from) : '';
  if (notice.t !== 'presence') return '';
  const { joined = [], left = [] } = notice;
  const leave = (user: string) => encodeLine(`User Logged out: ${user}`, 'LEAVE_MESSAGE', now);
  return [...joined.map(welcome), ...left.map(leave)].join('\n');
}

function isArrival(data: unknown): boolean {
  return typeof data === 'object' && data !== null && (data as { arrived?: unknown }).arrived === true;
}

function encodeLine(message: string, messageType: string, at: number): string {
  return JSON.stringify({ message, messageType, created: new Date(at).toISOString() });
}

/** Replaces 1001 with 1012: the pages reconnect after every code but 1001. */
function closeFrame(close: Close): Close {
  if (isSlow(close)) return TOO_SLOW;
  if (close.code === closes.goingAway.code) return closes.restart;
  return close.code === closes.unexpectedData.code ? close : ENDED;
}
