import type { Close } from '../protocol/close-codes.ts';
import type { AuthenticationKind, EndReport } from '../protocol/session-life.ts';
import type { ErrorCode } from '../protocol/v1.ts';

/** How the handshake of a connection was accepted. */
export interface Verdict {
  readonly authentication: AuthenticationKind;
  /** Whether it resumes a session. */
  readonly resumed: boolean;
}

/** A connection whose life is recorded. */
export interface Living {
  readonly id: string;
  readonly user: string;
  readonly wire: { readonly name: string };
  readonly address: string;
  /** The index of its record; -1 before it is open, and once it is closed. */
  readonly life: number;
  /** Its rooms, and how far it has received each of them. */
  readonly places: readonly Standing[];
}

/** A membership, as `Member` of the Hub has it. */
export interface Standing {
  readonly room: { readonly name: string; readonly epoch: string };
  readonly cursor: number;
  readonly behind: number;
}

/**
 * Records the rare events of connections, for operators. Nothing is called once a delivery. A
 * connection keeps the index of its record, from `opened` to `closed`.
 */
export interface LifeRecorder {
  /** A connection is open. @returns the index of its record. */
  opened(verdict: Verdict): number;
  joined(life: number, room: string): void;
  left(life: number, room: string): void;
  /** Its socket accepts no data, and a room is `behind` messages ahead of it. */
  parked(life: number, room: string, behind: number): void;
  /** Its socket accepts data again: how far behind it was in the rooms in which it is parked. */
  drained(life: number, places: readonly Standing[]): void;
  /** It stands at the head of a room again. */
  caughtUp(life: number, room: string): void;
  roundTrip(life: number, ms: number): void;
  /** It was sent an error. */
  refused(life: number, code: ErrorCode, room: string | undefined): void;
  /** The server closes it, or its peer has: it leaves its rooms now. */
  leaving(life: number, places: readonly Standing[]): void;
  /** It is closed. The index is void. */
  closed(connection: Living, close: Close, by: 'server' | 'peer'): void;
  /**
   * A client reports how the connection of its session before this one ended.
   *
   * @param connection its `life` is -1 where another node or thread has it.
   *
   * @returns false if this connection has reported before.
   */
  reported(connection: Pick<Living, 'id' | 'user' | 'life'>, report: Omit<EndReport, 'at'>): boolean;
}
