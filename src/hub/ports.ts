import type { Close } from '../protocol/close-codes.ts';
import type { Log } from './log.ts';
import type { Member } from './room.ts';

/** A message on its way into a room's log. */
export interface Draft {
  readonly room: string;
  /** Who sent it: a client's id, or any name the embedding program gives. */
  readonly from: string;
  /** The sender's own name for the message; empty where the wire has none. */
  readonly id: string;
  /** The text. */
  readonly data: string;
  /** Length of `data` in bytes of UTF-8. */
  readonly bytes: number;
}

/** A message in a room's log. */
export interface LogRecord {
  /** Its place in the room: 1, 2, 3 … without a hole. */
  readonly seq: number;
  /** When it was committed, in milliseconds since 1970. */
  readonly at: number;
  readonly from: string;
  readonly id: string;
  readonly data: string;
  readonly bytes: number;
}

/** A place in a room's log. An epoch names one life of the log: places of two epochs cannot be compared. */
export interface Cursor {
  readonly epoch: string;
  readonly seq: number;
}

/** Records that an engine has committed: they follow the room's head without a hole. */
export interface Commit {
  readonly room: string;
  readonly records: readonly LogRecord[];
}

/**
 * The ordered log behind the rooms. It is the only place that gives a `seq`. Commits of one room come in order, during
 * `append` or later; a record is shown to nobody before its commit.
 */
export interface Engine {
  /** Starts the engine; `onCommit` is called with each commit from then on. */
  open(onCommit: (commit: Commit) => void): void | Promise<void>;
  /** Where a room's log stands; a room that was never used gets a new epoch and stands at 0. */
  position(room: string): Cursor;
  /** Puts drafts at the end of a room's log, in order. */
  append(room: string, drafts: readonly Draft[]): void;
  /** At most `limit` of the records after `seq`, oldest first, as far back as the engine retains. */
  read(room: string, after: number, limit: number): readonly LogRecord[];
  /** The Hub holds the room no longer: an engine without a store may forget it. */
  release(room: string): void;
  close(): void | Promise<void>;
}

export interface Clock {
  /** Milliseconds that only go forward, from an arbitrary start. */
  now(): number;
  /** Milliseconds since 1970. */
  date(): number;
}

export interface Scheduler {
  /** Runs `work` once, after the input that is ready now has been read. */
  soon(work: () => void): void;
  /** Runs `work` once after `ms`. @returns a function that cancels it. Does not keep the process alive. */
  after(ms: number, work: () => void): () => void;
}

/** One encoded frame: the records after `from` up to `to`. Every member in step gets the same bytes. */
export interface Frame {
  readonly bytes: Uint8Array;
  readonly from: number;
  readonly to: number;
}

/** The outbound half of a wire. Members that share an encoder share its frames. */
export interface Encoder {
  readonly name: string;
  /** Encodes the records after `from`, as many as fit `MAX_FRAME_BYTES` and at least one. The log must hold them. */
  encode(room: string, log: Log, from: number): Frame;
}

/** Longest frame that holds more than one record, in bytes. */
export const MAX_FRAME_BYTES = 64 * 1024;

/** What the Hub hands frames to: the write pump of one client. */
export interface Pump {
  readonly encoder: Encoder;
  /** False while the socket takes nothing (or is closed): the Hub then leaves the member at its cursor. */
  readonly writable: boolean;
  /** Sends a frame that starts at the member's cursor and moves the cursor if the socket took it. @returns whether it takes more. */
  advance(member: Member, frame: Frame): boolean;
}

/** What the Hub knows of a client. The Hub alone touches `memberships`. */
export interface Subscriber {
  readonly id: string;
  readonly pump: Pump;
  readonly memberships: Member[];
  /** True from its close on: it is registered and handed things no more. */
  readonly closed: boolean;
  /** It is now a member. `recovered` is false when it asked for records `since` a place the log no longer reaches. */
  joined(member: Member, recovered: boolean): void;
  /** It must go: it holds up the room's log. */
  evict(close: Close, member: Member): void;
}
