import type { ErrorMessage, Limits } from '../../src/protocol/v1.ts';
import { hubError } from './error.ts';
import { byteLength, encodeData, withData } from './json.ts';
import type { Item } from './slot.ts';
import type { HubError, SendOptions } from './types.ts';

// How many messages may be sent before the first of them is acknowledged.
const MAX_IN_FLIGHT = 64;

// The server's bucket refills a little later than this one. Using 90 % of the rate avoids
// rejections.
const RATE_SHARE = 0.9;

// Milliseconds before a retry if the server names none.
const DEFAULT_RETRY_DELAY = 1_000;

/** The promise of a sent message. A message restored from the storage has none. */
interface Deferred {
  resolve(seq: number): void;
  reject(error: HubError): void;
}

/** Connects an outbox to the connection, the rooms and the storage. */
interface OutboxHost {
  /** Starts the id of each message. */
  readonly idPrefix: string;
  /** Reports whether the server accepts messages for the room now. */
  isJoined(room: string): boolean;
  transmit(text: string): void;
  /** Saves `Outbox.items`, which have changed. */
  save(): void;
  /** Handles a message that will not be sent. */
  onFailure(item: Item, error: HubError): void;
}

/**
 * The unacknowledged messages, in order. After a reconnection all of them are sent again. The
 * server recognizes each by its id, so a message that it stored before the connection was lost is
 * not repeated.
 */
export class Outbox {
  readonly #host: OutboxHost;
  readonly #items: Item[] = [];
  readonly #deferred = new Map<string, Deferred>();
  readonly #inFlight = new Set<string>();
  readonly #idPrefix: string;
  #lastId = 0;
  #limits: Limits | undefined;
  #tokens = 0;
  #refilledAt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Set while the server asks to retry later, and after `stop`. */
  #paused = false;
  #saveScheduled = false;
  #stoppedWith: HubError | undefined;

  constructor(host: OutboxHost) {
    this.#host = host;
    this.#idPrefix = host.idPrefix + randomPrefix();
  }

  get items(): readonly Item[] {
    return this.#items;
  }

  /** Puts the messages of an earlier run before those of this one. */
  restore(items: readonly Item[]): void {
    this.#items.unshift(...items);
  }

  /**
   * Sends a message as soon as its room and the limits allow, or fails it at once with `error`.
   *
   * @returns the promise of the message's `seq`. Its rejection may be left unhandled, except for
   * data that is not JSON and after `stop`.
   */
  add(room: string, data: unknown, error?: HubError, more?: SendOptions): Promise<number> {
    let json: string;
    try {
      json = encodeData(data, 'message');
    } catch (invalid) {
      return Promise.reject(invalid);
    }
    if (this.#stoppedWith) return Promise.reject(this.#stoppedWith);
    const item = { room, id: `${this.#idPrefix}${++this.#lastId}`, json, more };
    this.#items.push(item);
    this.#scheduleSave();
    const stored = new Promise<number>((resolve, reject) => {
      this.#deferred.set(item.id, { resolve, reject });
    });
    stored.catch(() => {});
    if (error) this.#fail(item.id, error);
    else this.flush();
    return stored;
  }

  /** Starts over on a new connection, on which nothing is in flight. */
  restart(limits: Limits): void {
    this.#limits = limits;
    this.#tokens = limits.publishRate?.burst ?? 0;
    this.#refilledAt = performance.now();
    this.#inFlight.clear();
    this.#paused = false;
  }

  /** Sends, in order, as many messages as the limits allow. */
  flush(): void {
    if (this.#paused) return;
    for (const item of [...this.#items]) {
      if (this.#inFlight.size >= MAX_IN_FLIGHT) return;
      if (this.#inFlight.has(item.id) || !this.#host.isJoined(item.room)) continue;
      if (!this.takeToken()) {
        this.#flushAfter(1000 / (this.#limits?.publishRate?.perSecond ?? 1));
        return;
      }
      this.#transmit(item);
    }
  }

  /**
   * Takes a token for one message or signal. @returns false if the server's rate allows none now.
   */
  takeToken(): boolean {
    const rate = this.#limits?.publishRate;
    if (!rate) return true;
    const now = performance.now();
    const refill = ((now - this.#refilledAt) / 1000) * rate.perSecond * RATE_SHARE;
    this.#tokens = Math.min(rate.burst * RATE_SHARE, this.#tokens + refill);
    this.#refilledAt = now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }

  /** Resolves a message that the server has stored. */
  acknowledge(id: string, seq: number): void {
    this.#remove(id)?.resolve(seq);
    this.flush();
  }

  /**
   * Handles a rejection: keeps the message if the server allows a retry, fails it otherwise.
   *
   * @returns whether the error was about a message in flight.
   */
  handleError(error: ErrorMessage): boolean {
    const { id, retry, retryAfter = DEFAULT_RETRY_DELAY } = error;
    if (!this.#inFlight.delete(id as string)) return false;
    if (retry) {
      this.#paused = true;
      this.#flushAfter(retryAfter);
    } else {
      this.#fail(id as string, hubError(error));
      this.flush();
    }
    return true;
  }

  /** Fails all messages of a room, or only the changes that have not been sent. */
  drop(room: string, error: HubError, onlyChanges?: boolean): void {
    for (const { id, more } of this.#items.filter((item) => item.room === room)) {
      if (!onlyChanges || (more?.op && !this.#inFlight.has(id))) this.#fail(id, error);
    }
  }

  /** Stops sending and rejects all promises. The messages stay in the storage for a later run. */
  stop(error: HubError): void {
    clearTimeout(this.#timer);
    this.#paused = true;
    this.#stoppedWith = error;
    for (const { reject } of this.#deferred.values()) reject(error);
    this.#deferred.clear();
  }

  #transmit(item: Item): void {
    const { room, id, json, more } = item;
    const text = withData({ t: 'send', room, id, ...more }, json);
    const limit = this.#limits?.message;
    if (byteLength(text) > (limit as number)) {
      this.#fail(id, hubError({ code: 'too_long', message: `the message exceeds ${limit} bytes`, room }));
      return;
    }
    this.#inFlight.add(id);
    this.#host.transmit(text);
  }

  #fail(id: string, error: HubError): void {
    const item = this.#items.find((candidate) => candidate.id === id);
    this.#remove(id)?.reject(error);
    if (item) this.#host.onFailure(item, error);
  }

  /** @returns the promise to settle, if the message has one. */
  #remove(id: string): Deferred | undefined {
    const deferred = this.#deferred.get(id);
    const index = this.#items.findIndex((item) => item.id === id);
    if (index >= 0) this.#items.splice(index, 1);
    this.#inFlight.delete(id);
    this.#deferred.delete(id);
    this.#scheduleSave();
    return deferred;
  }

  #flushAfter(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#paused = false;
      this.flush();
    }, ms);
  }

  /** Saves once for all changes made in the same turn. */
  #scheduleSave(): void {
    if (this.#saveScheduled) return;
    this.#saveScheduled = true;
    queueMicrotask(() => {
      this.#saveScheduled = false;
      this.#host.save();
    });
  }
}

/** Keeps ids distinct from those of earlier runs and of other pages of the same session. */
function randomPrefix(): string {
  return `${crypto.getRandomValues(new Uint32Array(2)).join('')}-`;
}
