import { batch, signal } from '@preact/signals';
import type { Limits, Pending, Room } from '../../sdk/index.ts';
import { oncePerFrame } from './frames.ts';
import { loadUnsent, saveUnsent } from './storage.ts';

/** The data of a message that this page sends. Other clients may send any JSON. */
export interface TextData {
  readonly text: string;
}

/** A message that the server rejected, with the reason. */
export interface Failed extends TextData {
  readonly why: string;
}

// At least as long as any id that the client library generates.
const LONGEST_ID = 'x'.repeat(40);

/** The unsent text of one room: the draft, the messages in flight and the rejected ones. */
export class Outgoing {
  readonly draft = signal('');
  /** Messages in flight or queued for a connection, oldest first. */
  readonly pending = signal<readonly Pending<TextData>[]>([]);
  readonly failed = signal<readonly Failed[]>([]);
  readonly #roomName: string;
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
    room.on('failed', ({ data, error }) => {
      batch(() => {
        this.refresh();
        this.#addFailed({ text: data.text, why: error.message });
      });
    });
  }

  /** Reads the pending messages again. */
  refresh(): void {
    this.pending.value = this.#room?.pending ?? [];
  }

  setDraft(text: string): void {
    this.draft.value = text;
    this.#save();
  }

  /** Sends a message. Returns false if the text is empty. */
  send(text: string): boolean {
    if (text === '' || !this.#room) return false;
    void this.#room.send({ text }).catch(() => undefined); // the event `failed` reports it
    this.refresh();
    return true;
  }

  retry(failed: Failed): void {
    this.discard(failed);
    this.send(failed.text);
  }

  discard(failed: Failed): void {
    this.failed.value = this.failed.value.filter((other) => other !== failed);
    this.#save();
  }

  /** Moves the last rejected message into an empty draft. Sent messages cannot be edited. */
  editLastFailed(): boolean {
    const last = this.failed.value.at(-1);
    if (!last || this.draft.value !== '') return false;
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
 * applies to the encoded frame.
 */
export function bytesOver(text: string, room: string, limits: Limits | undefined): number {
  const frame = JSON.stringify({ t: 'send', room, id: LONGEST_ID, data: { text } });
  return new TextEncoder().encode(frame).byteLength - (limits?.message ?? Number.POSITIVE_INFINITY);
}
