import type { Place } from '../protocol/v1.ts';
import type { LogRecord } from './log.ts';
import type { Subscriber } from './subscriber.ts';

/** A message that is not in its room's log yet. */
export interface Draft {
  readonly room: string;
  /**
   * The sender as the room sees it: a user's name, or any name that the embedding program gives.
   */
  readonly from: string;
  /** Scope of `id`: a client's session. Without it a retry is stored as a second message. */
  readonly sender?: string;
  /** The sender's own name for the message; empty where the wire has none. */
  readonly id: string;
  /** Text, or the JSON text of any value where `json` is set. */
  readonly data: string;
  readonly json?: boolean;
  /** Length of `data` in bytes of UTF-8. */
  readonly bytes: number;
  /** The subscriber to acknowledge. */
  readonly by?: Subscriber;
}

/** Records that an engine has committed. They follow the room's head without a hole. */
export interface Commit {
  readonly room: string;
  readonly records: readonly LogRecord[];
}

/** Receives an engine's outcomes. Those of one room come in the order of its appends. */
export interface EngineListener {
  committed(commit: Commit): void;
  /** The room's oldest `drafts` undecided drafts are not stored. */
  failed(room: string, drafts: number): void;
}

/**
 * Head of a room's log, and the oldest record that can be read: `seq + 1` when no record can be.
 */
export interface Position extends Place {
  readonly first: number;
}

/**
 * The ordered log behind the rooms, and the only place that assigns a `seq`. Commits of one room
 * come in order, during `append` or later. No record is delivered before its commit.
 */
export interface Engine {
  /**
   * Starts the engine, which calls `listener` from then on. Rejects with a one-line message when it
   * cannot start.
   */
  open(listener: EngineListener): void | Promise<void>;
  /** Returns the room's position. A new room gets a new epoch and stands at 0. */
  position(room: string): Position;
  /** Appends drafts to the room's log, in order. */
  append(room: string, drafts: readonly Draft[]): void;
  /**
   * Returns at most `limit` of the records after `after`, oldest first, as far back as the engine
   * retains them.
   */
  read(room: string, after: number, limit: number): readonly LogRecord[];
  /** The Hub has released the room: an engine without a store may forget it. */
  release(room: string): void;
  /** Resolves when every appended draft is committed or has failed. */
  close(): void | Promise<void>;
}
