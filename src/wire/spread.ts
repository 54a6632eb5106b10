import type { LogRecord } from '../hub/log.ts';
import { type Close, closes } from '../protocol/close-codes.ts';
import { encodeUnmerged, PUBLIC_ROOM, recordText } from './text.ts';
import {
  fieldOf,
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

// The chatroom queues 20 messages for a client.
const defaults: WireLimits = { ...subscribeOnly.limits, writeWait: 10_000, sendBuffer: 20 };

const AWAY = { code: closes.goingAway.code, reason: '' };

/** Accepts `{ name, msg }` as JSON, whatever the Content-Type. */
export const namedPublishing: Publishing = { maxBodyBytes: 16 * 1024, postOnly: false, read };

/**
 * The wire of egemengol/spread's chatroom, for its page and any client of `/subscribe`. Accepts
 * `{ name, msg }` at `/publish` alone and sends the same, one message a text frame. Like the
 * chatroom, closes a slow consumer with 1001.
 */
export function spread(limits: Partial<WireLimits> = {}): Wire {
  const { decode, path, library, rooms } = subscribeOnly;
  return {
    ...defaults,
    ...limits,
    ...noNotices,
    name: 'spread',
    path,
    library,
    rooms,
    merges: false,
    publishing: namedPublishing,
    page: 'everywhere',
    decode,
    encode: encodeUnmerged(encodeRecord),
    closeFrame,
  };
}

function read(body: string): ReadPost {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch (error) {
    return { kind: 'invalid', reason: `not JSON: ${(error as Error).message}` };
  }
  const object = typeof value === 'object' && value !== null ? value : {};
  const [name, msg] = [fieldOf(object, 'name'), fieldOf(object, 'msg')];
  if (typeof name !== 'string' || typeof msg !== 'string' || name === '' || msg === '') {
    return { kind: 'invalid', reason: 'name and msg are required' };
  }
  if (!isUser(name)) return { kind: 'invalid', reason: 'name is longer than 64 bytes' };
  return { kind: 'post', post: { ...textMessage(PUBLIC_ROOM, msg), from: name, accepted: 204 } };
}

function encodeRecord(record: LogRecord): string {
  return JSON.stringify({ name: record.from, msg: recordText(record) });
}

function closeFrame(close: Close): Close {
  return isSlow(close) || close.code === AWAY.code ? { ...AWAY } : close;
}
