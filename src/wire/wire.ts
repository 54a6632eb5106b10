import type { Cursor, Encoder } from '../hub/ports.ts';
import type { Close } from '../protocol/close-codes.ts';
import type { ErrorCode, Json } from '../protocol/v1.ts';

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
  | Said
  | { readonly kind: 'join'; readonly room: string; readonly since?: Cursor; readonly history: number }
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
  /** Something that cannot be done; the wire has a way to say so. */
  | { readonly kind: 'refusal'; readonly code: ErrorCode; readonly id?: string; readonly room?: string }
  /** A frame that breaks the wire's rules. */
  | { readonly kind: 'violation'; readonly close: Close };

/** A message for a room. */
export interface Said {
  readonly kind: 'broadcast';
  readonly room: string;
  readonly id: string;
  /** The text, or the JSON text of any value where `json` is set. */
  readonly data: string;
  readonly json: boolean;
  /** Length of `data` in bytes of UTF-8. */
  readonly bytes: number;
}

/** A dialect: how the frames of one kind of client are read and written, within which limits, and how it says goodbye. */
export interface Wire extends Encoder, WireLimits {
  /** Rooms that a client is in from the start. */
  readonly rooms: readonly string[];
  /** Reads one whole frame; text is valid UTF-8 already. Never throws. The bytes live only during the call. */
  decode(data: Uint8Array, binary: boolean): readonly Command[];
  /** What this wire's clients are told for `close`: code 1005 is an empty close frame, 1006 none. */
  goodbye(close: Close): Close;
}

/** The half of an encoder that a wire without notices has. */
export const silent: Pick<Encoder, 'tells' | 'notice'> = { tells: new Set(), notice: () => '' };

/** A frame as text. Transports hand over Buffers as a rule: then no other view is made. */
export function textOf(data: Uint8Array): string {
  const buffer = Buffer.isBuffer(data) ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return buffer.toString();
}
