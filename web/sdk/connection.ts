import type { Join } from '../../src/protocol/v1.ts';
import type { Transport, WebSocketLike } from './types.ts';

/**
 * One connection of a link: a WebSocket, or a `FallbackConnection` that does over HTTP what a
 * WebSocket does. Its first message is the welcome. Another welcome follows when the fallback has
 * moved to a WebSocket.
 */
export interface Connection extends WebSocketLike {
  /** What its messages go over. @default a WebSocket */
  readonly transport?: Transport;
}

export type ConnectionClass = new (url: string, protocols: string[]) => Connection;

/** What a connection over HTTP needs to know of the rooms. */
export interface RoomSource {
  /** By name. The join of a room is at the place that it has reached. */
  readonly rooms: ReadonlyMap<string, { readonly request: Join }>;
}
