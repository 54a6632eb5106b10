import { type Close, closes } from '../protocol/close-codes.ts';
import { apart, PUBLIC_ROOM, textIn } from './text.ts';
import { isSlow, noNotices, type Publishing, subscribeOnly, textMessage, type Wire, type WireLimits } from './wire.ts';

const defaults: WireLimits = { ...subscribeOnly.limits, writeWait: 5_000, sendBuffer: 16 };

const TOO_SLOW = { code: 1008, reason: 'connection too slow to keep up with messages' };

/** What is posted is the message, whatever its type, empty ones too. */
export const rawPublishing: Publishing = {
  most: 8192,
  rate: { perSecond: 10, burst: 8 },
  postOnly: true,
  read: (text) => ({ ...textMessage(PUBLIC_ROOM, text), accepted: 202 }),
};

/**
 * The wire of coder/websocket's chat example: one receives on `/subscribe`, each message a text frame, its bytes as they were posted to
 * `/publish`. A client that takes nothing for 16 messages or 5 seconds is closed with 1008.
 */
export function coder(limits: Partial<WireLimits> = {}): Wire {
  const { decode, path, library, rooms } = subscribeOnly;
  const own = { name: 'coder', path, library, rooms, merges: false, publishing: rawPublishing } as const;
  return { ...defaults, ...limits, ...own, ...noNotices, decode, encode: apart(textIn), closeFrame };
}

/** Its pages come back after a second, except after 1001: since we do come back, they are told of a restart. */
function closeFrame(close: Close): Close {
  if (isSlow(close)) return TOO_SLOW;
  return close.code === closes.goingAway.code ? closes.restart : close;
}
