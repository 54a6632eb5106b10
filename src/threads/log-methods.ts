import type { EngineState, Position } from '../hub/engine.ts';
import type { LogRecord } from '../hub/log.ts';
import type { NowOrLater } from '../protocol/now-or-later.ts';
import type { MembersByNode } from './cluster-methods.ts';

/** The reply to an attachment. */
export interface Attached {
  readonly position: Position;
  readonly members: MembersByNode;
}

/**
 * Records that were read. `moves` counts the moves of the attachment that the worker has been sent:
 * with a different count the records are of another life than its own.
 */
export interface Reading {
  readonly records: readonly LogRecord[];
  readonly first: number;
  readonly moves: number;
}

/** Where a log stands, and what it shares with epochs that its position does not name. */
export interface Standing {
  readonly seq: number;
  readonly moves: number;
  readonly ends: readonly (readonly [epoch: string, seq: number])[];
}

/** What a worker calls in the log thread. It numbers its attachments. */
export interface LogMethods {
  attach(attachment: number, room: string): NowOrLater<Attached>;
  release(attachment: number): void;
  read(attachment: number, after: number, limit: number): NowOrLater<Reading>;
  /** Resolves with the standing that everything committed before has. */
  catchUp(attachment: number, epochs: readonly string[]): NowOrLater<Standing>;
}

/** What the log thread calls in a worker. */
export interface WorkerMethods {
  changed(state: EngineState): void;
}
