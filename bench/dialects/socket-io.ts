import { readMessage } from '../generator/message.ts';
import type { Dialect } from './dialect.ts';

// Engine.IO's and Socket.IO's packet types: https://socket.io/docs/v4/socket-io-protocol/
const CONNECT = '40';
const EVENT = '42';
const PONG = '3';
const PING_LENGTH = 1;

const BEFORE = `${EVENT}["message","`;
const AFTER = '"]';

/** Socket.IO's protocol over a WebSocket: each message is an event in a frame of its own. */
export const socketIo: Dialect = {
  name: 'socket.io',
  path: '/socket.io/?EIO=4&transport=websocket',
  protocol: undefined,
  rooms: false,
  longest: 65_000,
  opening: () => [CONNECT],
  message: (text) => `${BEFORE}${text}${AFTER}`,
  ear: (bytes) => ({
    whole: false,
    greet: (payload) => payload.toString().startsWith(CONNECT),
    count: (_payload, length) => (length === BEFORE.length + bytes + AFTER.length ? 1 : 0),
    read(payload, found) {
      const text = payload.toString();
      if (!text.startsWith(EVENT)) return;
      const message = readMessage(payload, BEFORE.length, bytes);
      found(message, text);
    },
    answer: (length) => (length === PING_LENGTH ? PONG : undefined),
  }),
};
