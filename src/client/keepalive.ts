import type { Clock, Scheduler } from '../hub/time.ts';

/** A client, as the shared timer and an orderly shutdown see it. */
export interface Connection {
  /**
   * Does what is due at `now`, in whole milliseconds of the clock. `ping` is this tick's payload.
   */
  tend(now: number, ping: Uint8Array): void;
  /** Closes it for a restart. It should come back after `reconnectIn` milliseconds. */
  goAway(reconnectIn: number): void;
}

/**
 * One timer for all clients, instead of one each. A ping carries the time of its tick, so clients
 * that are pinged in one tick share its bytes.
 */
export class Keepalive<Client extends Connection = Connection> {
  readonly #clock: Clock;
  readonly #scheduler: Scheduler;
  readonly #tickMs: number;
  readonly #clients = new Set<Client>();
  #cancelTimer: (() => void) | undefined;

  /** @param tickMs milliseconds between two ticks: how late a ping or a deadline may be. */
  constructor(clock: Clock, scheduler: Scheduler, tickMs = 1000) {
    this.#clock = clock;
    this.#scheduler = scheduler;
    this.#tickMs = tickMs;
  }

  /** The connected clients. */
  get clients(): ReadonlySet<Client> {
    return this.#clients;
  }

  add(client: Client): void {
    this.#clients.add(client);
    this.#cancelTimer ??= this.#scheduleTick();
  }

  remove(client: Client): void {
    this.#clients.delete(client);
  }

  /**
   * Returns when a ping with this payload was sent, by the clock; NaN for a payload that is not
   * ours.
   */
  sentAt(payload: Uint8Array): number {
    if (payload.byteLength !== 8) return Number.NaN;
    return new DataView(payload.buffer, payload.byteOffset, 8).getFloat64(0);
  }

  #scheduleTick(): () => void {
    return this.#scheduler.after(this.#tickMs, () => {
      const now = Math.floor(this.#clock.now());
      const ping = new Uint8Array(8);
      new DataView(ping.buffer).setFloat64(0, now);
      for (const client of this.#clients) client.tend(now, ping);
      this.#cancelTimer = this.#clients.size > 0 ? this.#scheduleTick() : undefined;
    });
  }
}
