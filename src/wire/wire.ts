import type { ChangeDraft, ReplyDraft } from '../hub/changes.ts';
import type { Encoder } from '../hub/subscriber.ts';
import { type Close, closes } from '../protocol/close-codes.ts';
import type { EndReport } from '../protocol/session-life.ts';
import { type ErrorCode, type Json, type Place, type Rate, ROOM_BYTES, USER_BYTES } from '../protocol/v1.ts';
import { PUBLIC_ROOM } from './text.ts';

/** The wires that a listener can be pinned to. */
export const wireNames = [
  'v1',
  'gorilla',
  'coder',
  'go-websockets',
  'go-websockets-basic',
  'spread',
  'events',
  'blueprints',
] as const;

export type WireName = (typeof wireNames)[number];

/** The limits of a wire. Times are in milliseconds. */
export interface WireLimits {
  /** Longest message a client may send, in bytes. */
  readonly maxMessageSize: number;
  /** How often the server pings. Must be less than `pongWait`, unless that is 0. */
  readonly pingPeriod: number;
  /** How long the server waits for a pong before it closes the client. 0 if no pongs come. */
  readonly pongWait: number;
  /** How long a socket may accept no data while frames wait for it. */
  readonly writeWait: number;
  /**
   * Records that a client may be behind before it counts as a slow consumer.
   *
   * @default the Hub's `sendBuffer`
   */
  readonly sendBuffer?: number | undefined;
}

/** A decoded request of a client. */
export type Command =
  | Publication
  | {
      readonly kind: 'join';
      readonly room: string;
      readonly since?: Place;
      readonly history: number;
      readonly changes?: boolean;
    }
  | { readonly kind: 'leave'; readonly room: string }
  | { readonly kind: 'signal'; readonly room: string; readonly data: Json }
  | {
      readonly kind: 'history';
      readonly room: string;
      readonly id?: string;
      readonly before?: number;
      readonly after?: number;
      readonly limit: number;
      readonly changes?: boolean;
    }
  | { readonly kind: 'ack'; readonly room: string; readonly seq: number }
  | { readonly kind: 'ping' }
  | { readonly kind: 'auth'; readonly token: string }
  /** How the client saw the end of its last connection. */
  | { readonly kind: 'report'; readonly report: Omit<EndReport, 'at'> }
  /** Leaves the current room for this one, in wires whose clients are in one room at a time. */
  | { readonly kind: 'change-room'; readonly room: string }
  /** A frame that the wire ignores. It counts against the rate all the same. */
  | { readonly kind: 'ignored' }
  /** An invalid request. The client gets an error, or is closed where the wire has no errors. */
  | {
      readonly kind: 'refusal';
      readonly code: ErrorCode;
      /** The path of the invalid field. */
      readonly field?: string;
      /** For people. @default the message of the error `code` */
      readonly message?: string;
      readonly id?: string;
      readonly room?: string;
    }
  /** A frame that breaks the wire's rules. It closes the client. */
  | { readonly kind: 'violation'; readonly close: Close };

/** A message for a room. */
export interface Publication {
  readonly kind: 'broadcast';
  /** Empty for the client's current room, in wires whose clients are in one room at a time. */
  readonly room: string;
  /** The sender's own name for the message; empty where the wire has none. */
  readonly id: string;
  /** Text, or the JSON text of any value where `json` is set. */
  readonly data: string;
  readonly json: boolean;
  /** Length of `data` in bytes of UTF-8; of a change, what it adds to the log. */
  readonly bytes: number;
  /** A reply, or a change of an earlier message. @default an ordinary message */
  readonly extra?: ReplyDraft | Omit<ChangeDraft, 'byUser'>;
}

/** A message or an arrival, posted to `/publish`. `accepted` is the status of success. */
export type HttpPost = { readonly accepted: 202 | 204 } & (
  | (Publication & { readonly from?: string })
  | { readonly kind: 'arrival'; readonly room: string; readonly user: string }
);

