import type { LogRecord } from '../hub/log.ts';
import { type Close, closes } from '../protocol/close-codes.ts';
import { apart, PUBLIC_ROOM, textIn } from './text.ts';
import {
  isSlow,
  isUser,
  noNotices,
  type Publishing,
  subscribeOnly,
  textMessage,
  type Wire,
  type WireLimits,
} from './wire.ts';

const defaults: WireLimits = { ...subscribeOnly.limits, writeWait: 10_000, sendBuffer: 20 };

const AWAY = { code: closes.goingAway.code, reason: '' };

/** What is posted is `{ name, msg }`, whatever its type. */
export const namedPublishing: Publishing = { most: 16 * 1024, postOnly: false, read };

/** The wire of egemengol/spread's chatroom: one receives `{ name, msg }` on `/subscribe`, and sends the same to `/publish`. */
export function spread(limits: Partial<WireLimits> = {}): Wire {
  const { decode, path, library, rooms } = subscribeOnly;
  const own = {
    name: 'spread',
    path,
    library,
    rooms,
    merges: false,
    publishing: namedPublishing,
    page: 'everywhere',
  } as const;
  return { ...defaults, ...limits, ...own, ...noNotices, decode, encode: apart(write), closeFrame };
}

function read(body: string) {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch (error) {
    return `not JSON: ${(error as Error).message}`;
  }
  const { name, msg } = (value ?? {}) as Record<string, unknown>;
  if (typeof name !== 'string' || typeof msg !== 'string' || name === '' || msg === '') {
    return 'name and msg are required';
  }
  if (!isUser(name)) return 'name is longer than 64 bytes';
  return { ...textMessage(PUBLIC_ROOM, msg), from: name, accepted: 204 } as const;
}

function write(record: LogRecord): string {
  return JSON.stringify({ name: record.from, msg: textIn(record) });
}

function closeFrame(close: Close): Close {
  return isSlow(close) || close.code === AWAY.code ? { ...AWAY } : close;
}
