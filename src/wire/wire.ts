import type { Encoder } from '../hub/subscriber.ts';
import { type Close, closes } from '../protocol/close-codes.ts';
import type { Place, Rate } from '../protocol/v1.ts';
import { type ErrorCode, type Json, ROOM_BYTES, USER_BYTES } from '../protocol/v1.ts';
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
  /** How often the server pings. Must be less than `pongWait`. */
  readonly pingPeriod: number;
  /** How long a client may stay without a pong. */
  readonly pongWait: number;
  /** How long a client may take nothing of what is queued for it. */
  readonly writeWait: number;
  /** Records that a client may stand behind; as many as the Hub allows unless given. */
  readonly sendBuffer?: number | undefined;
}

/** What a client asks for. */
export type Command =
  | Publication
  | { readonly kind: 'join'; readonly room: string; readonly since?: Place; readonly history: number }
  | { readonly kind: 'leave'; readonly room: string }
  | { readonly kind: 'signal'; readonly room: string; readonly data: Json }
  | {
      readonly kind: 'history';
      readonly room: string;
      readonly id?: string;
      readonly before?: number;
      readonly after?: number;
      readonly limit: number;
    }
  | { readonly kind: 'ack'; readonly room: string; readonly seq: number }
  | { readonly kind: 'ping' }
  | { readonly kind: 'auth'; readonly token: string }
  /** It goes to another room from the one that it is in. */
  | { readonly kind: 'change'; readonly room: string }
  /** A frame that this wire passes over. */
  | { readonly kind: 'nothing' }
  /** Something that cannot be done; the wire has a way to say so. */
  | { readonly kind: 'refusal'; readonly code: ErrorCode; readonly id?: string; readonly room?: string }
  /** A frame that breaks the wire's rules. */
  | { readonly kind: 'violation'; readonly close: Close };

/** A message for a room. */
export interface Publication {
  readonly kind: 'broadcast';
  /** Empty for the room that the client is in, in a wire whose clients are in one at a time. */
  readonly room: string;
  readonly id: string;
  /** The text, or the JSON text of any value where `json` is set. */
  readonly data: string;
  readonly json: boolean;
  /** Length of `data` in bytes of UTF-8. */
  readonly bytes: number;
}

/** What a client sends by HTTP: a message, or word that a user has come; and with which status it is taken. */
export type HttpPost = { readonly accepted: 202 | 204 } & (
  | (Publication & { readonly from?: string })
  | { readonly kind: 'arrival'; readonly room: string; readonly user: string }
);

/** How the clients of a wire send by HTTP, at `/publish`. */
export interface Publishing {
  /** Longest body, in bytes. */
  readonly most: number;
  /** How much one address may send; more waits its turn. As everyone unless given. */
  readonly rate?: Rate;
  /** Whether other methods are refused; else they get the page. */
  readonly postOnly: boolean;
  /** @param type the request's Content-Type. @returns what was said, or in words why that cannot be. */
  read(body: string, type: string): HttpPost | string;
}

/** A dialect: how the frames of one kind of client are read and written, within which limits, and how it says closeFrame. */
export interface Wire extends Encoder, WireLimits {
  /** Where its clients connect. */
  readonly path: string;
  /** The library of the servers that its clients were written for: what a request gets that is no handshake. */
  readonly library: 'gorilla' | 'coder';
  /** Rooms that a client is in from the start. */
  readonly rooms: readonly string[];
  /** How its clients send by HTTP; absent where they do so over their socket. */
  readonly publishing?: Publishing;
  /** Whether its clients come with a ticket from `/login`. */
  readonly ticketed?: boolean;
  /** How the servers of its clients serve their page: at every path that is no other; as a template of Go's, where `{{.Host}}` is the host. */
  readonly page?: 'everywhere' | 'template everywhere';
  /** Makes up a name for a client that has none; its connection's number unless given. */
  readonly guest?: () => string;
  /** Reads one whole frame; text is valid UTF-8 already. Never throws. The bytes live only during the call. */
  decode(data: Uint8Array, binary: boolean): readonly Command[];
  /** What this wire's clients are told for `close`: code 1005 is an empty close frame, 1006 none. */
  closeFrame(close: Close): Close;
}

/** The half of an encoder that a wire without notices has. */
export const noNotices: Pick<Encoder, 'notices' | 'encodeNotice'> = { notices: new Set(), encodeNotice: () => '' };

/** The parts that wires have in common whose clients receive over a socket and send by HTTP. */
export const subscribeOnly = {
  path: '/subscribe',
  library: 'coder',
  rooms: [PUBLIC_ROOM],
  limits: { maxMessageSize: 32 * 1024, pingPeriod: 25_000, pongWait: 35_000 },
  decode: (): readonly Command[] => [{ kind: 'violation', close: closes.unexpectedData }],
} as const;

/** A message in plain text. */
export function textMessage(room: string, data: string): Publication {
  return { kind: 'broadcast', room, id: '', data, json: false, bytes: Buffer.byteLength(data) };
}

/** Whether a client is closed because it reads too slowly. */
export function isSlow({ code }: Close): boolean {
  return code === closes.slowConsumer.code || code === closes.writeTimeout.code;
}

/** A frame as text. Transports hand over Buffers as a rule: then no other view is made. */
export function textOf(data: Uint8Array): string {
  const buffer = Buffer.isBuffer(data) ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return buffer.toString();
}

export function isRoom(name: unknown): name is string {
  return isName(name, ROOM_BYTES);
}

export function isUser(name: unknown): name is string {
  return isName(name, USER_BYTES);
}

export function isName(value: unknown, bytes: number): value is string {
  return typeof value === 'string' && value !== '' && value.length <= bytes && Buffer.byteLength(value) <= bytes;
}
