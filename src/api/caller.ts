import type { Encoder, Notice, Pump, Subscriber } from '../hub/subscriber.ts';
import { errors } from '../protocol/v1.ts';
import { noticeTaker } from './notice-taker.ts';

/** The room and the id of a request. The Hub's answer repeats them. */
interface Subject {
  readonly room: string;
  readonly id?: string | undefined;
}

/**
 * Caller is the subscriber that the Hub answers a session's commands over HTTP to. It joins no
 * room. Its id is that of the session, which is the scope of its messages' ids: a retry counts
 * once, whether it comes over HTTP or a WebSocket.
 */
export class Caller implements Subscriber {
  readonly id: string;
  readonly user: string;
  readonly pump: Pump;
  readonly #encode: Encoder['encodeNotice'];
  readonly #lines: string[] = [];
  #unanswered: Subject[] = [];
  #closed = false;
  #onAnswered = () => {};

  /** @param encode encodes a notice as a line of the native protocol. */
  constructor({ id, user }: Pick<Subscriber, 'id' | 'user'>, encode: Encoder['encodeNotice']) {
    this.id = id;
    this.user = user;
    this.#encode = encode;
    this.pump = noticeTaker('callers', (notice) => this.#take(notice));
  }

  /** Whether it takes no answer any more. */
  get closed(): boolean {
    return this.#closed;
  }

  /** The Hub has accepted a request, and answers it later. */
  expect({ room, id }: Subject): void {
    this.#unanswered.push({ room, id });
  }

  /** Adds an answer of its own. */
  reply(notice: Notice): void {
    this.#lines.push(this.#encode(notice));
  }

  /**
   * Waits for the answers of the Hub.
   *
   * @param expired resolves when they are too late. Those that are missing may be stored or not, so
   *   the client is to repeat them.
   *
   * @returns the lines.
   */
  async finish(expired: Promise<void>): Promise<readonly string[]> {
    const answered = new Promise<void>((resolve) => {
      this.#onAnswered = resolve;
    });
    if (this.#unanswered.length > 0) await Promise.race([answered, expired]);
    this.#closed = true;
    for (const { room, id } of this.#unanswered) {
      this.reply({ t: 'error', code: 'unavailable', ...errors.unavailable, ...(id !== undefined && { id }), room });
    }
    return this.#lines;
  }

  notify(): void {}

  joined(): void {}

  evict(): void {}

  end(): void {}

  #take(notice: Notice): void {
    if (this.#closed) return;
    const { room, id } = notice as Subject;
    const index = this.#unanswered.findIndex((each) => each.room === room && each.id === id);
    if (index >= 0) this.#unanswered.splice(index, 1);
    this.reply(notice);
    if (this.#unanswered.length === 0) this.#onAnswered();
  }
}
