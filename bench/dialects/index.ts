import type { Dialect } from './dialect.ts';
import { gorilla } from './gorilla.ts';
import { socketIo } from './socket-io.ts';
import { v1 } from './v1.ts';

export type { Dialect, Ear, Place } from './dialect.ts';

export const dialects = { gorilla, v1, 'socket.io': socketIo } as const satisfies Record<string, Dialect>;

export type DialectName = keyof typeof dialects;
