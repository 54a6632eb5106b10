import { batch, signal } from '@preact/signals';
import type { HubError, Limits, Pending, PendingChange, Room, SendOptions } from '../../sdk/index.ts';
import { oncePerFrame } from './frames.ts';
import { loadRejected, loadUnsent, saveUnsent } from './storage.ts';
import type { MessageEntry } from './timeline.ts';
import type { UnsavedChange } from './unsaved-change.ts';

/** The data of a message that this page sends. Other clients may send any JSON. */
export interface TextData {
  readonly text: string;
}

/** A message that the server rejected, with the reason. */
export interface Failed extends TextData {
  readonly why: string;
  /** The number of the message that it replies to. */
  readonly reply?: number | undefined;
}

/** What the composer does in place of sending a message: it edits one, or replies to one. */
export type Mode =
  | { readonly kind: 'edit'; readonly message: MessageEntry; readonly text: string }
  | { readonly kind: 'reply'; readonly message: MessageEntry };

// At least as long as any id that the client library generates.
const LONGEST_ID = 'x'.repeat(40);

/** Handles the results of changes. */
export interface ChangeListener {
  onSent(change: PendingChange<TextData>, seq: number): void;
  onFailed(change: UnsavedChange, error: HubError): void;
}

/** The draft of one room, and the messages and changes in flight, or rejected. */
export class Outgoing {
  readonly draft = signal('');
  readonly mode = signal<Mode | undefined>(undefined);
  /** Messages in flight or queued for a connection, oldest first. */
  readonly pending = signal<readonly Pending<TextData>[]>([]);
  /** Changes in flight or queued for a connection, oldest first. */
  readonly changes = signal<readonly PendingChange<TextData>[]>([]);
  readonly failed = signal<readonly Failed[]>([]);
  readonly #roomName: string;
  readonly #withChanges: (use: (listener: ChangeListener) => void) => void;
  #room: Room<TextData, unknown> | undefined;
  /** What is being sent: the client library may reject it at once. */
  #sending: SendOptions = {};

  /** @param withChanges passes the listener for changes to `use`, once it is loaded. */
  constructor(roomName: string, withChanges: (use: (listener: ChangeListener) => void) => void) {
    this.#roomName = roomName;
    this.#withChanges = withChanges;
    const { draft, failed } = loadUnsent(roomName);
    this.draft.value = draft;
    this.failed.value = failed;
    if (loadRejected(roomName).length > 0) withChanges(() => {});
  }

  bind(room: Room<TextData, unknown>): void {
    this.#room = room;
    this.refresh();
    // Waits for the frame that adds the message to the timeline, so that it never disappears in
    // between.
    const refresh = oncePerFrame(() => this.refresh());
    room.on('sent', ({ id, seq }) => {
      const change = this.changes.value.find((each) => each.id === id);
      if (change) this.#withChanges((changes) => changes.onSent(change, seq));
      refresh();
    });
    room.on('failed', ({ id, data, error }) => this.#onFailed(id, data, error));
  }

  /** Reads the pending messages and changes again. */
  refresh(): void {
    this.pending.value = this.#room?.pending ?? [];
    this.changes.value = this.#room?.pendingChanges ?? [];
    if (this.changes.value.length > 0) this.#withChanges(() => {});
  }

  /** The text in the composer: that of the message being edited, or the draft. */
  get text(): string {
    const mode = this.mode.value;
    return mode?.kind === 'edit' ? mode.text : this.draft.value;
  }

  setText(text: string): void {
    const mode = this.mode.value;
    if (mode?.kind === 'edit') this.mode.value = { ...mode, text };
    else this.setDraft(text);
  }

  setDraft(text: string): void {
    this.draft.value = text;
    this.#save();
  }

  /** Sends a message. Returns false if the text is empty. @param reply the message it replies to */
  send(text: string, reply?: number): boolean {
    if (text === '' || !this.#room) return false;
    this.sendAs({ text }, reply === undefined ? undefined : { reply });
    return true;
  }

  /** Sends a message or a change. */
  sendAs(data: TextData | null, options?: SendOptions): void {
    this.#sending = options ?? {};
    this.#room?.send(data, options).catch(() => {}); // the event `failed` reports it
    this.#sending = {};
    this.refresh();
  }

  /** Handles a rejection, possibly of something sent before a reload. */
  #onFailed(id: string, data: TextData | null, error: HubError): void {
    const sent = [...this.pending.value, ...this.changes.value].find((each) => each.id === id) ?? this.#sending;
    const { op, of, reaction, reply } = sent as SendOptions;
    batch(() => {
      this.refresh();
      if (op && of) this.#withChanges((changes) => changes.onFailed({ op, of, reaction, text: data?.text }, error));
      else if (data) this.#addFailed({ text: data.text, why: error.message, reply });
    });
  }

  retry(failed: Failed): void {
    this.discard(failed);
    this.send(failed.text, failed.reply);
  }

  discard(failed: Failed): void {
    this.failed.value = this.failed.value.filter((other) => other !== failed);
    this.#save();
  }

  /** Moves the last rejected message into an empty draft. */
  editLastFailed(): boolean {
    const last = this.failed.value.at(-1);
    if (!last) return false;
    this.discard(last);
    this.setDraft(last.text);
    return true;
  }

  #addFailed(failed: Failed): void {
    this.failed.value = [...this.failed.value, failed];
    this.#save();
  }

  #save(): void {
    saveUnsent(this.#roomName, { draft: this.draft.value, failed: this.failed.value });
  }
}

/** Removes leading blank lines and trailing white space. Indentation of the first line stays. */
export function trimDraft(draft: string): string {
  return draft.replace(/^(?:[^\S\n]*\n)+|\s+$/g, '');
}

/**
 * Returns by how many bytes a message exceeds the server's limit, negative if it fits. The limit
 * applies to the encoded frame. @param mode whether it edits a message, or replies to one
 */
export function bytesOver(text: string, room: string, limits: Limits | undefined, mode?: Mode): number {
  const of = mode?.message.seq;
  const more = mode && (mode.kind === 'edit' ? { op: 'edit', of } : { reply: of });
  const frame = JSON.stringify({ t: 'send', room, id: LONGEST_ID, ...more, data: { text } });
  return new TextEncoder().encode(frame).byteLength - (limits?.message ?? Number.POSITIVE_INFINITY);
}
