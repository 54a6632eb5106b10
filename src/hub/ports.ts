import type { Close } from '../protocol/close-codes.ts';
import type { History, Message, ServerMessage } from '../protocol/v1.ts';
import type { Member } from './room.ts';

/** A message on its way into a room's log. */
export interface Draft {
  readonly room: string;
  /** Who sent it, as the room sees it: a user's name, or any name the embedding program gives. */
  readonly from: string;
  /** Whose `id`s are told apart from other senders': a client's session. Absent: the same message twice is two messages. */
  readonly sender?: string;
  /** The sender's own name for the message; empty where the wire has none. */
  readonly id: string;
  /** The text, or the JSON text of any value where `json` is set. */
  readonly data: string;
  readonly json?: boolean;
  /** Length of `data` in bytes of UTF-8. */
  readonly bytes: number;
  /** Who is told what became of it. */
  readonly by?: Subscriber;
}

/** A message in a room's log. */
export interface LogRecord {
  /** Its place in the room: 1, 2, 3 … without a hole. */
  readonly seq: number;
  /** When it was committed, in milliseconds since 1970. */
  readonly at: number;
  readonly from: string;
  readonly sender: string;
  readonly id: string;
  readonly data: string;
  readonly json: boolean;
  readonly bytes: number;
}

/** Consecutive records, of which the last is `head`. */
export interface Records {
  readonly head: number;
  /** The record with this `seq`, which must be one of them. */
  at(seq: number): LogRecord;
}

/** Something for those who are in a room now; it is not kept. */
export interface Signal {
  readonly room: string;
  readonly from: string;
  readonly signal: ServerMessage & { readonly t: 'signal' };
  /** Who sent it, and so does not get it. */
  readonly by?: Subscriber;
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

/** What an engine tells the Hub, of one room always in the order of its appends. */
export interface EngineListener {
  committed(commit: Commit): void;
  /** The oldest `drafts` drafts of the room that were neither committed nor failed yet are not stored. */
  failed(room: string, drafts: number): void;
}

/** Where a room's log stands, and the oldest record that can be read: `seq + 1` when there is none. */
export interface Position extends Cursor {
  readonly first: number;
}

/**
 * The ordered log behind the rooms. It is the only place that gives a `seq`. Commits of one room come in order, during
 * `append` or later; a record is shown to nobody before its commit.
 */
export interface Engine {
  /** Starts the engine; the listener is called from then on. Rejects with one clear line when it cannot start. */
  open(listener: EngineListener): void | Promise<void>;
  /** A room that was never used gets a new epoch and stands at 0. */
  position(room: string): Position;
  /** Puts drafts at the end of a room's log, in order. */
  append(room: string, drafts: readonly Draft[]): void;
  /** At most `limit` of the records after `seq`, oldest first, as far back as the engine retains. */
  read(room: string, after: number, limit: number): readonly LogRecord[];
  /** The Hub holds the room no longer: an engine without a store may forget it. */
  release(room: string): void;
  /** Resolves when everything that was appended is committed or has failed. */
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

/** The records after `from` up to `to`, encoded. Every member in step gets the same bytes. */
export interface Frame {
  readonly bytes: Uint8Array;
  /** Where records are not merged: each after the first, in a frame of its own. */
  readonly more?: readonly Uint8Array[];
  readonly from: number;
  readonly to: number;
}

/** What a client is told beside the records: what `pumphouse.v1` says, with a history's records as the log has them. */
export type Notice =
  | Exclude<ServerMessage, Message | History>
  | {
      readonly t: 'history';
      readonly room: string;
      readonly id?: string;
      readonly records: readonly LogRecord[];
      readonly more: boolean;
    };

/** The outbound half of a wire. Members that share an encoder share its frames. */
export interface Encoder {
  readonly name: string;
  /** Records that a member may stand behind; as many as the Hub allows unless given. */
  readonly sendBuffer?: number | undefined;
  /** Whether one frame may hold several records, or several lines of notices. */
  readonly merges: boolean;
  /** The notices that this wire has words for. */
  readonly tells: ReadonlySet<Notice['t']>;
  /** Encodes the records after `from`, as many as fit `most` bytes and at least one. */
  encode(room: string, records: Records, from: number, most: number): Frame;
  /** Writes a notice that it tells, on a line or several; empty where there is nothing to say of this one. */
  notice(notice: Notice): string;
}

/** Longest frame that holds more than one record or notice, in bytes: for one client that reads on or is told something. */
export const MAX_FRAME_BYTES = 64 * 1024;

/** The same for the frame that all members in step are handed: each of them costs a system call more. */
export const MAX_STEP_BYTES = 256 * 1024;

/** What the Hub hands frames to: the write pump of one client. */
export interface Pump {
  readonly encoder: Encoder;
  /** False while the socket takes nothing (or is closed): the Hub then leaves the member at its cursor. */
  readonly writable: boolean;
  /** Sends a frame that starts at the member's cursor and moves the cursor if the socket took it. @returns whether it takes more. */
  advance(member: Member, frame: Frame): boolean;
  /** Sends what the subscriber was told and is not out yet, as far as the socket takes it. */
  release(): void;
}

/** What the Hub knows of a client. The Hub alone touches `memberships`. */
export interface Subscriber {
  readonly id: string;
  /** What the others in a room know it by. */
  readonly user: string;
  readonly pump: Pump;
  readonly memberships: Member[];
  /** True from its close on: it is registered and handed things no more. */
  readonly closed: boolean;
  /** Keeps a line of its wire for it, which goes out ahead of the next records or with `pump.release`. */
  tell(line: string): void;
  /** It is now a member. `recovered` is false when it asked for records `since` a place the log no longer reaches. */
  joined(member: Member, recovered: boolean): void;
  /** It must go: it holds up the room's log. */
  evict(close: Close, member: Member): void;
}
