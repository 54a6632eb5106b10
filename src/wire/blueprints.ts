import { isUtf8 } from 'node:buffer';
import { closes } from '../protocol/close-codes.ts';
import { apart, PUBLIC_ROOM, textIn } from './text.ts';
import { type Command, noNotices, textMessage, textOf, type Wire, type WireLimits } from './wire.ts';

const defaults: WireLimits = { maxMessageSize: 16 * 1024, pingPeriod: 25_000, pongWait: 35_000, writeWait: 10_000 };

/** The wire of the chat in the first chapter of Go Programming Blueprints: raw text over `/room`, verbatim, a message a frame. */
export function blueprints(limits: Partial<WireLimits> = {}): Wire {
  const own = {
    name: 'blueprints',
    path: '/room',
    library: 'gorilla',
    rooms: [PUBLIC_ROOM],
    merges: false,
    page: 'template everywhere',
  } as const;
  const closeFrame: Wire['closeFrame'] = (close) => close;
  return { ...defaults, ...limits, ...own, ...noNotices, decode, encode: apart(textIn), closeFrame };
}

function decode(data: Uint8Array, binary: boolean): readonly Command[] {
  if (binary && !isUtf8(data)) return [{ kind: 'violation', close: closes.invalidText }];
  return [textMessage(PUBLIC_ROOM, textOf(data))];
}
