import { signal } from '@preact/signals';

// A typing signal expires after this time unless it is repeated.
const EXPIRES_MS = 6_000;
const REPEAT_MS = 3_000;

/** The signal that a page sends while its user is typing. */
export interface TypingSignal {
  readonly typing: boolean;
}

/** Tracks the users who are typing in a room, and signals that this user is typing. */
export class Typing {
  /** The users who are typing, in the order in which they started. */
  readonly names = signal<readonly string[]>([]);
  readonly #expiresAt = new Map<string, number>();
  readonly #send: (signal: TypingSignal) => boolean;
  #sentAt = Number.NEGATIVE_INFINITY;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param send sends a signal to the room. Returns false if the room is not joined. */
  constructor(send: (signal: TypingSignal) => boolean) {
    this.#send = send;
  }

  receive(from: string, data: unknown): void {
    if (isTyping(data)) this.#expiresAt.set(from, performance.now() + EXPIRES_MS);
    else this.#expiresAt.delete(from);
    this.#update();
  }

  /** Removes a user who sent a message or left. */
  remove(name: string): void {
    if (this.#expiresAt.delete(name)) this.#update();
  }

  /** Handles a change of this user's draft. @param typing whether the draft has text. */
  draftChanged(typing: boolean): void {
    const now = performance.now();
    if (typing ? now - this.#sentAt < REPEAT_MS : this.#sentAt === Number.NEGATIVE_INFINITY) return;
    const sent = this.#send({ typing });
    this.#sentAt = typing && sent ? now : Number.NEGATIVE_INFINITY;
  }

  /** Handles a message of this user. Others stop showing the user as typing when it arrives. */
  messageSent(): void {
    this.#sentAt = Number.NEGATIVE_INFINITY;
  }

  #update(): void {
    clearTimeout(this.#timer);
    const now = performance.now();
    for (const [name, expiresAt] of this.#expiresAt) if (expiresAt <= now) this.#expiresAt.delete(name);
    const next = Math.min(...this.#expiresAt.values());
    if (Number.isFinite(next)) this.#timer = setTimeout(() => this.#update(), next - now);
    this.names.value = [...this.#expiresAt.keys()];
  }
}

function isTyping(data: unknown): boolean {
  return typeof data === 'object' && data !== null && 'typing' in data && data.typing === true;
}
