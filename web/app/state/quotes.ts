import { signal } from '@preact/signals';
import { type ChangeRecord, fold } from './changes.ts';
import type { Conversation } from './conversation.ts';
import { readMessages } from './reread.ts';
import type { MessageEntry } from './timeline.ts';

/** The maximum number of messages that are kept for quotes. */
const MAX_QUOTES = 500;

/** The messages that replies refer to, by number. `null` is one that the server does not have. */
class Quotes {
  readonly #messages = signal<ReadonlyMap<number, MessageEntry | null>>(new Map());
  readonly #room: Conversation;
  /** The numbers to read with the next request. */
  readonly #wanted = new Set<number>();
  #reading = false;

  constructor(room: Conversation) {
    this.#room = room;
    room.incoming.listeners.add((changes) => (changes ? this.#apply(changes) : this.#clear()));
  }

  /** Returns a message; undefined until it is loaded. Components that call it render again then. */
  get(seq: number): MessageEntry | null | undefined {
    return this.#messages.value.get(seq);
  }

  /** Requests a message unless it is loaded. */
  want(seq: number): void {
    if (this.#messages.peek().has(seq)) return;
    const loaded = this.#room.history.loadedMessage(seq);
    if (loaded) this.#set([[seq, loaded]]);
    else {
      this.#wanted.add(seq);
      if (!this.#reading) void this.#load();
    }
  }

  #apply(changes: readonly ChangeRecord[]): void {
    const changed = changes.flatMap((change): [number, MessageEntry][] => {
      const message = this.#messages.peek().get(change.of);
      return message ? [[change.of, fold(message, change)]] : [];
    });
    // Several changes of one message follow each other.
    for (const entry of changed) this.#set([entry]);
  }

  /** Forgets the messages: the log has been replaced, or has lost some. */
  #clear(): void {
    this.#messages.value = new Map();
  }

  async #load(): Promise<void> {
    this.#reading = true;
    await Promise.resolve(); // collects what one render wants
    const seqs = [...this.#wanted].sort((a, b) => a - b);
    this.#wanted.clear();
    try {
      const found = new Map((await readMessages(this.#room, seqs)).map((message) => [message.seq, message]));
      this.#set(seqs.map((seq) => [seq, found.get(seq) ?? null]));
    } catch {
      // The next render requests them again.
    }
    this.#reading = false;
    if (this.#wanted.size > 0) void this.#load();
  }

  #set(entries: readonly (readonly [number, MessageEntry | null])[]): void {
    this.#messages.value = new Map([...this.#messages.peek(), ...entries].slice(-MAX_QUOTES));
  }
}

const quotes = new WeakMap<Conversation, Quotes>();

/** Returns the quotes of a room. */
export function quotesOf(room: Conversation): Quotes {
  const existing = quotes.get(room);
  if (existing) return existing;
  const created = new Quotes(room);
  quotes.set(room, created);
  return created;
}
