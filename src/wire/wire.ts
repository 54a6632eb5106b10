import type { Encoder } from '../hub/ports.ts';
import type { Close } from '../protocol/close-codes.ts';

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
}

/** What a client asks for in a frame. */
export type Command =
  | {
      readonly kind: 'broadcast';
      readonly room: string;
      readonly id: string;
      readonly data: string;
      readonly bytes: number;
    }
  /** A frame that breaks the wire's rules. */
  | { readonly kind: 'violation'; readonly close: Close };

/** A dialect: how the frames of one kind of client are read and written, within which limits, and how it says goodbye. */
export interface Wire extends Encoder, WireLimits {
  /** Rooms that a client is in from the start. */
  readonly rooms: readonly string[];
  /** Reads one whole message; text is valid UTF-8 already. Never throws. The bytes live only during the call. */
  decode(data: Uint8Array, binary: boolean): Command;
  /** The code by which this wire's clients know `close`; 1005 is an empty close frame, 1006 none. */
  closeCode(close: Close): number;
}
