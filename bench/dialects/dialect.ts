import type { MessageName } from '../generator/message.ts';

/** A place in a room's log, from which a client wants to hear on. */
export interface Place {
  readonly epoch: string;
  readonly seq: number;
}

/** How a kind of server wants to be talked to. */
export interface Dialect {
  readonly name: string;
  /** Of the address, where it names none. */
  readonly path: string;
  /** The WebSocket subprotocol to ask for. */
  readonly protocol: string | undefined;
  /** Whether it knows more than one room, and a room's past. */
  readonly rooms: boolean;
  /** Bytes of the longest message that it takes. */
  readonly longest: number;
  /** What a client says once it is connected. */
  opening(room: string, since: Place | undefined): readonly string[];
  /** What a client says to have `text` delivered to its room. */
  message(text: string, room: string): string;
  /** @param bytes the length of each message. */
  ear(bytes: number): Ear;
}

/** Listens for one client. Payloads live only during the call. */
export interface Ear {
  /** Whether it must see payloads to count messages; otherwise their length tells. */
  readonly whole: boolean;
  /**
   * Takes frames until the client is where it wants to be: whatever is in that last one is counted and read as any other.
   *
   * @returns whether it is there. @throws Error when it was refused.
   */
  greet(payload: Buffer): boolean;
  /** @returns how many messages a frame holds. */
  count(payload: Buffer | undefined, length: number): number;
  /** Reads a frame: tells each message in it, or undefined and the words for something that nobody sent. */
  read(payload: Buffer, found: (message: MessageName | undefined, words: string) => void): void;
  /** What must be answered to a frame of this length, for the connection to stay. */
  answer?(length: number): string | undefined;
}
