import { setTimeout as sleep } from 'node:timers/promises';
import { Link, reasonOf } from './link.ts';
import { type PrimaryFinder, withoutCredentials } from './primary.ts';

/** Receives what happens to a shard's connection. */
export interface ShardListener {
  /**
   * A new link is established. Its subscriptions are to be made anew, and what was missed is to be
   * read. The shard is ready when the promises of all listeners have resolved.
   */
  connected(link: Link): void | Promise<void>;
  /** The link is lost, and with it its subscriptions and all commands without a reply. */
  lost?(error: Error): void;
  /** The primary has another replication id: a term has ended. The link stays. */
  renewed?(link: Link): void;
}

export interface ShardOptions {
  readonly primary: PrimaryFinder;
  /** Receives each change of `isReady`. */
  readonly onChange: () => void;
  readonly onError: (error: Error) => void;
}

const BEAT_MS = 1_000;
const BEAT_TIMEOUT_MS = 2_000;
// Sentinels promote a replica before an isolated primary learns of it, and what they publish then
// may be lost.
const BEATS_PER_SEARCH = 3;
const MIN_BACKOFF_MS = 50;
const MAX_BACKOFF_MS = 2_000;

/**
 * One Redis or Valkey primary, and the link to it. A lost link is replaced, with backoff, until the
 * shard is closed. Each second a beat checks that the server answers and is still the primary.
 *
 * `listen` adds a listener, which makes its subscriptions on each new link (`Link.subscribe`).
 */
export class Shard {
  readonly #options: ShardOptions;
  readonly #listeners: ShardListener[] = [];
  #link: Link | undefined;
  #url = '';
  #ready = false;
  #closed = false;
  #beat: NodeJS.Timeout | undefined;
  #beats = 0;
  /** When the beat without an answer was sent. */
  #asked: number | undefined;

  constructor(options: ShardOptions) {
    this.#options = options;
  }

  /** Whether the shard is connected and its listeners have recovered. */
  get isReady(): boolean {
    return this.#ready;
  }

  /** Undefined while disconnected. */
  get link(): Link | undefined {
    return this.#link;
  }

  /** Adds a listener, before `start`. They are called in the order they were added in. */
  listen(listener: ShardListener): void {
    this.#listeners.push(listener);
  }

  /** Connects. @throws Error with one line when the primary cannot be reached. */
  async start(): Promise<void> {
    this.#options.primary.watch?.(() => this.#link && void this.#search(this.#link));
    await this.#connect();
    if (this.#closed) return;
    this.#beat = setInterval(() => this.#check(), BEAT_MS);
  }

  /** Runs a command on the connection that receives what is pushed. Rejects while disconnected. */
  async command(args: readonly string[]): Promise<unknown> {
    return this.#require().command(args);
  }

  /** Runs a command whose reply may be long. Rejects while disconnected. */
  async query(args: readonly string[]): Promise<unknown> {
    return this.#require().query(args);
  }

  /** Publishes a message. Nobody receives it while disconnected. */
  publish(channel: string, message: string): void {
    this.#link?.command(['PUBLISH', channel, message]).catch(() => {});
  }

  close(): void {
    this.#closed = true;
    this.#options.primary.close?.();
    clearInterval(this.#beat);
    this.#link?.close();
    this.#link = undefined;
    this.#ready = false;
  }

  #require(): Link {
    if (!this.#link) throw new Error('Redis cannot be reached');
    return this.#link;
  }

  async #connect(): Promise<void> {
    let url: string | undefined;
    try {
      url = await this.#options.primary.find();
      const link: Link = await Link.open(url, (error) => this.#lost(link, error));
      if (this.#closed) return link.close();
      this.#link = link;
      this.#url = url;
      this.#asked = undefined;
    } catch (error) {
      const reason = reasonOf(error);
      throw new Error(url === undefined ? reason : `${withoutCredentials(url)}: ${reason}`, { cause: error });
    }
    await this.#recover(this.#link);
  }

  /** The listeners recover what was missed. */
  async #recover(link: Link): Promise<void> {
    try {
      for (const listener of this.#listeners) await listener.connected(link);
    } catch (error) {
      link.fail(error as Error);
      return;
    }
    if (this.#link === link) this.#setReady(true);
  }

  #lost(link: Link, error: Error): void {
    if (this.#link !== link) return;
    this.#link = undefined;
    this.#options.onError(new Error(`${withoutCredentials(this.#url)}: ${reasonOf(error)}`, { cause: error }));
    this.#setReady(false);
    for (const listener of this.#listeners) listener.lost?.(error);
    void this.#reconnect();
  }

  async #reconnect(): Promise<void> {
    let reported = '';
    for (let backoff = MIN_BACKOFF_MS; !this.#closed; backoff = Math.min(2 * backoff, MAX_BACKOFF_MS)) {
      await sleep(backoff * (0.75 + Math.random() / 2), undefined, { ref: false });
      if (this.#closed) return;
      try {
        return await this.#connect();
      } catch (error) {
        const { message } = error as Error;
        if (message !== reported) this.#options.onError(error as Error);
        reported = message;
      }
    }
  }

  #check(): void {
    const link = this.#link;
    if (!link) return;
    if (this.#asked !== undefined) {
      if (performance.now() - this.#asked >= BEAT_TIMEOUT_MS - 50) link.fail(new Error('no answer for 2 seconds'));
      return;
    }
    this.#asked = performance.now();
    const { replid } = link;
    link.check().then(
      () => {
        if (this.#link !== link) return;
        this.#asked = undefined;
        if (link.replid !== replid) for (const listener of this.#listeners) listener.renewed?.(link);
      },
      (error) => link.fail(error),
    );
    if (++this.#beats % BEATS_PER_SEARCH === 0) void this.#search(link);
  }

  /** Fails the link when the primary is elsewhere by now. */
  async #search(link: Link): Promise<void> {
    const url = await this.#options.primary.find().catch(() => undefined);
    if (url !== undefined && url !== this.#url && this.#link === link) {
      link.fail(new Error(`the primary is ${withoutCredentials(url)} now`));
    }
  }

  #setReady(ready: boolean): void {
    if (this.#ready === ready) return;
    this.#ready = ready;
    this.#options.onChange();
  }
}
