import type { MessageId } from '../generator/message.ts';

/** A place in a room's log from which a client resumes. */
export interface Place {
  readonly epoch: string;
  readonly seq: number;
}

/** How the clients of a load talk to one kind of server. */
export interface Wire {
  readonly name: string;
  /** The path to connect to if the address has none. */
  readonly path: string;
  /** The WebSocket subprotocol to request. */
  readonly protocol: string | undefined;
  /** Whether the server has several rooms. */
  readonly rooms: boolean;
  /** Whether the server can replay a room's history. */
  readonly replays: boolean;
  /**
   * Whether the server confirms that a client has joined. Without it, a client counts as joined
   * once it is connected, which is only true of servers that join it in the same step.
   */
  readonly confirmsJoin: boolean;
  /** The longest message that the server accepts, in bytes. */
  readonly maxBytes: number;
  /** @returns the frames that join `room` after connecting. */
  join(room: string, since: Place | undefined): readonly string[];
  /** @returns the frame that sends `text` to `room`. */
  encode(text: string, room: string): string;
  /**
   * @param bytes the length of each message.
   * @param checksNumbers whether to check the number of each message, on wires that have numbers.
   * @default false
   * @returns a decoder for one client.
   */
  decoder(bytes: number, checksNumbers?: boolean): Decoder;
}

/** Decodes the frames of one client. Payloads are valid only during the call. */
export interface Decoder {
  /** Whether counting messages needs the payload; otherwise the length of a frame is enough. */
  readonly needsPayload: boolean;
  /** How often a message had a number that is not above the one before. */
  readonly outOfSequence?: number;
  /**
   * Handles a frame that arrives before the client has joined. The frame that completes the join is
   * also counted and decoded like any later one.
   *
   * @returns whether the client has joined. @throws Error if the server rejects the join.
   */
  joined(payload: Buffer): boolean;
  /** @returns the number of messages in a frame. */
  count(payload: Buffer | undefined, length: number): number;
  /**
   * Decodes a frame. Calls `found` for each message, and with undefined for text that no client of
   * the load sent.
   */
  decode(payload: Buffer, found: (message: MessageId | undefined, text: string) => void): void;
  /** @returns the reply that a frame of this length needs to keep the connection open. */
  reply?(length: number): string | undefined;
}
