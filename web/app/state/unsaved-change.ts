import type { ChangeOp } from '../../sdk/index.ts';

/** A change that the log does not have: on its way, queued for a connection, or rejected. */
export interface UnsavedChange {
  readonly op: ChangeOp;
  /** The number of the message. */
  readonly of: number;
  /** The new text of an edit. */
  readonly text?: string | undefined;
  /** The reaction of a `react` or `unreact`. */
  readonly reaction?: string | undefined;
}

/** A change that the server has rejected. Its message is as it was. */
export interface RejectedChange extends UnsavedChange {
  readonly why: string;
  /** The user who made it: another one does not see it. */
  readonly user: string;
}
