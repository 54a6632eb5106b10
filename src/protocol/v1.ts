/**
 * The native protocol, `pumphouse.v1`: what goes over the wire, as PROTOCOL.md specifies it. Server and client library both
 * build on this file; it imports nothing and runs in browsers.
 *
 * A frame is text and holds one or more JSON objects, each on a line of its own. `t` names the message.
 */

/** The WebSocket subprotocol by which a client asks for it. */
export const SUBPROTOCOL = 'pumphouse.v1';

/** Longest names, in bytes of UTF-8. */
export const ROOM_BYTES = 128;
export const USER_BYTES = 64;

/** Any JSON value. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** A place in a room's log. An epoch names one life of the log: places of two epochs cannot be compared. */
export interface Place {
  readonly epoch: string;
  readonly seq: number;
}

// ── What a client sends ─────────────────────────────────────────────────────────────────────────────────────────────

/** Asks for membership: from now on, from the place after `since` on, or with the last `history` messages. */
export interface Join {
  readonly t: 'join';
  readonly room: string;
  readonly since?: Place;
  readonly history?: number;
}

export interface Leave {
  readonly t: 'leave';
  readonly room: string;
}

/** Says something in a room. `id` is the sender's own name for it: the same id is the same message. */
export interface Send {
  readonly t: 'send';
  readonly room: string;
  readonly id: string;
  readonly data: Json;
}

/** Tells those present something that is not kept: typing and the like. */
export interface Signal {
  readonly t: 'signal';
  readonly room: string;
  readonly data: Json;
}

/** Asks for what was said before or after a message. The answer, or the error, has the `id` of the request. */
export interface HistoryRequest {
  readonly t: 'history';
  readonly room: string;
  readonly id?: string;
  readonly before?: number;
  readonly after?: number;
  readonly limit?: number;
}

/** Tells how far the messages have been shown. */
export interface Ack {
  readonly t: 'ack';
  readonly room: string;
  readonly seq: number;
}

export interface Ping {
  readonly t: 'ping';
}

/** Shows a token: first, where the connection was opened without one, and again before the last one expires. */
export interface Auth {
  readonly t: 'auth';
  readonly token: string;
}

export type ClientMessage = Join | Leave | Send | Signal | HistoryRequest | Ack | Ping | Auth;

// ── What a server sends ─────────────────────────────────────────────────────────────────────────────────────────────

export interface Limits {
  /** Bytes of a client's message, the JSON around `data` included. */
  readonly message: number;
  /** Bytes of a room's name. */
  readonly roomName: number;
  /** Rooms that a client may be in. */
  readonly rooms: number;
  /** Messages and signals a second, and at once; absent where there is no limit. */
  readonly publishRate?: { readonly perSecond: number; readonly burst: number };
  /** Messages that one `history` or `join` gets at most. */
  readonly history: number;
}

/** The first message. `resume` is a secret by which a later connection is the same session again. */
export interface Welcome {
  readonly t: 'welcome';
  readonly session: string;
  readonly user: string;
  readonly resume: string;
  readonly limits: Limits;
  /** Seconds after which silence means that the connection is dead, if pings are not answered. */
  readonly heartbeat: number;
  /** Seconds until the token expires; absent where none was asked for. */
  readonly expiresIn?: number;
}

/** The token of an `auth` is in force. */
export interface Authenticated {
  readonly t: 'authenticated';
  readonly user: string;
  readonly expiresIn: number;
}

/** It is a member now; the messages after `seq` follow. `recovered` is false where some after its `since` are missing. */
export interface Joined {
  readonly t: 'joined';
  readonly room: string;
  readonly epoch: string;
  readonly seq: number;
  readonly recovered: boolean;
  /** How many members there are, and who, where they are not too many. */
  readonly count: number;
  readonly members?: readonly string[];
}

export interface Left {
  readonly t: 'left';
  readonly room: string;
}

/** Something that was said. */
export interface Message {
  readonly t: 'message';
  readonly room: string;
  readonly seq: number;
  readonly id: string;
  readonly from: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly data: Json;
}

/** A `send` is in the log, or was already. */
export interface Sent {
  readonly t: 'sent';
  readonly room: string;
  readonly id: string;
  readonly seq: number;
  readonly duplicate?: true;
}

/** The messages `from`…`to` of a room will not come. */
export interface Gap {
  readonly t: 'gap';
  readonly room: string;
  readonly from: number;
  readonly to: number;
  readonly why: GapReason;
}

/** They are no longer kept; the log they were in is gone; the client read too slowly for the room's policy. */
export type GapReason = 'trimmed' | 'epoch' | 'slow';

/** Who came and who went since the last one; `members` instead where that is not known. */
export interface Presence {
  readonly t: 'presence';
  readonly room: string;
  readonly count: number;
  readonly joined?: readonly string[];
  readonly left?: readonly string[];
  readonly members?: readonly string[];
}

export interface Signalled {
  readonly t: 'signal';
  readonly room: string;
  readonly from: string;
  readonly data: Json;
}

/** What was asked for, oldest first. `more`: there is more in that direction. */
export interface History {
  readonly t: 'history';
  readonly room: string;
  readonly id?: string;
  readonly messages: readonly Omit<Message, 't' | 'room'>[];
  readonly more: boolean;
}

export interface Pong {
  readonly t: 'pong';
}

/** The server goes; this client should come back after so many milliseconds. */
export interface Drain {
  readonly t: 'drain';
  readonly reconnectIn: number;
}

/** Something that was asked for is not done. */
export interface ErrorMessage {
  readonly t: 'error';
  readonly code: ErrorCode;
  readonly message: string;
  /** Whether the same may succeed later, and after how many milliseconds at the earliest. */
  readonly retry: boolean;
  readonly retryAfter?: number;
  /** Of the `send` or the `history` that it answers. */
  readonly id?: string;
  readonly room?: string;
}

export type ServerMessage =
  | Welcome
  | Joined
  | Left
  | Message
  | Sent
  | Gap
  | Presence
  | Signalled
  | History
  | Pong
  | Authenticated
  | Drain
  | ErrorMessage;

/** What an error means, whether to try again, and after how many milliseconds. */
export const errors = {
  not_json: { message: 'a line is not a JSON object', retry: false },
  unknown_type: { message: 'there is no such message', retry: false },
  bad_field: { message: 'a field is missing or is not what it should be', retry: false },
  bad_room: { message: 'a room has a name of 1 to 128 bytes', retry: false },
  forbidden: { message: 'not allowed', retry: false },
  unauthenticated: { message: 'a token is asked for first', retry: false },
  bad_token: { message: 'the token is not valid here, or not this user’s', retry: false },
  not_member: { message: 'not a member of this room', retry: false },
  too_many_rooms: { message: 'in too many rooms', retry: false },
  rate_limited: { message: 'sending too fast', retry: true, retryAfter: 1000 },
  busy: { message: 'the hub is busy', retry: true, retryAfter: 1000 },
  unavailable: { message: 'the message could not be stored', retry: true, retryAfter: 1000 },
} as const satisfies Record<string, { message: string; retry: boolean; retryAfter?: number }>;

export type ErrorCode = keyof typeof errors;
