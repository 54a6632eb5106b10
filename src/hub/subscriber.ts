import type { Close } from '../protocol/close-codes.ts';
import type { Change, ErrorCode, History, Message, ServerMessage } from '../protocol/v1.ts';
import type { LogRecord, Records } from './log.ts';

/** Consecutive records, encoded. Every member in step gets the same bytes. */
export interface Frame {
  readonly bytes: Uint8Array;
  /** For wires that do not merge records: a frame for each record after the first. */
  readonly more?: readonly Uint8Array[];
  /** Set if the wire shows nothing for these records, such as reactions: nothing is sent. */
  readonly isSilent?: true;
  /** The frame holds the records after `from`, up to and including `to`. */
  readonly from: number;
  readonly to: number;
}

/**
 * A message to one client beside the records: those of `pumphouse.v1`, with a history's records as
 * the log has them.
 */
export type Notice =
  | Exclude<ServerMessage, Message | Change | History>
  | {
      readonly t: 'history';
      readonly room: string;
      readonly id?: string;
      /** Without changes; deleted messages are among them only for a client that expects those. */
      readonly records: readonly LogRecord[];
      /** The records that were read. */
      readonly from: number;
      readonly to: number;
      readonly more: boolean;
    };

/** The outbound half of a wire. Members that share an encoder share its frames. */
export interface Encoder {
  readonly name: string;
  /**
   * Records that a member may be behind before it counts as a slow consumer.
   *
   * @default the Hub's `sendBuffer`
   */
  readonly sendBuffer?: number | undefined;
  /** Whether one frame may hold several records, or several notices. */
  readonly merges: boolean;
  /** The encoder of members that understand changes. @default this one */
  readonly withChanges?: Encoder;
  /** The notices that this wire can express. */
  readonly notices: ReadonlySet<Notice['t']>;
  /**
   * Whether an error ends the connection: its client cannot repeat the request.
   *
   * @default false
   */
  readonly endsOnError?: boolean;
  /**
   * Encodes the records after `from`: as many as fit `maxBytes`, and at least one.
   *
   * @param epoch the life of the room's log, which with a `seq` makes a place.
   */
  encode(room: string, records: Records, from: number, maxBytes: number, epoch: string): Frame;
  /** Encodes a supported notice as one or more lines. An empty result sends nothing. */
  encodeNotice(notice: Notice): string;
}

/** Longest frame of several records or notices that is encoded for one client, in bytes. */
export const MAX_FRAME_BYTES = 64 * 1024;

/**
 * Longest frame of several records for all members in step, in bytes: each frame costs every member
 * a system call.
 */
export const MAX_STEP_BYTES = 256 * 1024;

/** The outbound half of a client. The Hub hands it frames. */
export interface Pump {
  readonly encoder: Encoder;
  /** False while the socket accepts no more data, and once it is closed. */
  readonly writable: boolean;
  /**
   * Sends a frame.
   *
   * @returns the seq up to which the socket accepted its records: `frame.from` for none of them.
   */
  advance(frame: Frame): number;
  /** Sends the queued notices, as far as the socket accepts them. */
  release(): void;
}

/** Where an evicted client may resume. */
export interface Eviction {
  readonly room: string;
  readonly epoch: string;
  /** The last record that its socket accepted. */
  readonly seq: number;
  /** How many records it is behind. */
  readonly records: number;
}

/** A client as the Hub sees it. */
export interface Subscriber {
  readonly id: string;
  /** Name by which the other members of a room know it. */
  readonly user: string;
  /**
   * Whether the server has authenticated the user: then the user's other connections are of the
   * same person.
   *
   * @default false
   */
  readonly isVerified?: boolean;
  readonly pump: Pump;
  /** True from its close on: the Hub registers it no more and sends it nothing. */
  readonly closed: boolean;
  /** Queues an encoded notice, which goes out ahead of the next records, or with `pump.release`. */
  notify(line: string): void;
  /**
   * It is a member of `room`. `recovered` is false when the log does not reach back to the place it
   * asked for.
   */
  joined(room: string, recovered: boolean): void;
  /**
   * It is parked in a room, `behind` records from the head. Not repeated until it has caught up.
   *
   * @default it need not know
   */
  parked?(room: string, behind: number): void;
  /** It was parked in a room, and stands at the head again. @default it need not know */
  caughtUp?(room: string): void;
  /** It was sent an error that the Hub decided. @default it need not know */
  refused?(code: ErrorCode, room: string | undefined): void;
  /** Closes a slow consumer. `at` is undefined for one that is in no room. */
  evict(close: Close, at: Eviction | undefined): void;
  /**
   * The message that the next error rejects may be in the log: the engine has lost its store before
   * it learned the outcome.
   *
   * @default the error alone
   */
  uncertain?(): void;
  /** Closes it at once. */
  end(close: Close): void;
}

/** A message to the connected members of a room that is not kept. */
export interface Signal {
  readonly room: string;
  readonly from: string;
  readonly signal: ServerMessage & { readonly t: 'signal' };
  /** The sender, which does not get it. */
  readonly by?: Subscriber;
  /** The session of a sender over HTTP. Its connection, on any node, does not get it either. */
  readonly session?: string;
}
