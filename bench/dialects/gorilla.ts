import { lineEnd, readMessage } from '../generator/message.ts';
import type { Dialect } from './dialect.ts';

/** Plain text in one room: a frame is a message, or several with a newline between them. */
export const gorilla: Dialect = {
  name: 'gorilla',
  path: '/ws',
  protocol: undefined,
  rooms: false,
  longest: 512,
  opening: () => [],
  message: (text) => text,
  ear: (bytes) => ({
    whole: false,
    greet: () => true,
    /** All messages have one length: their number follows from the frame's. */
    count: (_payload, length) => Math.ceil((length + 1) / (bytes + 1)),
    read(frame, found) {
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
