import type { ChangeOp, ErrorCode, GapReason, Json, Limits, Place, Reaction } from '../../src/protocol/v1.ts';

export type { ChangeOp, ErrorCode, GapReason, Json, Limits, Place, Reaction };

/** Options of `connect`. */
export interface Options {
  /**
   * The user name that others see, 1 to 64 bytes of UTF-8.
   *
   * @default a guest name assigned by the server
   */
  readonly user?: string;
  /**
   * Authenticates to a server that requires tokens. A function is called for each connection, and
   * again before its last token expires or when the server asks for a new one. If it throws or
   * rejects, the connection is retried.
   *
   * @default no token
   */
  readonly token?: string | (() => string | Promise<string>);
  /**
   * Keeps the session and the unacknowledged messages across restarts of the program. `false` keeps
   * nothing. Two hubs with the same server and user must not share a store at the same time.
   *
   * @default in browsers `localStorage`, with one slot for each tab; elsewhere `false`
   */
  readonly storage?: Store | false;
  /**
   * Starts the id of each message that this client sends: up to 64 bytes of UTF-8. The server
   * rejects messages with a longer one. Every member sees it in `Message.id`: it is no secret. A
   * program that keeps it recognizes the messages of its earlier runs.
   *
   * @default no prefix
   */
  readonly idPrefix?: string;
  /**
   * The WebSocket class to connect with.
   *
   * @default `globalThis.WebSocket`; without it, as in Node 20, that of the package `ws`
   */
  readonly WebSocket?: WebSocketClass;
  /**
   * How to reach the server. `auto` connects by WebSocket, falls back to HTTP where no WebSocket
   * opens, and returns to WebSocket when one does. Everything works over both; HTTP is slower.
   *
   * @default 'auto'
   */
  readonly transport?: 'auto' | Transport;
  /**
   * The function that requests are made with over HTTP.
   *
   * @default `globalThis.fetch`
   */
  readonly fetch?: typeof fetch;
}

/** What a connection runs over. */
export type Transport = 'websocket' | 'http';

/**
 * Stores strings by key, as `localStorage` does. Its methods may throw; messages are then still
 * sent, but not kept across restarts.
 */
