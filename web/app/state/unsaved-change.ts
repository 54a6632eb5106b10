import type { ChangeOp } from '../../sdk/index.ts';

/** A change that the log does not have: on its way, queued for a connection, or rejected. */
export interface UnsavedChange {
  readonly op: ChangeOp;
  /** The number of the message. */
  readonly of: number;
  /** The new text of an edit. */
  readonly text?: string;
  /** The reaction of a `react` or `unreact`. */
  readonly reaction?: string;
  /** Why the server has rejected an edit. The others are dropped then. */
  readonly why?: string;
}
