import { readMessage } from '../generator/message.ts';
import type { Wire } from './wire.ts';

// Packet types of Engine.IO and Socket.IO: https://socket.io/docs/v4/socket-io-protocol/
const CONNECT = '40';
const EVENT = '42';
const PONG = '3';
const PING_LENGTH = 1;

const PREFIX = `${EVENT}["message","`;
const SUFFIX = '"]';

/** Socket.IO's protocol over a WebSocket: each message is an event in its own frame. */
export const socketIo: Wire = {
  name: 'socket.io',
  path: '/socket.io/?EIO=4&transport=websocket',
  protocol: undefined,
  rooms: false,
  replays: false,
  confirmsJoin: true,
  maxBytes: 65_000,
  join: () => [CONNECT],
  encode: (text) => `${PREFIX}${text}${SUFFIX}`,
  decoder: (bytes) => ({
    needsPayload: false,
    joined: (payload) => payload.toString().startsWith(CONNECT),
    count: (_payload, length) => (length === PREFIX.length + bytes + SUFFIX.length ? 1 : 0),
    decode(payload, found) {
      const text = payload.toString();
      if (!text.startsWith(EVENT)) return;
      found(readMessage(payload, PREFIX.length, bytes), text);
    },
    reply: (length) => (length === PING_LENGTH ? PONG : undefined),
  }),
};

/** The same protocol to a server that reads the room of a client from its handshake. */
export const socketIoRooms: Wire = {
  ...socketIo,
  name: 'socket.io-rooms',
  rooms: true,
  join: (room) => [`${CONNECT}${JSON.stringify({ room })}`],
};