/** The result of reading a body. */
export type ReadPost =
  | { readonly kind: 'post'; readonly post: HttpPost }
  /** `reason` goes to the client with a 400. */
  | { readonly kind: 'invalid'; readonly reason: string };

/** The endpoint `/publish` of a wire whose clients send by HTTP. */
export interface Publishing {
  /** Longest body, in bytes. */
  readonly maxBodyBytes: number;
  /** Messages that one address may send; further ones wait. @default the server's publish rate */
  readonly rate?: Rate;
  /** Reject other methods with 405. Without it they get the page. */
  readonly postOnly: boolean;
  /** Reads a body of valid UTF-8. @param type the request's Content-Type. */
  read(body: string, type: string): ReadPost;
}

/**
 * A wire: the format, the limits and the close frames of one kind of client. It is the only code
 * that knows that kind of client; rooms are shared by clients of all wires.
 */
export interface Wire extends Encoder, WireLimits {
  /** Path of its WebSocket endpoint. */
  readonly path: string;
  /** Which Go library's rejection responses to imitate. */
  readonly library: 'gorilla' | 'coder';
  /** Rooms that a new client joins by itself. */
  readonly rooms: readonly string[];
  /** The endpoint `/publish`. @default its clients send over their socket */
  readonly publishing?: Publishing;
  /** Require a ticket from `/login` in the handshake. @default false */
  readonly ticketed?: boolean;
  /**
   * Serve the page for unmatched paths.
   *
   * @default 404 for unmatched paths
   */
  readonly page?: 'everywhere';
  /** Generates a name for a client without one. @default the number of its connection */
  readonly guest?: () => string;
  /**
   * Decodes one whole frame. Text is already checked to be valid UTF-8. Never throws. The bytes are
   * valid only during the call.
   */
  decode(data: Uint8Array, binary: boolean): readonly Command[];
  /** Translates a close for this wire's clients: 1005 is an empty close frame, 1006 none. */
  closeFrame(close: Close): Close;
}

/** The part of an encoder that is the same for all wires without notices. */
export const noNotices: Pick<Encoder, 'notices' | 'encodeNotice'> = { notices: new Set(), encodeNotice: () => '' };

/** The part of a wire that is the same for all whose clients receive by socket and send by HTTP. */
export const subscribeOnly = {
  path: '/subscribe',
  library: 'coder',
  rooms: [PUBLIC_ROOM],
  limits: { maxMessageSize: 32 * 1024, pingPeriod: 25_000, pongWait: 35_000 },
  decode: (): readonly Command[] => [{ kind: 'violation', close: closes.unexpectedData }],
} as const;

/** Returns the publication of a text message without an id. */
export function textMessage(room: string, data: string): Publication {
  return { kind: 'broadcast', room, id: '', data, json: false, bytes: Buffer.byteLength(data) };
}

/** Reports whether `close` is that of a slow consumer. */
export function isSlow({ code }: Close): boolean {
  return code === closes.slowConsumer.code || code === closes.writeTimeout.code;
}

/**
 * Returns a field of a JSON object as Go's encoding/json finds it: without regard to case, and
 * ignoring a null.
 *
 * @param name in lower case.
 */
export function fieldOf(object: object, name: string): unknown {
  const exact = (object as Record<string, unknown>)[name] ?? undefined;
  if (exact !== undefined) return exact;
  return Object.entries(object).find(([key, value]) => value !== null && key.toLowerCase() === name)?.[1];
}

/** Decodes UTF-8. Transports nearly always pass Buffers, which need no second view. */
export function decodeText(data: Uint8Array): string {
  const buffer = Buffer.isBuffer(data) ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return buffer.toString();
}

export function isRoom(name: unknown): name is string {
  return isName(name, ROOM_BYTES);
}

export function isUser(name: unknown): name is string {
  return isName(name, USER_BYTES);
}

/** Reports whether `value` is a string of 1 to `maxBytes` bytes of UTF-8. */
export function isName(value: unknown, maxBytes: number): value is string {
  return typeof value === 'string' && value !== '' && value.length <= maxBytes && Buffer.byteLength(value) <= maxBytes;
}
