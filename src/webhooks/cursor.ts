import type { NowOrLater } from '../protocol/now-or-later.ts';
import type { Place } from '../protocol/v1.ts';

/** The cause of a gap: the messages are no longer stored, or their log was replaced. */
type GapReason = 'trimmed' | 'epoch';

/**
 * What one request delivers. Its id and its bounds are stored before the first attempt, so that
 * every retry has the same id and the same content.
 */
export type Batch =
  /** The records after the cursor, up to and including `to`. */
  | { readonly kind: 'messages'; readonly id: string; readonly to: number }
  /** The records `from`…`to` of the cursor's epoch never come. The log goes on after `next`. */
  | {
      readonly kind: 'gap';
      readonly id: string;
      readonly from: number;
      readonly to: number;
      readonly why: GapReason;
      readonly next: Place;
    };

/** How far a webhook has delivered a room: everything up to `seq` of the `epoch`. */
export interface Cursor extends Place {
  /** The batch that may have been sent, and that no response has acknowledged. */
  readonly batch?: Batch | undefined;
  /**
   * The last record that earlier epochs were seen to have, by epoch. Their logs may have lost it
   * since.
   *
   * @default none
   */
  readonly heads?: Readonly<Record<string, number>> | undefined;
}

/** A stored cursor. A replay raises its version, so that an earlier save has no effect. */
export interface StoredCursor extends Cursor {
  readonly version: number;
}

/** Receives what happens to the cursors of a store. */
export interface CursorListener {
  /** This process delivers the webhook from now on. */
  acquired(webhook: string): void;
  /** Another process may deliver the webhook from now on. */
  lost(webhook: string): void;
  /** A replay has moved the cursor of a room, or of several rooms where `room` is undefined. */
  replayed(webhook: string, room: string | undefined): void;
  /** Rooms have records that another process has committed. */
  marked(rooms: readonly string[]): void;
  /** The store cannot be read or written. */
  failed(error: Error): void;
}

/** The state of a webhook, as every process that shares the store can see it. */
export interface WebhookState {
  /** Milliseconds since 1970; undefined while no room fails. */
  readonly failingSince?: number | undefined;
  /** What became of the last attempt, such as `200` or `timeout`. */
  readonly lastStatus?: string | undefined;
  /** When it ended, in milliseconds since 1970. */
  readonly lastAt?: number | undefined;
  /** Whether the receiver has answered with 410. */
  readonly disabled?: boolean | undefined;
}

/** A page of cursors, by room. */
export type CursorPage = readonly (readonly [room: string, cursor: StoredCursor])[];

/** Keeps the cursors of webhooks, by webhook and room. */
export interface CursorStore {
  /** Whether the engine forgets a room when it is released, and with it the room's cursors. */
  readonly forgets: boolean;
  /**
   * How often the heads of all rooms are to be compared with their cursors, in milliseconds: other
   * processes commit records, and their marks may be lost.
   *
   * @default at the start only
   */
  readonly auditMs?: number;
  /** Starts. `listener` learns which webhooks this process delivers. */
  open(listener: CursorListener): NowOrLater<void>;
  /**
   * Creates a cursor unless the room has one. It survives the end of the process from the return,
   * or from the resolution, on.
   */
  create(webhook: string, room: string, cursor: Cursor): NowOrLater<void>;
  find(webhook: string, room: string): NowOrLater<StoredCursor | undefined>;
  /** Iterates over all cursors of a webhook. Cursors that are created meanwhile may be missing. */
  pages(webhook: string): AsyncIterable<CursorPage>;
  /**
   * Replaces a cursor of the same version. Resolves when the cursor survives the end of the
   * process, and with `durable` the loss of power, as far as the store does.
   *
   * @returns false, and changes nothing, when the version is another one, or when this process does
   * not deliver the webhook any more.
   */
  save(webhook: string, room: string, cursor: StoredCursor, durable: boolean): NowOrLater<boolean>;
  /** Removes a cursor of the same version. */
  remove(webhook: string, room: string, version: number): NowOrLater<void>;
  /** Moves a cursor from any process, and raises its version. The room need not have one. */
  replay(webhook: string, places: ReadonlyMap<string, Place>): NowOrLater<void>;
  /** Returns how many replays a webhook has had. */
  replays(webhook: string): NowOrLater<number>;
  /** Passes on that this process has committed records to a room. */
  mark(room: string): void;
  /** Whether this process may send for the webhook at this moment. */
  owns(webhook: string): boolean;
  saveState(webhook: string, state: WebhookState): void;
  /** Returns the last state that the process that delivers the webhook has saved. */
  state(webhook: string): NowOrLater<WebhookState>;
  /** Lets another process deliver the webhooks, and resolves when everything is stored. */
  close(): NowOrLater<void>;
}
