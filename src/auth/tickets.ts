import { randomUUID } from 'node:crypto';
import type { Principal } from './authenticator.ts';

// Nobody needs longer from the answer to the handshake.
const LIVES_MS = 5_000;

// More are not out at once: the oldest goes.
const MOST = 10_000;

/** One-time tickets: who has signed in gets one, for one handshake soon after. */
export class Tickets {
  readonly #now: () => number;
  /** Oldest first. */
  readonly #holders = new Map<string, { readonly user: string; readonly until: number }>();

  /** @param now milliseconds that only go forward. */
  constructor(now: () => number) {
    this.#now = now;
  }

  issue(user: string): string {
    const now = this.#now();
    for (const [ticket, { until }] of this.#holders) {
      if (until > now && this.#holders.size < MOST) break;
      this.#holders.delete(ticket);
    }
    const ticket = randomUUID();
    this.#holders.set(ticket, { user, until: now + LIVES_MS });
    return ticket;
  }

  /** Whose ticket it is: it is spent only when that is confirmed. `false` for one that is spent, too old or none. */
  known(ticket: string): Principal | 'false' {
    const held = this.#holders.get(ticket);
    if (held === undefined || held.until <= this.#now()) return 'false';
    return { user: held.user, confirm: () => this.#holders.delete(ticket) };
  }
}
