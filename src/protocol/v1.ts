/**
 * The messages of the native protocol `pumphouse.v1`, as PROTOCOL.md specifies it. The server and
 * the client library share this file. It imports nothing, so it runs in browsers.
 *
 * A frame is text: one or more JSON objects, one on each line. `t` names the message.
 */

/** The WebSocket subprotocol of `pumphouse.v1`. */
export const SUBPROTOCOL = 'pumphouse.v1';

/** The maximum length of a room name, in bytes of UTF-8. */
export const ROOM_BYTES = 128;

/** The maximum length of a user name, in bytes of UTF-8. */
export const USER_BYTES = 64;

/** The maximum length of a report's reason, in bytes of UTF-8: that of a close reason. */
export const REASON_BYTES = 123;

/** The number of rooms that one client can be in. */
export const MAX_ROOMS = 128;

/** The maximum length of a reaction, in bytes of UTF-8. */
export const REACTION_BYTES = 32;

/** Any JSON value. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/**
 * A place in a room's log. An epoch is opaque: another one is another log of the room, or the same
 * log after a restart or a failover of its store.
 */
export interface Place {
  readonly epoch: string;
  readonly seq: number;
}

// ── Client messages ─────────────────────────────────────────────────────────────────────────────

/** Joins a room: at its head, after `since`, or with the last `history` messages. */
export interface Join {
  readonly t: 'join';
  readonly room: string;
  readonly since?: Place;
  /** @default 0 */
  readonly history?: number;
  /** Whether the client understands `change`. @default it gets no changes */
  readonly changes?: boolean;
}

/** Leaves a room. */
export interface Leave {
  readonly t: 'leave';
  readonly room: string;
}

/** Publishes a message. The sender chooses `id`; sending the same `id` again is a retry. */
export interface Send {
  readonly t: 'send';
  readonly room: string;
  readonly id: string;
  readonly data: Json;
  /** The `seq` of the message that this one replies to. */
  readonly reply?: number;
}

/** What a change does to its message. */
export type ChangeOp = 'edit' | 'delete' | 'react' | 'unreact';

/** Changes an earlier message of the room. It has an `id` and an answer as a message has. */
export interface SendChange {
  readonly t: 'send';
  readonly room: string;
  readonly id: string;
  readonly op: ChangeOp;
  /** The `seq` of the message. */
  readonly of: number;
  /** The new data of an `edit`; absent otherwise. */
  readonly data?: Json;
  /** The reaction of a `react` or `unreact`; absent otherwise. */
  readonly reaction?: string;
}

/** Sends data to the connected members without storing it, such as a typing indicator. */
export interface Signal {
  readonly t: 'signal';
  readonly room: string;
  readonly data: Json;
}

/** Requests messages before or after a `seq`. The reply or error carries the request's `id`. */
export interface HistoryRequest {
  readonly t: 'history';
  readonly room: string;
  readonly id?: string;
  readonly before?: number;
  readonly after?: number;
  /** @default 50 */
  readonly limit?: number;
  /** Whether to return deleted messages. @default as in the room's `join` */
  readonly changes?: boolean;
}

/** Reports the `seq` up to which the client has displayed the messages. */
export interface Ack {
  readonly t: 'ack';
  readonly room: string;
  readonly seq: number;
}

/** Asks for a `pong`. */
export interface Ping {
  readonly t: 'ping';
}

/**
 * Presents a token: as the first message of a connection that was opened without one, and again
 * before the current token expires.
 */
export interface Auth {
  readonly t: 'auth';
  readonly token: string;
}

/**
 * Reports how the client saw the end of its last connection of this session, for the server's
 * operators. Sent once at most, and only where `welcome` has `reports`.
 */
export interface Report {
  readonly t: 'report';
  /** The close code. Absent if the client gave the connection up. */
  readonly code?: number;
  /** The close reason, or why the client gave the connection up. */
  readonly reason: string;
  /** Milliseconds that the connection had been live. */
  readonly after: number;
  /** Milliseconds since its end. */
  readonly away: number;
  /** Whether the platform reported a network at the end. Absent if it does not know. */
  readonly online?: boolean;
  /** Whether the page was visible at the end. Absent where there is no page. */
  readonly visible?: boolean;
}

