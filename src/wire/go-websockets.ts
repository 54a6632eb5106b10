import { randomInt } from 'node:crypto';
import type { LogRecord } from '../hub/log.ts';
import type { Notice } from '../hub/subscriber.ts';
import { type Close, closes } from '../protocol/close-codes.ts';
import { rawPublishing } from './coder.ts';
import { apart, textIn } from './text.ts';
import {
  type HttpPost,
  isRoom,
  isSlow,
  isUser,
  noNotices,
  type Publishing,
  subscribeOnly,
  textMessage,
  type Wire,
  type WireLimits,
} from './wire.ts';

const defaults: WireLimits = { ...subscribeOnly.limits, writeWait: 5_000, sendBuffer: 16 };

const TOO_SLOW = { code: 1008, reason: 'Server too slow to handle load' };
const ENDED = { code: 1011, reason: 'Closed in defer' };

/** Raw text for the public room; JSON or a form that names a room is for that room, and without a message says who has come. */
const roomPublishing: Publishing = {
  ...rawPublishing,
  read: (body, type) => forRoom(body, type) ?? rawPublishing.read(body, type),
};

/** The wire of fuadnafiz98/go-websockets as on its branch basic: raw text on `/subscribe`. */
export function goWebsocketsBasic(limits: Partial<WireLimits> = {}): Wire {
  return { ...common(limits), name: 'go-websockets-basic', ...noNotices, encode: apart(textIn) };
}

/** The same as on its branch master: JSON with the time, and notices of who comes and goes, under names of four letters. */
export function goWebsockets(limits: Partial<WireLimits> = {}): Wire {
  const notices: Wire['notices'] = new Set(['presence', 'signal'] as const);
  return { ...common(limits), name: 'go-websockets', guest, notices, encodeNotice: notice, encode: apart(message) };
}

function common(limits: Partial<WireLimits>) {
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

/** Reads JSON or a form. @returns undefined for a body that names no room. */
export function forRoom(body: string, type: string): HttpPost | string | undefined {
  const { room_id: room, user_id: user = 'guest', message } = fieldsOf(body, type);
  if (room === undefined) return undefined;
  if (!isRoom(room)) return 'room_id is not the name of a room';
  if (!isUser(user)) return 'user_id is not a name of 1 to 64 bytes';
  if (message === undefined) return { kind: 'arrival', room, user, accepted: 202 };
  return typeof message === 'string'
    ? { ...textMessage(room, message), from: user, accepted: 202 }
    : 'message is not a text';
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

function message(record: LogRecord): string {
  return line(textIn(record), 'MESSAGE', record.at);
}

/** Each who came or went is told in a message of its own; of a room with very many members nothing is told. */
function notice(told: Notice): string {
  const now = Date.now();
  const welcome = (user: string) => line(`Welcome new user: ${user}`, 'WELCOME_MESSAGE', now);
  if (told.t === 'signal') return isArrival(told.data) ? welcome(told.from) : '';
  if (told.t !== 'presence') return '';
  const { joined = [], left = [] } = told;
  const leave = (user: string) => line(`User Logged out: ${user}`, 'LEAVE_MESSAGE', now);
  return [...joined.map(welcome), ...left.map(leave)].join('\n');
}

function isArrival(data: unknown): boolean {
  return typeof data === 'object' && data !== null && (data as { arrived?: unknown }).arrived === true;
}

function line(message: string, messageType: string, at: number): string {
  return JSON.stringify({ message, messageType, created: new Date(at).toISOString() });
}

/** Its pages come back after a second, except after 1001: since we do come back, they are told of a restart. */
function closeFrame(close: Close): Close {
  if (isSlow(close)) return TOO_SLOW;
  if (close.code === closes.goingAway.code) return closes.restart;
  return close.code === closes.unexpectedData.code ? close : ENDED;
}
