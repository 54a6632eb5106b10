import { lineEnd, readMessage } from '../generator/message.ts';
import type { Wire } from './wire.ts';

/** Plain text in one room. A frame holds one message, or several separated by newlines. */
export const gorilla: Wire = {
  name: 'gorilla',
  path: '/ws',
  protocol: undefined,
  rooms: false,
  replays: false,
  confirmsJoin: false,
  maxBytes: 512,
  join: () => [],
  encode: (text) => text,
  decoder: (bytes) => ({
    needsPayload: false,
    joined: () => true,
    /** All messages have the same length, so the length of the frame determines their number. */
    count: (_payload, length) => Math.ceil((length + 1) / (bytes + 1)),
    decode(frame, found) {
      for (let at = 0; at <= frame.length; ) {
        const message = readMessage(frame, at, bytes);
        const end = lineEnd(frame, message ? at + bytes : at);
        if (message && end === at + bytes) found(message, '');
        else found(undefined, frame.toString('utf8', at, end));
        at = end + 1;
      }
    },
  }),
};