export type ClientMessage = Join | Leave | Send | SendChange | Signal | HistoryRequest | Ack | Ping | Auth | Report;

// ── Server messages ─────────────────────────────────────────────────────────────────────────────

/** A token bucket's rate: `burst` at once, then `perSecond`. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** The limits that the server enforces. */
export interface Limits {
  /** Bytes of a client's frame, including the JSON around `data`. */
  readonly message: number;
  /** Bytes of a room name. */
  readonly roomName: number;
  /** Rooms that one client can be in. */
  readonly rooms: number;
  /** The rate of messages and signals; absent if unlimited. */
  readonly publishRate?: Rate;
  /** Messages that one `history` or `join` returns at most. */
  readonly history: number;
}

/** The first message. `resume` is the secret with which a later connection resumes the session. */
export interface Welcome {
  readonly t: 'welcome';
  readonly session: string;
  readonly user: string;
  readonly resume: string;
  readonly limits: Limits;
  /** Seconds of silence after which a client should send `ping`. */
  readonly heartbeat: number;
  /** Seconds until the token expires; absent without a token. */
  readonly expiresIn?: number;
  /** Set if the server takes a `report`. */
  readonly reports?: true;
}

/** Confirms that the token of an `auth` is in force. */
export interface Authenticated {
  readonly t: 'authenticated';
  readonly user: string;
  /** Seconds until the token expires. */
  readonly expiresIn: number;
}

/** Asks for a new token, which the client presents by `auth`. */
export interface Refresh {
  readonly t: 'refresh';
  /** Seconds after which the server closes the connection as if its token had expired. */
  readonly within: number;
}

/**
 * Confirms a membership. The messages after `seq` follow. `recovered` is false if some messages
 * after the client's `since` are missing.
 *
 * Also sent unasked to a member when the room's log continues in another epoch.
 */
export interface Joined {
  readonly t: 'joined';
  readonly room: string;
  readonly epoch: string;
  readonly seq: number;
  readonly recovered: boolean;
  /**
   * Messages, `from` to `to` inclusive, that the client was sent or whose acknowledgement it got,
   * and that the log no longer has. They are numbered by the client's earlier epoch. Absent if none
   * was lost.
   */
  readonly lost?: { readonly from: number; readonly to: number };
  readonly count: number;
  /** The names of the members; absent in a large room. */
  readonly members?: readonly string[];
}

/** Reports the `seq` up to which the client's user has read a room on another device. */
export interface Read {
  readonly t: 'read';
  readonly room: string;
  readonly seq: number;
}

/** Reports the end of a membership, that the client asked for unless `removed` is set. */
export interface Left {
  readonly t: 'left';
  readonly room: string;
  /** Set if the server has removed the client from the room. */
  readonly removed?: true;
}

/** A message of a room. */
export interface Message {
  readonly t: 'message';
  readonly room: string;
  readonly seq: number;
  readonly id: string;
  readonly from: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** Absent if the message is deleted. */
  readonly data?: Json;
  /** The `seq` of the message that this one replies to. */
  readonly reply?: number;
  /** The `seq` of the last edit. */
  readonly edited?: number;
  readonly deleted?: true;
  /** The oldest reaction first. */
  readonly reactions?: readonly Reaction[];
  /** The `seq` of the last change that the other fields contain. */
  readonly changed?: number;
}

/** A reaction to a message. */
export interface Reaction {
  readonly reaction: string;
  /** How many users have reacted so. */
  readonly count: number;
  /** The first of them. */
  readonly users: readonly string[];
}

/** A change of an earlier message of the room. */
export interface Change {
  readonly t: 'change';
  readonly room: string;
  readonly seq: number;
  readonly id: string;
  readonly from: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly op: ChangeOp;
  /** The `seq` of the message. */
  readonly of: number;
  /** The new data of an `edit`, unless a later edit or a delete has replaced it. */
  readonly data?: Json;
  /** The reaction of a `react` or `unreact`. */
  readonly reaction?: string;
}

