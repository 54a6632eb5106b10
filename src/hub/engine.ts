import type { NowOrLater } from '../protocol/now-or-later.ts';
import type { Place } from '../protocol/v1.ts';
import type { DraftExtra, RefusalCode } from './changes.ts';
import type { Cluster } from './cluster.ts';
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
  /** A reply, or a change of an earlier message. @default an ordinary message */
  readonly extra?: DraftExtra;
}

/** Records that an engine has committed. They follow the room's head without a hole. */
export interface Commit {
  readonly room: string;
  readonly records: readonly LogRecord[];
  /**
   * Whether these are the Hub's own oldest undecided drafts, in order: they are decided with it.
   * Otherwise anyone's, and `decided` has the outcomes of the Hub's own.
   */
  readonly own: boolean;
}

/**
 * The outcome of a draft. A stored change is folded into the record that it changes: whatever reads
 * that record from then on gets it changed. An `unknown` one may be in the log: the engine lost its
 * store before it learned the outcome, and has stopped trying.
 */
export type Outcome =
  | { readonly kind: 'stored'; readonly seq: number }
  | { readonly kind: 'duplicate'; readonly seq: number }
  /** The log does not allow it: it is a change of a message that the sender may not change so. */
  | { readonly kind: 'refused'; readonly code: RefusalCode }
  | { readonly kind: 'failed' }
  | { readonly kind: 'unknown' };

/** The outcomes of a room's oldest undecided drafts, in order. */
export interface Decision {
  readonly room: string;
  readonly outcomes: readonly Outcome[];
}

/** A room's log goes on after a place. */
export interface Move extends Place {
  readonly room: string;
}

/** `away` while the engine cannot reach its store. */
export type EngineState = 'ready' | 'away';

/**
 * Receives what happens to the rooms' logs, in order for each room. The records of a draft are
 * committed before its outcome.
 */
export interface EngineListener {
  committed(commit: Commit): void;
  decided(decision: Decision): void;
  /**
   * The log is in another life, which shares the records up to the move's `seq` with the one
   * before: those after it are lost. The `seq` is at most the head. The records of the new life
   * follow, from `seq + 1` on.
   */
  moved(move: Move): void;
  /**
   * The engine was cut off for too long to deliver what was committed meanwhile. The log goes on
   * after the move's `seq`, in the same life; earlier records can be read as far as the log
   * reaches.
   */
  skipped(move: Move): void;
  changed(state: EngineState): void;
}

/**
 * Head of a room's log, and the oldest record that can be read: `seq + 1` when no record can be.
 */
export interface Position extends Place {
  readonly first: number;
  /**
   * Earlier epochs of this log, each with the last `seq` that it shares with the current one.
   *
   * @default none
   */
  readonly earlier?: readonly Place[];
}

/** What an engine keeps on the disk of this process. */
export interface EngineUsage {
  /** Bytes of messages on their way to the store. */
  readonly journalBytes: number;
  readonly storeBytes: number;
  /** Share of the engine's limit that waits for the store, from 0 to 1. At 1, appends fail. */
  readonly waiting: number;
}

/**
 * The ordered log behind the rooms, and the only place that assigns a `seq`. Commits of one room
 * come in order, during `append` or later. No record is delivered before its commit.
 */
export interface Engine {
  /**
   * Whether the engine recognizes retries, by `sender` and `id`. Otherwise the Hub does, from the
   * room's recent records. An engine whose log others write to, or that may move, must do it: the
   * Hub knows only the ids of its own drafts, and keeps those of lost records.
   *
   * @default false
   */
  readonly dedupes?: boolean;
  /** The other nodes that share the engine's store. @default this process is alone */
  readonly cluster?: Cluster;
  /**
   * Starts the engine, which calls `listener` from then on. Rejects with a one-line message when it
   * cannot start.
   */
  open(listener: EngineListener): void | Promise<void>;
  /**
   * Starts to follow a room's log. A new room gets a new epoch and stands at 0. The position is
   * that at the time of the call, or of the promise's resolution: what is committed after it is
   * passed to the listener. Rejects when the store cannot be reached for too long.
   */
  attach(room: string): NowOrLater<Position>;
  /** Returns the position of an attached room, with all that the listener was passed. */
  position(room: string): Position;
  /**
   * Returns the last `seq` that an attached room's log shares with an epoch that its position does
   * not name, such as one of another primary in a split brain. Undefined when that is not known. A
   * shared engine knows it after `catchUp` with the epoch.
   *
   * @default no epoch is known but those of the position
   */
  divergedEnd?(room: string, epoch: string): number | undefined;
  /**
   * Appends drafts to an attached room's log, in order. Each is judged at its place in the log
   * (`judge`): some are refused.
   */
  append(room: string, drafts: readonly Draft[]): void;
  /**
   * Returns at most `limit` of the records after `after`, oldest first, as far back as the engine
   * retains them. Messages have the changes that were committed until then. Records that it finds
   * to be gone have left the position's `first…seq` by then.
   * Rejects when the store cannot be reached.
   */
  read(room: string, after: number, limit: number): NowOrLater<readonly LogRecord[]>;
  /**
   * Resolves when the listener has been passed everything that was committed to an attached room
   * before the call. Rejects when the store cannot be reached.
   *
   * @param epochs those that members resume with and the room's position does not name.
   *
   * @default the listener always has everything
   */
  catchUp?(room: string, epochs: readonly string[]): Promise<void>;
  /** The Hub has released the room: an engine without a store may forget it. */
  release(room: string): void;
  /** Returns what the engine keeps on the disk. @default nothing on the disk of this process */
  usage?(): EngineUsage;
  /** Resolves when every appended draft is committed or has failed. */
  close(): void | Promise<void>;
}

/** An engine that answers at once, for one process. */
export interface LocalEngine extends Engine {
  attach(room: string): Position;
  read(room: string, after: number, limit: number): readonly LogRecord[];
}

/** An engine on a store that the engines of other nodes share. */
export interface SharedEngine extends Engine {
  readonly cluster: Cluster;
  catchUp(room: string, epochs: readonly string[]): Promise<void>;
}