export interface Store {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

/** The part of WebSocket in use. Browsers, Node and the package `ws` implement it. */
export interface WebSocketLike {
  onopen: ((event: never) => unknown) | null;
  onmessage: ((event: never) => unknown) | null;
  onclose: ((event: never) => unknown) | null;
  onerror: ((event: never) => unknown) | null;
  send(text: string): void;
  close(code?: number): void;
}

export type WebSocketClass = new (url: string, protocols: string[]) => WebSocketLike;

/**
 * The state of a connection.
 *
 * - `connecting`: the connection is being opened.
 * - `live`: the connection is open and the server has sent its welcome. The state is entered again
 *   when the connection moves from HTTP to a WebSocket.
 * - `reconnecting`: the connection was lost. The next attempt starts `in` milliseconds after this
 *   state was entered.
 * - `offline`: the connection was lost and the platform reports no network. The next attempt starts
 *   when the network returns, or when the retry delay ends.
 * - `waiting`: the server accepts no connection for now, as when it has too many. The next attempt
 *   starts `in` milliseconds after this state was entered, the time that the server gave. Nothing
 *   makes it start earlier, not even `reconnect()`.
 * - `refused`: the server rejected the connection for good. There is no next attempt until
 *   `reconnect()`.
 * - `closed`: `close()` was called, or the platform has no WebSocket.
 *
 * `why` describes the reason. `code` is the WebSocket close code, absent if the client itself gave
 * the connection up, as after a timeout.
 */
export type State =
  | { readonly name: 'connecting' }
  | {
      readonly name: 'live';
      readonly user: string;
      readonly session: string;
      readonly limits: Limits;
      readonly transport: Transport;
    }
  | { readonly name: 'reconnecting'; readonly in: number; readonly why: string; readonly code?: number }
  | { readonly name: 'offline'; readonly why: string; readonly code?: number }
  | { readonly name: 'waiting'; readonly in: number; readonly why: string; readonly code?: number }
  | { readonly name: 'refused'; readonly why: string; readonly code: number }
  | { readonly name: 'closed' };

/**
 * A failed request. `code` is an error code of the protocol, or one of the client's own:
 *
 * - `too_long`: the message is larger than the server's limit.
 * - `left`: `leave()` was called before the request was answered.
 * - `removed`: the server removed this client from the room before the request was answered.
 * - `closed`: `close()` was called before the request was answered, or the platform has no
 *   WebSocket.
 */
export interface HubError extends Error {
  readonly code: ErrorCode | 'too_long' | 'left' | 'removed' | 'closed';
  /** The room of the request; undefined if it has none. */
  readonly room: string | undefined;
  /** The path of the invalid field, such as `since.seq`. Set only with the code `bad_field`. */
  readonly field?: string | undefined;
}

/**
 * `T` if JSON can carry it; else `T` with a `NotJson` in place of each part that JSON loses or
 * changes, so that the compiler's error names it. An interface needs no index signature. Accepts
 * `unknown` and `any`.
 */
export type JsonCompatible<T> = T extends Json
  ? T
  : T extends undefined
    ? NotJson<'undefined: omit the property, or use null'>
    : T extends bigint
      ? NotJson<'a bigint: use a string'>
      : T extends symbol
        ? NotJson<'a symbol: use a string'>
        : T extends (...args: never) => unknown
          ? NotJson<'a function or method'>
          : T extends Date
            ? NotJson<'a Date: use a number or a string'>
            : T extends ReadonlyMap<unknown, unknown> | ReadonlySet<unknown>
              ? NotJson<'a Map or Set: use an array or an object'>
              : T extends readonly unknown[]
                ? { [K in keyof T]: JsonCompatible<T[K]> }
                : T extends object
                  ? { [K in keyof T]: JsonCompatible<OmitUndefined<T, K>> }
                  : T;

/** The type of a property; of an optional one, without the `undefined` that JSON omits. */
type OmitUndefined<T, K extends keyof T> = object extends Pick<T, K> ? Exclude<T[K], undefined> : T[K];

declare const notJson: unique symbol;

/** No value has this type. `Name` names a type that JSON cannot carry, and what to send instead. */
export interface NotJson<Name extends string> {
  readonly [notJson]: Name;
}

/** A message, as every member of its room receives it. */
export interface Message<T> {
  /** Its sequence number in the room: 1, 2, 3 and so on, contiguous. */
  readonly seq: number;
  /**
   * The id that its sender chose. A message sent by this client has the id of its `Pending`. Empty
   * if the sender's protocol has no ids.
   */
  readonly id: string;
  /** The sender's user name. */
  readonly from: string;
  /** When the server stored it, in milliseconds since 1970. */
  readonly at: number;
  /** Undefined, whatever its type, if the message is deleted. */
  readonly data: T;
  /** The `seq` of the message that this one replies to. */
  readonly reply?: number;
  /** The `seq` of the last edit. */
  readonly edited?: number;
  /** Set if the message is deleted. It arrives only with `JoinOptions.changes`. */
  readonly deleted?: true;
  /** The oldest reaction first. */
  readonly reactions?: readonly Reaction[];
  /** The `seq` of the last change that the message contains. */
  readonly changed?: number;
}

/** A change of an earlier message, as each member that understands changes receives it. */
export interface Change<T> {
  readonly seq: number;
  readonly id: string;
  /** The user name of its sender. */
  readonly from: string;
  readonly at: number;
  readonly op: ChangeOp;
  /** The `seq` of the message. */
  readonly of: number;
  /** The new data of an `edit`, unless a later edit or a delete has replaced it. */
  readonly data?: T;
  /** The reaction of a `react` or `unreact`. */
  readonly reaction?: string;
}

/** What `Room.send` sends beside data: a reply names a message, a change has an `op`. */
export interface SendOptions {
  /** The `seq` of the message that this one replies to. */
  readonly reply?: number;
  /**
   * What to do with the message `of`: `edit` replaces its data with the given one. The others take
   * `null` for data.
   */
  readonly op?: ChangeOp;
  /** The `seq` of the message to change. */
  readonly of?: number;
  /** The reaction of a `react` or `unreact`, 1 to 32 bytes of UTF-8. */
  readonly reaction?: string;
}

/** A message sent by this client that the server has not acknowledged. */
export interface Pending<T> {
  readonly id: string;
  readonly data: T;
  /** The `seq` of the message that it replies to. */
  readonly reply?: number;
}

/** A change sent by this client that the server has not acknowledged. */
export interface PendingChange<T> {
  readonly id: string;
  /** The new data of an edit; `null` for the others. */
  readonly data: T | null;
  readonly op: ChangeOp;
  /** The `seq` of the message to change. */
  readonly of: number;
  /** The reaction of a `react` or `unreact`. */
  readonly reaction?: string;
}

/**
 * The messages `from` to `to`, both included, that will not be delivered. `why` is `trimmed` if the
 * server no longer keeps them, `epoch` if their log is gone, and `slow` if this client read too
 * slowly.
 */
export interface Gap {
  readonly from: number;
  readonly to: number;
  readonly why: GapReason;
}

export type HubEvents = {
  /** The connection entered another state. */
  state: State;
  /**
   * A request failed. If the request was `send`, its promise rejects as well. A failed `history`
   * rejects its promise only.
   */
  error: HubError;
};

export type RoomEvents<T, S> = {
  /**
   * This client became a member of the room, or the room's log continued in another epoch while it
   * was one. `again` is true for all but the first. `recovered` is false if messages after the last
   * place are missing.
   *
   * `lost` names messages, `from` to `to` inclusive, that were received or acknowledged before, and
   * that the server lost in a failover. Their numbers are those of the earlier epoch. The messages
   * after `place` follow and take the same numbers again. A message of this client whose `seq` is
   * in the range is lost too, although `send` has resolved: only the program can decide whether to
   * send it again.
   */
  joined: {
    readonly place: Place;
    readonly recovered: boolean;
    readonly again: boolean;
    readonly lost?: { readonly from: number; readonly to: number } | undefined;
  };
  /**
   * A message arrived. Each message arrives once, in the order of `seq`, which counts in the epoch
   * of the last `joined`.
   */
  message: Message<T>;
  /**
   * An earlier message changed. Arrives only with `JoinOptions.changes`, in the order of `seq`
   * among the messages. Ignore it for a message whose `changed` is not lower.
   */
  change: Change<T>;
  /** Some messages will not be delivered. */
  gap: Gap;
  /**
   * `members` or `count` changed. `joined` and `left` name the users; both are empty if the server
   * sent only the count or a new list of all members.
   */
  presence: { readonly joined: readonly string[]; readonly left: readonly string[] };
  /** A member sent a signal. */
  signal: { readonly from: string; readonly data: S };
  /**
   * The user has displayed the messages up to `seq` on another device. Also emitted after `joined`,
   * if the server knows how far the user had read. It needs a server that authenticates its users.
   */
  read: { readonly seq: number };
  /**
   * The server removed this client from the room, which is then left as by `leave()`. Joining it
   * again gives another `Room`.
   */
  removed: HubError;
  /** The server stored a message of this client, possibly one sent before a reload. */
  sent: { readonly id: string; readonly seq: number };
  /** The server rejected a message of this client, possibly one sent before a reload. */
  failed: { readonly id: string; readonly data: T; readonly error: HubError };
};

/** A connection to a Pumphouse server. It reconnects when it is lost, until `close()`. */
export interface Hub {
  readonly state: State;
  /** How many messages, over all rooms, the server has not acknowledged. */
  readonly pending: number;
  /**
   * Calls `handler` for each `event`. An error that a handler throws is reported as uncaught and
   * does not affect other handlers.
   *
   * @returns a function that removes the handler.
   */
  on<E extends keyof HubEvents>(event: E, handler: (payload: HubEvents[E]) => void): () => void;
  /**
   * Joins a room once the connection is live, and joins it again after each reconnection. A second
   * call with the same name returns the same object and ignores its options.
   *
   * `T` is the type of the messages' data and `S` that of the signals' data. Neither is checked at
   * run time.
   */
  join<T = Json, S = Json>(room: string, options?: JoinOptions): Room<T, S>;
  /**
   * Connects now instead of waiting for the retry delay. In the state `refused`, tries again. Does
   * nothing in the state `waiting`.
   */
  reconnect(): void;
  /** Closes the connection for good. Unacknowledged messages stay in the storage. */
  close(): void;
}

/**
 * Options of `Hub.join`. They apply to the first join only: a reconnection resumes at `Room.place`.
 */
export interface JoinOptions {
  /**
   * How many of the latest messages to receive first, at most 1,000. Ignored if `since` is given.
   *
   * @default 0
   */
  readonly history?: number;
  /** Receives all messages after this place first: the `Room.place` saved by an earlier run. */
  readonly since?: Place;
  /**
   * Receives changes of messages as `change`, and deleted messages. Without it an edit arrives as a
   * message, and nothing else does.
   *
   * @default false
   */
  readonly changes?: boolean;
}

/** A room that this client has joined. */
export interface Room<T, S> {
  readonly name: string;
  /**
   * The place in the log up to which messages have arrived; undefined before the first `joined`.
   */
  readonly place: Place | undefined;
  /**
   * The user names of the members; a user with two connections appears twice. Undefined before the
   * first `joined`, and in a room too large to list its members.
   */
  readonly members: readonly string[] | undefined;
  /** How many members the room has. */
  readonly count: number;
  /**
   * The unacknowledged messages of this client, oldest first, including those sent before a reload.
   */
  readonly pending: readonly Pending<T>[];
  /**
   * The unacknowledged changes of this client, oldest first, including those sent before a reload.
   */
  readonly pendingChanges: readonly PendingChange<T>[];
  /**
   * Calls `handler` for each `event`. An error that a handler throws is reported as uncaught and
   * does not affect other handlers.
   *
   * @returns a function that removes the handler.
   */
  on<E extends keyof RoomEvents<T, S>>(event: E, handler: (payload: RoomEvents<T, S>[E]) => void): () => void;
  /**
   * Sends a message now, or once the connection is live again. The messages of one client arrive in
   * the order they were sent, except that a message rejected for the moment is retried after those
   * in flight.
   *
   * A message is in the room exactly once, however often the connection was lost. A failover of the
   * server's store can lose messages that it had stored: the event `joined` names them in `lost`.
   *
   * Rejects at once if the server has rejected the membership on this connection.
   *
   * With `op` it sends a change of an earlier message instead, such as
   * `send(null, { op: 'react', of: 7, reaction: '👍' })`.
   *
   * @param data checked against JSON at compile time: `NotJson` in an error names what is wrong.
   * @returns the `seq` of the message, once the server has stored it. Rejects with a `HubError` if
   * the server rejects the message or the membership, with the code `left` after `leave()`,
   * `removed` after the event of that name, and `closed` after `close()`; with a `TypeError` if
   * `data` cannot be encoded as JSON.
   */
  send(data: JsonCompatible<T> | null, options?: SendOptions): Promise<number>;
  /**
   * Sends data that is not stored, such as a typing indicator, to the members connected now. The
   * signal is dropped if this client is not a member at the moment, or sends faster than the server
   * allows.
   *
   * @throws TypeError if `data` cannot be encoded as JSON.
   */
  signal(data: JsonCompatible<S>): void;
  /**
   * Reads stored messages: those with a `seq` less than `before`, those with a `seq` greater than
   * `after`, or the latest ones if neither is given. Waits until this client is a member, or
   * rejects at once if the server has rejected the membership on this connection.
   *
   * @param of `before` and `after` exclude each other. `limit` is the maximum number of messages, 1
   * to 1,000, 50 by default.
   * @returns the messages, oldest first, of those from `from` to `to`: the others are changes.
   * `more` is true if there are others in the same direction.
   * @throws a `HubError` if the server rejects the request or the membership, with the code `left`
   * after `leave()`, and with `closed` after `close()`.
   */
  history(of?: { readonly before?: number; readonly after?: number; readonly limit?: number }): Promise<{
    readonly messages: readonly Message<T>[];
    readonly more: boolean;
    readonly from: number;
    readonly to: number;
  }>;
  /**
   * Reports to the server that the messages up to `seq` have been displayed: now, or once this
   * client is a member. The highest `seq` is reported again after each reconnection.
   */
  shown(seq: number): void;
  /** Leaves the room. Unacknowledged messages are discarded, and their promises reject. */
  leave(): void;
}
