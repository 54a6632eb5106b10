import { batch, signal } from '@preact/signals';
import type { Limits, Pending, Room } from '../../sdk/index.ts';
import { onFrame } from './frames.ts';
import { recallUnsent, rememberUnsent } from './memory.ts';

/** What a message is here: programs may say anything else, which is shown as it is. */
export interface Text {
  readonly text: string;
}

/** A message that the server would not take, and why. */
export interface Failed extends Text {
  readonly why: string;
}

// The id that the client library gives a message is shorter.
const LONGEST_ID = 'x'.repeat(40);

/** What someone says in a room before it is said: the text being typed, what is on its way, what was refused. None of it is lost on the way. */
export class Outgoing {
  readonly draft = signal('');
  /** On its way, or waiting for a connection: oldest first. */
  readonly waiting = signal<readonly Pending<Text>[]>([]);
  readonly failed = signal<readonly Failed[]>([]);
  readonly #name: string;
  #room: Room<Text, unknown> | undefined;

  constructor(name: string) {
    this.#name = name;
    const { draft, failed } = recallUnsent(name);
    this.draft.value = draft;
    this.failed.value = failed;
  }

  bind(room: Room<Text, unknown>): void {
    this.#room = room;
    this.refresh();
    // In the frame in which it is in the room: between the two it would be in neither.
    room.on(
      'sent',
      onFrame(() => this.refresh()),
    );
    room.on('failed', ({ data, error }) => {
      batch(() => {
        this.refresh();
        this.#fail({ text: data.text, why: error.message });
      });
    });
  }

  /** What waits has changed. */
  refresh(): void {
    this.waiting.value = this.#room?.pending ?? [];
  }

  type(text: string): void {
    this.draft.value = text;
    this.#remember();
  }

  /** Says what was typed. @returns whether there was anything to say. */
  send(text: string): boolean {
    if (text === '' || !this.#room) return false;
    void this.#room.send({ text }).catch(() => undefined); // it is told as failed
    this.refresh();
    return true;
  }

  retry(failed: Failed): void {
    this.discard(failed);
    this.send(failed.text);
  }

  discard(failed: Failed): void {
    this.failed.value = this.failed.value.filter((other) => other !== failed);
    this.#remember();
  }

  /** Takes back the last message that was refused, to be changed: of all that was said, only that can still be. */
  takeBack(): boolean {
    const last = this.failed.value.at(-1);
    if (!last || this.draft.value !== '') return false;
    this.discard(last);
    this.type(last.text);
    return true;
  }

  #fail(failed: Failed): void {
    this.failed.value = [...this.failed.value, failed];
    this.#remember();
  }

  #remember(): void {
    rememberUnsent(this.#name, { draft: this.draft.value, failed: this.failed.value });
  }
}

/** What will be said of what was typed: without the white space around it. */
export function normal(typed: string): string {
  return typed.replace(/^(?:[^\S\n]*\n)+|\s+$/g, '');
}

/** Bytes by which a text is longer than the server takes; negative where there is room. */
export function bytesOver(text: string, room: string, limits: Limits | undefined): number {
  const frame = JSON.stringify({ t: 'send', room, id: LONGEST_ID, data: { text } });
  return new TextEncoder().encode(frame).byteLength - (limits?.message ?? Number.POSITIVE_INFINITY);
}
