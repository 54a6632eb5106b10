import type { HubError } from '../../sdk/index.ts';
import { foldReaction } from './changes.ts';
import type { Conversation } from './conversation.ts';
import { requiredCredential } from './sign-in.ts';
import { type Entry, MAX_ENTRIES, type MessageEntry } from './timeline.ts';
import type { UnsavedChange } from './unsaved-change.ts';

/** The changes that this page makes to the messages of one room. */
class OutgoingChanges {
  readonly #room: Conversation;
  /** The numbers of acknowledged changes that have not arrived. */
  readonly #acknowledged = new Map<UnsavedChange, number>();

  constructor(room: Conversation) {
    this.#room = room;
    room.preview = (entries) => withUnsaved(entries, room.unsaved.peek(), room.user);
    room.changeListeners.add(() => this.#onArrived());
  }

  /** Sends a change. It replaces a rejected edit of the message. */
  async send(change: UnsavedChange): Promise<void> {
    const { unsaved } = this.#room;
    const { op, of, text, reaction } = change;
    unsaved.value = [...unsaved.value.filter((each) => each.of !== of || each.why === undefined), change];
    try {
      const data = text === undefined ? null : { text };
      const seq = await this.#room.send(data, { op, of, ...(reaction !== undefined && { reaction }) });
      this.#acknowledged.set(change, seq);
      this.#onArrived();
    } catch (error) {
      this.#onRejected(change, error as HubError);
    }
  }

  #onRejected(change: UnsavedChange, { code, message }: HubError): void {
    this.#remove(change);
    if (code === 'closed' || code === 'left' || code === 'removed') return;
    const { op } = change;
    const isOpen = requiredCredential.peek() === 'nothing';
    const mayNot = code === 'forbidden' && isOpen && (op === 'edit' || op === 'delete');
    const why = mayNot ? 'the server lets only the tab that has sent a message change it' : message;
    if (op === 'edit') this.#room.unsaved.value = [...this.#room.unsaved.value, { ...change, why }];
    else this.#room.fail(`${op === 'delete' ? 'Not deleted' : 'The reaction was not saved'}: ${why}.`);
  }

  /** Adds the reaction of the user to a message, or takes it back. */
  toggleReaction({ seq, reactions = [] }: MessageEntry, reaction: string): void {
    const { user } = this.#room;
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

  /** Removes the changes that have arrived. */
  #onArrived(): void {
    for (const [change, seq] of this.#acknowledged) if (seq <= this.#room.appliedTo) this.#remove(change);
  }

  #remove(change: UnsavedChange): void {
    this.#acknowledged.delete(change);
    const { unsaved } = this.#room;
    unsaved.value = unsaved.value.filter((each) => each !== change);
  }
}

const changes = new WeakMap<Conversation, OutgoingChanges>();

/** Returns the outgoing changes of a room. */
export function outgoingChangesOf(room: Conversation): OutgoingChanges {
  const existing = changes.get(room);
  if (existing) return existing;
  const created = new OutgoingChanges(room);
  changes.set(room, created);
  return created;
}

/** Returns the entries as they will be once the log has the unsaved changes. */
function withUnsaved(entries: readonly Entry[], unsaved: readonly UnsavedChange[], user: string): readonly Entry[] {
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

/** Edits a message in the composer. The draft stays. */
export function startEdit({ outgoing }: Conversation, message: MessageEntry, text = message.text): void {
  outgoing.mode.value = { kind: 'edit', message, text };
}

/** Replies to a message with the draft. */
export function startReply({ outgoing }: Conversation, message: MessageEntry): void {
  outgoing.mode.value = { kind: 'reply', message };
}

/** Edits the last message of the user in the composer, if one is loaded. */
export function editLast(room: Conversation): void {
  const isOwn = (message: MessageEntry) => !message.deleted && room.authorOf(message).own;
  const last = room.timeline.latest(MAX_ENTRIES).findLast(isOwn);
  if (last) startEdit(room, last);
}

/** Sends the edit of a message. */
export function saveEdit(room: Conversation, { seq }: MessageEntry, text: string): void {
  void outgoingChangesOf(room).send({ op: 'edit', of: seq, text });
}
