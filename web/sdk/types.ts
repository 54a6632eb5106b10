import type { ErrorCode, GapReason, Json, Limits, Place } from '../../src/protocol/v1.ts';

export type { ErrorCode, GapReason, Json, Limits, Place };

/** What a client is told by. */
export interface Options {
  /** What others know it by, 1 to 64 bytes; a guest's name of the server's unless given. */
  readonly user?: string;
  /**
   * Shows who one is, to a server that asks for tokens. A function is asked at each connection, and again before the token that it
   * gave expires.
   */
  readonly token?: string | (() => string | Promise<string>);
  /**
   * Where what is not sent yet outlives the program, as `localStorage` does: a session, and the messages that wait. In a browser
   * it is `localStorage` unless given, one place a tab; elsewhere there is none. `false`: nowhere.
   */
  readonly storage?: Store | false;
  /** The class of WebSockets to use; the platform's unless given. */
  readonly WebSocket?: WebSocketClass;
}

/** Where strings are kept by name: `localStorage` is one. It may throw: then nothing outlives the program. */
export interface Store {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

/** As much of a WebSocket as is used: those of browsers and of Node are such, and those of the package `ws`. */
export interface WebSocketLike {
  onopen: ((event: never) => unknown) | null;
  onmessage: ((event: never) => unknown) | null;
  onclose: ((event: never) => unknown) | null;
  onerror: ((event: never) => unknown) | null;
  send(text: string): void;
  close(code?: number): void;
}

export type WebSocketClass = new (url: string, protocols: string) => WebSocketLike;

/**
 * Where a connection stands.
 *
 * - `connecting`: it is being made.
 * - `live`: messages go and come.
 * - `reconnecting`: it was lost, and is tried again `in` so many milliseconds from when this was told.
 * - `offline`: it was lost, and the platform says that there is no network. It is tried again when there is, and now and then.
 * - `refused`: the server does not want it, and it is not tried again until `reconnect()`.
 * - `closed`: `close()` was called.
 *
 * `code` is that of the close, where there was one.
 */
export type State =
  | { readonly name: 'connecting' }
  | { readonly name: 'live'; readonly user: string; readonly session: string; readonly limits: Limits }
  | { readonly name: 'reconnecting'; readonly in: number; readonly why: string; readonly code?: number }
  | { readonly name: 'offline'; readonly why: string; readonly code?: number }
  | { readonly name: 'refused'; readonly why: string; readonly code: number }
  | { readonly name: 'closed' };

/** Something that was asked for is not done. `code` is one of the protocol's, or `too_long`, `left` or `closed`. */
export interface HubError extends Error {
  readonly code: ErrorCode | 'too_long' | 'left' | 'closed';
  /** The room that it is about, if there is one. */
  readonly room: string | undefined;
}

/** A message, as everyone in its room gets it. */
export interface Message<T> {
  /** Its place in the room: 1, 2, 3 … without a hole. */
  readonly seq: number;
  /** Its sender's name for it: that of a `Pending` of one's own. Empty where the sender's wire has none. */
  readonly id: string;
  readonly from: string;
  /** When it was stored, in milliseconds since 1970. */
  readonly at: number;
  readonly data: T;
}

/** A message of one's own that the server has not answered yet. */
export interface Pending<T> {
  readonly id: string;
  readonly data: T;
}

/** The messages `from`…`to` will not come: no longer kept, of a log that is gone, or too many for a slow reader. */
export interface Gap {
  readonly from: number;
  readonly to: number;
  readonly why: GapReason;
}

export type HubEvents = {
  /** It stands differently. */
  state: State;
  /** Something that was asked for is not done; where a promise waits for it, that rejects as well. */
  error: HubError;
};

export type RoomEvents<T, S> = {
  /** It is a member, for the first time or again. `recovered`: nothing that was said in between is missing. */
  joined: { readonly place: Place; readonly recovered: boolean; readonly again: boolean };
  /** Something was said: each message once, in the order of `seq`. */
  message: Message<T>;
  /** Some messages will not come. */
  gap: Gap;
  /** Who is there has changed: read `members` and `count`. Who came and went is named where the room is not too large. */
  presence: { readonly joined: readonly string[]; readonly left: readonly string[] };
  /** Someone present told something that is not kept. */
  signal: { readonly from: string; readonly data: S };
  /** A message of one's own is in the log, also one from before a reload. */
  sent: { readonly id: string; readonly seq: number };
  /** A message of one's own will not be in the log, also one from before a reload: the server does not take it. */
  failed: { readonly id: string; readonly data: T; readonly error: HubError };
};

/** A connection to a Pumphouse server, which comes back when it is lost, until `close()`. */
export interface Hub {
  readonly state: State;
  /** Messages of one's own, in all rooms, that the server has not answered yet. */
  readonly pending: number;
  /** Calls `handler` on each such event. @returns a function that ends it. */
  on<E extends keyof HubEvents>(event: E, handler: (told: HubEvents[E]) => void): () => void;
  /**
   * Joins a room, as soon as the connection is live and each time it is again. A room that was joined already is the same
   * object. `T` is the type of its messages' data and `S` that of its signals': they are not checked.
   */
  join<T = Json, S = Json>(room: string, options?: JoinOptions): Room<T, S>;
  /** Tries now, whatever it waits for: also after `refused`. */
  reconnect(): void;
  /** Ends the connection. What was not sent stays in the storage. */
  close(): void;
}

export interface JoinOptions {
  /** So many of the last messages come first, at most 1,000. */
  readonly history?: number;
  /** Everything after this place comes first: `room.place` of an earlier life. */
  readonly since?: Place;
}

/** A room that one is in. */
export interface Room<T, S> {
  readonly name: string;
  /** Everything up to here has come; undefined before the first `joined`. */
  readonly place: Place | undefined;
  /** Who is there, one name for each member; undefined in a room that is too large, and before the first `joined`. */
  readonly members: readonly string[] | undefined;
  /** How many are there. */
  readonly count: number;
  /** What was sent and is not answered yet, oldest first; also from before a reload. */
  readonly pending: readonly Pending<T>[];
  /** Calls `handler` on each such event. @returns a function that ends it. */
  on<E extends keyof RoomEvents<T, S>>(event: E, handler: (told: RoomEvents<T, S>[E]) => void): () => void;
  /**
   * Says something: now, or when the connection is live again. What one client sends to a room arrives in the order it was
   * sent, unless the server was too busy for some of it and took that later.
   *
   * @returns the message's `seq`, once it is stored; it is then in the room exactly once, however often the connection was lost.
   * Rejects with a `HubError` when the server will not take it, or will not have one in the room, with `left` after `leave()`, with `closed` after `close()`.
   */
  send(data: T): Promise<number>;
  /** Tells those present something that is not kept: typing and the like. It is not sent while the connection is not live. */
  signal(data: S): void;
  /**
   * Gets what was said before or after a message, or last: at most `limit` messages (50 unless given), oldest first. `more`:
   * there are others in that direction. It waits for the connection.
   */
  history(of?: {
    readonly before?: number;
    readonly after?: number;
    readonly limit?: number;
  }): Promise<{ readonly messages: readonly Message<T>[]; readonly more: boolean }>;
  /** Tells the server that the messages up to `seq` have been shown. */
  shown(seq: number): void;
  /** Leaves. What waits to be sent is not sent any more. */
  leave(): void;
}
