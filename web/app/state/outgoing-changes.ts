import { effect, type Signal, signal } from '@preact/signals';
import type { HubError, PendingChange } from '../../sdk/index.ts';
import { type ChangeRecord, foldReaction } from './changes.ts';
import type { History } from './history.ts';
import type { Incoming } from './incoming.ts';
import type { ChangeListener, Outgoing, TextData } from './outgoing.ts';
import type { Person } from './people.ts';
import { requiredCredential } from './sign-in.ts';
import { loadRejected, saveRejected } from './storage.ts';
import { type Entry, MAX_ENTRIES, type MessageEntry, type Timeline } from './timeline.ts';
import type { RejectedChange, UnsavedChange } from './unsaved-change.ts';

/** What the changes need of their room. */
interface ChangingRoom {
  readonly name: string;
  readonly user: string;
  readonly outgoing: Outgoing;
  readonly timeline: Timeline;
  readonly history: History;
  readonly preview: Signal<((entries: readonly Entry[]) => readonly Entry[]) | undefined>;
  readonly incoming: Incoming;
  authorOf(message: MessageEntry): Person;
  fail(line: string): void;
}

/** How many rejected changes a room keeps. */
const MAX_REJECTED = 50;

/**
 * The changes that this user makes to the messages of one room. The client library keeps those that
 * are not acknowledged, also across a reload of the page.
 */
class OutgoingChanges implements ChangeListener {
  readonly #room: ChangingRoom;
  /** The acknowledged changes that have not arrived, with their numbers, by their ids. */
  readonly #acknowledged = new Map<string, { readonly change: UnsavedChange; readonly seq: number }>();

  /** Those that the server has rejected, oldest first. */
  readonly #rejected: Signal<readonly RejectedChange[]>;

