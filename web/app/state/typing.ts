import { signal } from '@preact/signals';

// A sign of typing holds for so long, and is given again while it goes on.
const HOLDS_MS = 6_000;
const AGAIN_MS = 3_000;

/** What a page tells others while someone types in it. */
export interface TypingSignal {
  readonly typing: boolean;
}

/** Who is typing in a room, as far as they have said so lately; and, told to them now and then, that one is oneself. */
export class Typing {
  /** Who is, in the order they began. */
  readonly names = signal<readonly string[]>([]);
  readonly #until = new Map<string, number>();
  readonly #tell: (told: TypingSignal) => boolean;
  #toldAt = Number.NEGATIVE_INFINITY;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param tell says whether it could be told. */
  constructor(tell: (told: TypingSignal) => boolean) {
    this.#tell = tell;
  }

  heard(from: string, data: unknown): void {
    if (isTyping(data)) this.#until.set(from, performance.now() + HOLDS_MS);
    else this.#until.delete(from);
    this.#show();
  }

  /** Someone has said what they typed, or is gone. */
  stopped(name: string): void {
    if (this.#until.delete(name)) this.#show();
  }

  /** The text of one's own message has changed. @param going whether there is any. */
  typed(going: boolean): void {
    const now = performance.now();
    if (going ? now - this.#toldAt < AGAIN_MS : this.#toldAt === Number.NEGATIVE_INFINITY) return;
    const told = this.#tell({ typing: going });
    this.#toldAt = going && told ? now : Number.NEGATIVE_INFINITY;
  }

  /** One's own message is sent: others see it, and need not be told. */
  sent(): void {
    this.#toldAt = Number.NEGATIVE_INFINITY;
  }

  #show(): void {
    clearTimeout(this.#timer);
    const now = performance.now();
    for (const [name, until] of this.#until) if (until <= now) this.#until.delete(name);
    const next = Math.min(...this.#until.values());
    if (Number.isFinite(next)) this.#timer = setTimeout(() => this.#show(), next - now);
    this.names.value = [...this.#until.keys()];
  }
}

function isTyping(data: unknown): boolean {
  return typeof data === 'object' && data !== null && 'typing' in data && data.typing === true;
}