/** Acknowledges a `send`: the message is in the log. */
export interface Sent {
  readonly t: 'sent';
  readonly room: string;
  readonly id: string;
  readonly seq: number;
  /** Set if the message was in the log before this `send`. */
  readonly duplicate?: true;
}

/** Names messages that will not be delivered: `from` to `to`, both inclusive. */
export interface Gap {
  readonly t: 'gap';
  readonly room: string;
  readonly from: number;
  readonly to: number;
  readonly why: GapReason;
}

/**
 * The cause of a gap: the messages are no longer stored (`trimmed`), their log was replaced
 * (`epoch`), or the client read too slowly for the room's policy (`slow`).
 */
export type GapReason = 'trimmed' | 'epoch' | 'slow';

/**
 * Reports the members that joined and left since the last presence, or the whole list in `members`
 * if the client missed changes.
 */
export interface Presence {
  readonly t: 'presence';
  readonly room: string;
  readonly count: number;
  readonly joined?: readonly string[];
  readonly left?: readonly string[];
  readonly members?: readonly string[];
}

/** A signal from another member. */
export interface Signalled {
  readonly t: 'signal';
  readonly room: string;
  readonly from: string;
  readonly data: Json;
}

/** The reply to a history request, oldest message first. */
export interface History {
  readonly t: 'history';
  readonly room: string;
  readonly id?: string;
  readonly messages: readonly Omit<Message, 't' | 'room'>[];
  /** What the reply covers: of `from` to `to`, those not returned are changes. */
  readonly from: number;
  readonly to: number;
  /** Whether more messages exist in the requested direction. */
  readonly more: boolean;
}

/** Answers a `ping`. */
export interface Pong {
  readonly t: 'pong';
}

/** Announces that the server shuts down. */
export interface Drain {
  readonly t: 'drain';
  /** Milliseconds after which this client should reconnect. */
  readonly reconnectIn: number;
}

/** Rejects a request. */
export interface ErrorMessage {
  readonly t: 'error';
  readonly code: ErrorCode;
  readonly message: string;
  /** Whether the same request can succeed later. */
  readonly retry: boolean;
  /** Milliseconds to wait before a retry. */
  readonly retryAfter?: number;
  /** The path of the invalid field, such as `since.seq`; set for `bad_field`. */
  readonly field?: string;
  /** The `id` of the rejected `send` or `history`. */
  readonly id?: string;
  /** The room of the rejected request. */
  readonly room?: string;
}

export type ServerMessage =
  | Welcome
  | Joined
  | Left
  | Message
  | Change
  | Sent
  | Gap
  | Presence
  | Read
  | Signalled
  | History
  | Pong
  | Authenticated
  | Refresh
  | Drain
  | ErrorMessage;

/** The errors: the text for people, whether to retry, and after how many milliseconds. */
export const errors = {
  not_json: { message: 'a line is not a JSON object', retry: false },
  unknown_type: { message: 'unknown message type', retry: false },
  bad_field: { message: 'a field is missing or invalid', retry: false },
  bad_room: { message: 'a room name must have 1 to 128 bytes', retry: false },
  forbidden: { message: 'not allowed', retry: false },
  unauthenticated: { message: 'not authenticated: send a token first', retry: false },
  bad_token: { message: 'the token is invalid, another user’s, or not accepted here', retry: false },
  not_found: { message: 'there is no such message', retry: false },
  too_many_reactions: { message: 'the message has too many reactions', retry: false },
  not_member: { message: 'not a member of this room', retry: false },
  too_many_rooms: { message: 'in too many rooms: leave one first', retry: false },
  rate_limited: { message: 'sending too fast', retry: true, retryAfter: 1000 },
  busy: { message: 'the hub is busy', retry: true, retryAfter: 1000 },
  unavailable: { message: 'the message could not be stored', retry: true, retryAfter: 1000 },
  too_many_connections: { message: 'too many connections: try again later', retry: true, retryAfter: 1000 },
} as const satisfies Record<string, { message: string; retry: boolean; retryAfter?: number }>;

export type ErrorCode = keyof typeof errors;
