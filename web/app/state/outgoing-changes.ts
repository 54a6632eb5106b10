import { signal } from '@preact/signals';
import type { ChangeOp, HubError, Room } from '../../sdk/index.ts';
import { foldReaction } from './changes.ts';
import type { TextData } from './outgoing.ts';
import type { Entry, MessageEntry } from './timeline.ts';

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

/** The changes that this page makes to the messages of one room. */
export class OutgoingChanges {
  readonly unsaved = signal<readonly UnsavedChange[]>([]);
  readonly #onRejected: (change: UnsavedChange, error: HubError) => string;
  #room: Room<TextData, unknown> | undefined;
  /** The numbers of acknowledged changes that have not arrived. */
  readonly #acknowledged = new Map<UnsavedChange, number>();

  /** @param onRejected handles a rejected change. Returns the reason, as a sentence. */
  constructor(onRejected: (change: UnsavedChange, error: HubError) => string) {
    this.#onRejected = onRejected;
  }

  bind(room: Room<TextData, unknown>): void {
    this.#room = room;
  }

  /** Sends a change. It replaces a rejected edit of the message. */
  async send(change: UnsavedChange): Promise<void> {
    const room = this.#room;
    if (!room) return;
    const { op, of, text, reaction } = change;
    this.unsaved.value = [...this.unsaved.value.filter((each) => each.of !== of || each.why === undefined), change];
    try {
      const data = text === undefined ? null : { text };
      const seq = await room.send(data, { op, of, ...(reaction !== undefined && { reaction }) });
      if (seq <= (room.place?.seq ?? 0)) this.#remove(change);
      else this.#acknowledged.set(change, seq);
    } catch (error) {
      this.#remove(change);
      const { code } = error as HubError;
      if (code === 'closed' || code === 'left' || code === 'removed') return;
      const why = this.#onRejected(change, error as HubError);
      if (op === 'edit') this.unsaved.value = [...this.unsaved.value, { ...change, why }];
    }
  }

  /** Adds the reaction of the user to a message, or takes it back. */
  toggleReaction({ seq, reactions = [] }: MessageEntry, reaction: string, user: string): void {
    const on = !reactions.some((each) => each.reaction === reaction && each.users.includes(user));
    void this.send({ op: on ? 'react' : 'unreact', of: seq, reaction });
  }

  /** Sends a rejected edit again. */
  retry({ of, text = '' }: UnsavedChange): void {
    void this.send({ op: 'edit', of, text });
  }

  /** Forgets a rejected edit. */
  discard(change: UnsavedChange): void {
    this.#remove(change);
  }

  /** Handles that everything up to a number has arrived. */
  arrived(seq: number): void {
    for (const [change, number] of this.#acknowledged) if (number <= seq) this.#remove(change);
  }

  #remove(change: UnsavedChange): void {
    this.#acknowledged.delete(change);
    this.unsaved.value = this.unsaved.value.filter((each) => each !== change);
  }
}

/** Returns the entries as they will be once the log has the unsaved changes. */
export function withUnsaved(
  entries: readonly Entry[],
  unsaved: readonly UnsavedChange[],
  user: string,
): readonly Entry[] {
  if (unsaved.length === 0) return entries;
  const numbers = new Set(unsaved.map(({ of }) => of));
  return entries.map((entry) => {
    if (entry.kind !== 'message' || entry.lost || !numbers.has(entry.seq)) return entry;
    return unsaved.reduce(
      (message, change) => (change.of === entry.seq ? preview(message, change, user) : message),
      entry,
    );
  });
}

function preview(message: MessageEntry, change: UnsavedChange, user: string): MessageEntry {
  const { op, text = '', reaction = '', why } = change;
  if (why !== undefined) return { ...message, rejected: change };
  const unsaved = [...(message.unsaved ?? []), op === 'edit' || op === 'delete' ? op : reaction];
  if (message.deleted || op === 'delete') return { ...message, unsaved };
  if (op === 'edit') return { ...message, text, unsaved };
  return { ...message, unsaved, reactions: foldReaction(message.reactions, reaction, user, op === 'react') };
}
