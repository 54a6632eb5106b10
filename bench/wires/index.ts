import { gorilla } from './gorilla.ts';
import { socketIo, socketIoRooms } from './socket-io.ts';
import { v1 } from './v1.ts';
import type { Wire } from './wire.ts';

export type { Decoder, Place, Wire } from './wire.ts';

export const wires = {
  gorilla,
  v1,
  'socket.io': socketIo,
  'socket.io-rooms': socketIoRooms,
} as const satisfies Record<string, Wire>;

export type WireName = keyof typeof wires;
