import { batch, signal } from '@preact/signals';
import type { HubError, Limits, Pending, Room } from '../../sdk/index.ts';
import { oncePerFrame } from './frames.ts';
import { loadUnsent, saveUnsent } from './storage.ts';
import type { MessageEntry } from './timeline.ts';

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

/** The unsent text of one room: the draft, the messages in flight and the rejected ones. */
export class Outgoing {
  readonly draft = signal('');
  readonly mode = signal<Mode | undefined>(undefined);
  /** Messages in flight or queued for a connection, oldest first. */
  readonly pending = signal<readonly Pending<TextData>[]>([]);
  readonly failed = signal<readonly Failed[]>([]);
  readonly #roomName: string;
  /** The numbers of the messages that pending ones reply to, by their ids. */
  readonly #replies = new Map<string, number>();
  #room: Room<TextData, unknown> | undefined;

  constructor(roomName: string) {
    this.#roomName = roomName;
    const { draft, failed } = loadUnsent(roomName);
    this.draft.value = draft;
    this.failed.value = failed;
  }

  bind(room: Room<TextData, unknown>): void {
    this.#room = room;
    this.refresh();
    // Waits for the frame that adds the message to the timeline, so that it never disappears in
    // between.
    room.on(
      'sent',
      oncePerFrame(() => this.refresh()),
    );
  }

  /** Reads the pending messages again. */
  refresh(): void {
    this.pending.value = this.#room?.pending ?? [];
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

  /** Returns the number of the message that a pending one replies to. */
  replyOf(id: string): number | undefined {
    return this.#replies.get(id);
  }

  setDraft(text: string): void {
    this.draft.value = text;
    this.#save();
  }

  /** Sends a message. Returns false if the text is empty. @param reply the message it replies to */
  send(text: string, reply?: number): boolean {
    const room = this.#room;
    if (text === '' || !room) return false;
    const sent = room.send({ text }, reply === undefined ? undefined : { reply });
    const id = room.pending.at(-1)?.id;
    if (reply !== undefined && id !== undefined) this.#replies.set(id, reply);
    sent
      .catch(({ code, message }: HubError) => {
        if (code === 'closed' || code === 'left' || code === 'removed') return;
        batch(() => {
          this.refresh();
          this.#addFailed({ text, why: message, reply });
        });
      })
      .finally(() => id !== undefined && this.#replies.delete(id));
    this.refresh();
    return true;
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
