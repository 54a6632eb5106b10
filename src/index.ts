/** Pumphouse as a library: the Hub, its clients and wires, for a program that brings its own sockets. */
export { Client, type ClientContext, type ClientState, type Identity } from './client/client.ts';
export { Keepalive } from './client/keepalive.ts';
export type { Rate } from './client/rate.ts';
export { type MemoryOptions, memory } from './engine/memory.ts';
export { systemClock, systemScheduler } from './hub/clock.ts';
export { createEvents, type Events, type HubEvents } from './hub/events.ts';
export { Hub, type HubOptions } from './hub/hub.ts';
export type { Log } from './hub/log.ts';
export type * from './hub/ports.ts';
export { MAX_FRAME_BYTES } from './hub/ports.ts';
export type { Member } from './hub/room.ts';
export type { Coalesce, HubSettings, SlowPolicy } from './hub/settings.ts';
export { type Close, type CloseName, closes, comesBack } from './protocol/close-codes.ts';
export type * as Protocol from './protocol/v1.ts';
export { DROPPED, QUEUED, SENT, type SendStatus, type Socket, type SocketListener } from './transport/port.ts';
export { gorilla, PUBLIC_ROOM } from './wire/gorilla.ts';
export { v1 } from './wire/v1.ts';
export type { Command, Wire, WireLimits } from './wire/wire.ts';
