import type { Clock, Scheduler } from '../hub/ports.ts';
import type { Client } from './client.ts';

const SECOND = 1000;

/**
 * One timer for all clients: at each tick every client is asked for what is due. A ping carries the time of its tick, so
 * all clients that are pinged in one share its bytes.
 */
export class Keepalive {
  readonly #clock: Clock;
  readonly #scheduler: Scheduler;
  readonly #tick: number;
  readonly #clients = new Set<Client>();
  #cancel: (() => void) | undefined;

  /** @param tick milliseconds between two ticks: how late a ping or a deadline may be. */
  constructor(clock: Clock, scheduler: Scheduler, tick = SECOND) {
    this.#clock = clock;
    this.#scheduler = scheduler;
    this.#tick = tick;
  }

  /** The clients that are connected. */
  get clients(): ReadonlySet<Client> {
    return this.#clients;
  }

  add(client: Client): void {
    this.#clients.add(client);
    this.#cancel ??= this.#next();
  }

  remove(client: Client): void {
    this.#clients.delete(client);
  }

  /** The time that a ping with this payload was sent at; NaN for a payload that is none of ours. */
  sentAt(payload: Uint8Array): number {
    if (payload.byteLength !== 8) return Number.NaN;
    return new DataView(payload.buffer, payload.byteOffset, 8).getFloat64(0);
  }

  #next(): () => void {
    return this.#scheduler.after(this.#tick, () => {
      const now = this.#clock.now();
      const ping = new Uint8Array(8);
      new DataView(ping.buffer).setFloat64(0, now);
      for (const client of this.#clients) client.tend(now, ping);
      this.#cancel = this.#clients.size > 0 ? this.#next() : undefined;
    });
  }
}
