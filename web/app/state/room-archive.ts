import { type ReadonlySignal, signal } from '@preact/signals';
import type { MessageEntry, Timeline } from './timeline.ts';

/** How often the latest messages are stored, in milliseconds. */
const INTERVAL_MS = 5_000;

/** When the part that stores messages is loaded: a page that is closed has no time for it. */
const PRELOAD_MS = 1_000;

/** A room whose messages are stored. */
interface ArchivedRoom {
  readonly name: string;
  readonly timeline: Timeline;
  readonly history: { readonly loaded: ReadonlySignal<boolean> };
}

/** Stores the latest messages of one room, and shows them while the room cannot be loaded. */
export class RoomArchive {
  /**
   * The messages that this browser has stored, shown until the room can be loaded; undefined if the
   * server has not been unreachable since the page was opened.
   */
  readonly messages = signal<readonly MessageEntry[] | undefined>(undefined);
  readonly #room: ArchivedRoom;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(room: ArchivedRoom) {
    this.#room = room;
  }

  /** Shows the stored messages until the room can be loaded. */
  async load(): Promise<void> {
    if (this.messages.value || this.#room.history.loaded.value) return;
    const messages = await useArchive(({ archived }) => archived(this.#room.name));
    if (messages?.length) this.messages.value = messages;
  }

  /** Stores the latest messages, at most once in a while, if the room is loaded. */
  schedule(): void {
    if (!this.#room.history.loaded.value || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => this.storeNow(), INTERVAL_MS);
    setTimeout(useArchive, PRELOAD_MS, async () => {});
  }

  /** Stores the latest messages if they have not been stored. */
  storeNow(): void {
    if (this.#timer === undefined) return;
    this.#stopTimer();
    void useArchive(({ archive, MAX_ARCHIVED }) => archive(this.#room.name, this.#room.timeline.latest(MAX_ARCHIVED)));
  }

  /** Removes the stored messages. */
  stop(): void {
    this.#stopTimer();
    void useArchive(({ forgetRoom }) => forgetRoom(this.#room.name));
  }

  #stopTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

/** Loads the part that stores messages. Without it, as when it is offline, nothing is done. */
export async function useArchive<T>(
  work: (archive: typeof import('./archive.ts')) => Promise<T>,
): Promise<T | undefined> {
  try {
    return await work(await import('./archive.ts'));
  } catch {
    return;
  }
}
