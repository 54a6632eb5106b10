import type { ErrorMessage, Limits } from '../../src/protocol/v1.ts';
import { hubError } from './error.ts';
import type { Item } from './slot.ts';
import type { HubError } from './types.ts';

// So many messages are on their way at once.
const IN_FLIGHT = 64;

// The server counts a little later than we do: a part of what it allows is left alone, so that it refuses nothing.
const OF_THE_RATE = 0.9;

/** Whom an item waits for: none, for one from before a reload. */
interface Waiting {
  resolve(seq: number): void;
  reject(error: HubError): void;
}

/** What an outbox needs. */
interface Outlet {
  /** Whether the room's messages are taken now. */
  open(room: string): boolean;
  transmit(text: string): void;
  /** What waits has changed. */
  save(): void;
  /** A message will not be sent. */
  failed(item: Item, error: HubError): void;
}

/**
 * What is said and not answered yet, in order. Each message has an id by which the server knows it again: after a lost
 * connection all that is not answered is sent again, and what had arrived is not said twice.
 */
export class Outbox {
  readonly #outlet: Outlet;
  readonly #items: Item[] = [];
  readonly #waiting = new Map<string, Waiting>();
  readonly #flying = new Set<string>();
  readonly #prefix = randomName();
  #count = 0;
  #limits: Limits | undefined;
  #tokens = 0;
  #filledAt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The server takes nothing more just now. */
  #held = false;
  #saving = false;
  #stopped: HubError | undefined;

  constructor(outlet: Outlet) {
    this.#outlet = outlet;
  }

  get items(): readonly Item[] {
    return this.#items;
  }

  /** What an earlier life left comes first. */
  restore(items: readonly Item[]): void {
    this.#items.unshift(...items);
  }

  /** @returns the promise of its `seq`; who does not wait for it is not told that it was given up. */
  add(room: string, data: unknown): Promise<number> {
    const json = JSON.stringify(data);
    if (json === undefined) return Promise.reject(new TypeError('what is sent must be a JSON value'));
    if (this.#stopped) return Promise.reject(this.#stopped);
    const item = { room, id: `${this.#prefix}${++this.#count}`, json };
    this.#items.push(item);
    this.#changed();
    const sent = new Promise<number>((resolve, reject) => {
      this.#waiting.set(item.id, { resolve, reject });
    });
    sent.catch(() => {});
    this.flush();
    return sent;
  }

  /** A connection is live: nothing is on its way. */
  start(limits: Limits): void {
    this.#limits = limits;
    this.#tokens = limits.publishRate?.burst ?? 0;
    this.#filledAt = performance.now();
    this.#flying.clear();
    this.#held = false;
  }

  /** Sends what may be sent now, in order. */
  flush(): void {
    if (this.#held) return;
    for (const item of [...this.#items]) {
      if (this.#flying.size >= IN_FLIGHT) return;
      if (this.#flying.has(item.id) || !this.#outlet.open(item.room)) continue;
      if (!this.takeToken()) {
        this.#later(1000 / (this.#limits?.publishRate?.perSecond ?? 1));
        return;
      }
      this.#transmit(item);
    }
  }

  /** Whether the server's rate allows one more message or signal. */
  takeToken(): boolean {
    const rate = this.#limits?.publishRate;
    if (!rate) return true;
    const now = performance.now();
    const earned = ((now - this.#filledAt) / 1000) * rate.perSecond * OF_THE_RATE;
    this.#tokens = Math.min(rate.burst * OF_THE_RATE, this.#tokens + earned);
    this.#filledAt = now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }

  sent(id: string, seq: number): void {
    this.#remove(id)?.resolve(seq);
    this.flush();
  }

  /** The server did not take it: it stays if it may be taken later. @returns whether it is one of these. */
  refused({ id, room, code, message, retry, retryAfter = 1000 }: ErrorMessage): boolean {
    if (id === undefined || !this.#flying.delete(id)) return false;
    if (retry) {
      this.#held = true;
      this.#later(retryAfter);
    } else {
      this.#fail(id, hubError(code, message, room));
      this.flush();
    }
    return true;
  }

  /** Gives up what waits to be sent to a room. */
  drop(room: string, error: HubError): void {
    for (const { id } of this.#items.filter((item) => item.room === room)) this.#fail(id, error);
  }

  /** Sends nothing any more. What waits stays for a later life. */
  stop(error: HubError): void {
    clearTimeout(this.#timer);
    this.#held = true;
    this.#stopped = error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  #transmit(item: Item): void {
    const { room, id, json } = item;
    const text = `{"t":"send","room":${JSON.stringify(room)},"id":"${id}","data":${json}}`;
    if (bytesOf(text) > (this.#limits?.message ?? Number.POSITIVE_INFINITY)) {
      this.#fail(id, hubError('too_long', 'the message is longer than the server takes', room));
      return;
    }
    this.#flying.add(id);
    this.#outlet.transmit(text);
  }

  #fail(id: string, error: HubError): void {
    const item = this.#items.find((one) => one.id === id);
    this.#remove(id)?.reject(error);
    if (item) this.#outlet.failed(item, error);
  }

  /** @returns who waits for it. */
  #remove(id: string): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    const at = this.#items.findIndex((item) => item.id === id);
    if (at >= 0) this.#items.splice(at, 1);
    this.#flying.delete(id);
    this.#waiting.delete(id);
    this.#changed();
    return waiting;
  }

  #later(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#held = false;
      this.flush();
    }, ms);
  }

  /** Many messages in one go are written down once. */
  #changed(): void {
    if (this.#saving) return;
    this.#saving = true;
    queueMicrotask(() => {
      this.#saving = false;
      this.#outlet.save();
    });
  }
}

function bytesOf(text: string): number {
  return new TextEncoder().encode(text).byteLength;
}

/** Other pages of the same session, and earlier lives of this one, have other names. */
function randomName(): string {
  const [a = 0, b = 0] = crypto.getRandomValues(new Uint32Array(2));
  return `${a.toString(36)}${b.toString(36)}-`;
}
