import { isUtf8 } from 'node:buffer';
import { closes } from '../protocol/close-codes.ts';
import { encodeUnmerged, PUBLIC_ROOM, recordText } from './text.ts';
import { type Command, decodeText, noNotices, textMessage, type Wire, type WireLimits } from './wire.ts';

const defaults: WireLimits = { maxMessageSize: 16 * 1024, pingPeriod: 25_000, pongWait: 35_000, writeWait: 10_000 };

/**
 * The wire of the chat in chapter 1 of Go Programming Blueprints, for its page at `/room`. Accepts
 * text, or binary that is valid UTF-8, and sends it unchanged: one message a text frame. The chat
 * neither pings nor limits a message, so the limits are Pumphouse's own.
 */
export function blueprints(limits: Partial<WireLimits> = {}): Wire {
  return {
    ...defaults,
    ...limits,
    ...noNotices,
    name: 'blueprints',
    path: '/room',
    library: 'gorilla',
    rooms: [PUBLIC_ROOM],
    merges: false,
    page: 'everywhere',
    decode,
    encode: encodeUnmerged(recordText),
    closeFrame: (close) => close,
  };
}

function decode(data: Uint8Array, binary: boolean): readonly Command[] {
  if (binary && !isUtf8(data)) return [{ kind: 'violation', close: closes.invalidText }];
  return [textMessage(PUBLIC_ROOM, decodeText(data))];
}
