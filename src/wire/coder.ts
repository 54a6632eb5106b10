import { type Close, closes } from '../protocol/close-codes.ts';
import { encodeUnmerged, PUBLIC_ROOM, recordText } from './text.ts';
import { isSlow, noNotices, type Publishing, subscribeOnly, textMessage, type Wire, type WireLimits } from './wire.ts';

// The example queues 16 messages for a client, and waits 5 seconds for a write.
const defaults: WireLimits = { ...subscribeOnly.limits, writeWait: 5_000, sendBuffer: 16 };

const TOO_SLOW = { code: 1008, reason: 'connection too slow to keep up with messages' };

/** Accepts any body as a message, whatever its Content-Type. An empty body is an empty message. */
export const rawPublishing: Publishing = {
  maxBodyBytes: 8192,
  rate: { perSecond: 10, burst: 8 },
  postOnly: true,
  read: (body) => ({ kind: 'post', post: { ...textMessage(PUBLIC_ROOM, body), accepted: 202 } }),
};

/**
 * The wire of coder/websocket's chat example, for its page and any client of `/subscribe`. Accepts
 * messages at `/publish` alone and sends each as one text frame with the same bytes. Like the
 * example, closes a slow consumer with 1008: at 16 messages behind, or after 5 seconds without a
 * successful write.
 */
export function coder(limits: Partial<WireLimits> = {}): Wire {
  const { decode, path, library, rooms } = subscribeOnly;
  return {
    ...defaults,
    ...limits,
    ...noNotices,
    name: 'coder',
    path,
    library,
    rooms,
    merges: false,
    publishing: rawPublishing,
    decode,
    encode: encodeUnmerged(recordText),
    closeFrame,
  };
}

/** Replaces 1001 with 1012: the example's page reconnects after every code but 1001. */
function closeFrame(close: Close): Close {
  if (isSlow(close)) return TOO_SLOW;
  return close.code === closes.goingAway.code ? closes.restart : close;
}