  constructor(room: ChangingRoom) {
    this.#room = room;
    this.#rejected = signal(loadRejected(room.name).filter(isRejected));
    room.incoming.listeners.add((changes) => this.#onArrived(changes));
    effect(() => this.#update());
  }

  /** Sends a change. It replaces rejected ones of its kind, and a deletion replaces all. */
  send(change: UnsavedChange): void {
    const { outgoing } = this.#room;
    const { op, of, text, reaction } = change;
    const replaced = (each: RejectedChange) =>
      each.of === of && (op === 'delete' || (each.reaction === reaction && each.op !== 'delete'));
    this.#setRejected(this.#rejected.peek().filter((each) => !replaced(each)));
    const data = text === undefined ? null : { text };
    outgoing.sendAs(data, { op, of, ...(reaction !== undefined && { reaction }) });
  }

  onSent(change: PendingChange<TextData>, seq: number): void {
    if (seq > this.#room.incoming.appliedTo) this.#acknowledged.set(change.id, { change: toUnsaved(change), seq });
  }

  async onFailed(change: UnsavedChange, { code, message }: HubError): Promise<void> {
    const { user } = this.#room;
    const { op, of } = change;
    const isOpen = requiredCredential.peek() === 'nothing';
    const mayNot = code === 'forbidden' && isOpen && (op === 'edit' || op === 'delete');
    const why = mayNot ? 'the server lets only the tab that has sent a message change it' : message;
    const rejected = { ...change, why, user };
    this.#setRejected([...this.#rejected.peek(), rejected].slice(-MAX_REJECTED));
    await isTrue(this.#room.history.loaded);
    if (this.#room.history.loadedMessage(of)) return;
    this.#room.fail(`${rejectionOf(rejected)}: ${why}.`);
    if (code === 'not_found') this.discard(rejected); // there will be no message to show it at
  }

  /** Adds the reaction of the user to a message, or takes it back. */
  toggleReaction({ seq, reactions = [] }: MessageEntry, reaction: string): void {
    const { user } = this.#room;
    const on = !reactions.some((each) => each.reaction === reaction && each.users.includes(user));
    this.send({ op: on ? 'react' : 'unreact', of: seq, reaction });
  }

  /** Sends a rejected change again. */
  retry(rejected: RejectedChange): void {
    this.discard(rejected);
    this.send(toUnsaved(rejected));
  }

  /** Forgets a rejected change. */
  discard(rejected: RejectedChange): void {
    this.#setRejected(this.#rejected.peek().filter((each) => each !== rejected));
  }

  #setRejected(rejected: readonly RejectedChange[]): void {
    this.#rejected.value = rejected;
    saveRejected(this.#room.name, rejected);
  }

  /** Removes the changes that have arrived. @param changes undefined if the log was replaced */
  #onArrived(changes: readonly ChangeRecord[] | undefined): void {
    const arrived = [...this.#acknowledged].filter(([, { seq }]) => !changes || seq <= this.#room.incoming.appliedTo);
    for (const [id] of arrived) this.#acknowledged.delete(id);
    if (arrived.length > 0) this.#room.outgoing.refresh();
  }

  /** Shows the messages as they will be once the log has the changes. */
  #update(): void {
    const { outgoing, preview } = this.#room;
    const pending = outgoing.changes.value.filter(({ id }) => !this.#acknowledged.has(id));
    const acknowledged = [...this.#acknowledged.values()].map(({ change }) => change);
    const unsaved = [...acknowledged, ...pending.map(toUnsaved)];
    const rejected = this.#rejected.value;
    const any = unsaved.length + rejected.length > 0;
    preview.value = any ? (entries) => withUnsaved(entries, unsaved, rejected, this.#room.user) : undefined;
  }
}

const changes = new WeakMap<ChangingRoom, OutgoingChanges>();

/** Returns the outgoing changes of a room. */
export function outgoingChangesOf(room: ChangingRoom): OutgoingChanges {
  const existing = changes.get(room);
  if (existing) return existing;
  const created = new OutgoingChanges(room);
  changes.set(room, created);
  return created;
}

function toUnsaved({ op, of, reaction, ...more }: UnsavedChange | PendingChange<TextData>): UnsavedChange {
  return { op, of, reaction, text: 'data' in more ? more.data?.text : more.text };
}

function isRejected(value: unknown): value is RejectedChange {
  const { op, of, why, user } = (value ?? {}) as Partial<RejectedChange>;
  return [op, why, user].every((each) => typeof each === 'string') && Number.isSafeInteger(of);
}

/** Resolves once a signal is true. */
function isTrue(signal: Signal<boolean>): Promise<void> {
  return new Promise((resolve) => {
    const stop = signal.subscribe((value) => {
      if (!value) return;
      resolve();
      queueMicrotask(() => stop());
    });
  });
}

/** Returns what has not happened to a message, as the change was rejected. */
export function rejectionOf({ op, reaction }: RejectedChange): string {
  if (op === 'edit') return 'Edit not saved';
  if (op === 'delete') return 'Not deleted';
  return op === 'react' ? `Reaction ${reaction} not saved` : `Reaction ${reaction} not removed`;
}

/** Returns the entries as they will be once the log has the unsaved changes. */
function withUnsaved(
  entries: readonly Entry[],
  unsaved: readonly UnsavedChange[],
  rejected: readonly RejectedChange[],
  user: string,
): readonly Entry[] {
  const numbers = new Set([...unsaved, ...rejected].map(({ of }) => of));
  return entries.map((entry) => {
    if (entry.kind !== 'message' || entry.lost || !numbers.has(entry.seq)) return entry;
    const isOfEntry = ({ of }: UnsavedChange) => of === entry.seq;
    const message = unsaved.filter(isOfEntry).reduce((before, change) => preview(before, change, user), entry);
    const failed = rejected.filter((change) => isOfEntry(change) && change.user === user);
    return failed.length > 0 ? { ...message, rejected: failed } : message;
  });
}

function preview(message: MessageEntry, { op, text = '', reaction = '' }: UnsavedChange, user: string): MessageEntry {
  const unsaved = [...(message.unsaved ?? []), op === 'edit' || op === 'delete' ? op : reaction];
  if (message.deleted || op === 'delete') return { ...message, unsaved };
  if (op === 'edit') return { ...message, text, unsaved };
  return { ...message, unsaved, reactions: foldReaction(message.reactions, reaction, user, op === 'react') };
}

/** Edits a message in the composer. The draft stays. */
export function startEdit({ outgoing }: ChangingRoom, message: MessageEntry, text = message.text): void {
  outgoing.mode.value = { kind: 'edit', message, text };
}

/** Replies to a message with the draft. */
export function startReply({ outgoing }: ChangingRoom, message: MessageEntry): void {
  outgoing.mode.value = { kind: 'reply', message };
}

/** Edits the last message of the user in the composer, if one is loaded. */
export function editLast(room: ChangingRoom): void {
  const isOwn = (message: MessageEntry) => !message.deleted && room.authorOf(message).own;
  const last = room.timeline.latest(MAX_ENTRIES).findLast(isOwn);
  if (last) startEdit(room, last);
}

/** Sends the edit of a message. */
export function saveEdit(room: ChangingRoom, { seq }: MessageEntry, text: string): void {
  outgoingChangesOf(room).send({ op: 'edit', of: seq, text });
}
