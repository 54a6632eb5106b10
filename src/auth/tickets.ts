import { randomUUID } from 'node:crypto';
import { type Authentication, authenticated, INVALID } from './authenticator.ts';

// A handshake follows the login at once.
const LIFETIME_MS = 5_000;

// Past so many tickets the oldest one expires.
const MAX_TICKETS = 10_000;

/** One-time tickets: a login issues one, and one handshake soon after spends it. */
export class Tickets {
  readonly #now: () => number;
  /** Oldest first. */
  readonly #issued = new Map<string, { readonly user: string; readonly until: number }>();

  /** @param now a monotonic clock, in milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Issues a ticket for a user. */
  issue(user: string): string {
    const now = this.#now();
    for (const [ticket, { until }] of this.#issued) {
      if (until > now && this.#issued.size < MAX_TICKETS) break;
      this.#issued.delete(ticket);
    }
    const ticket = randomUUID();
    this.#issued.set(ticket, { user, until: now + LIFETIME_MS });
    return ticket;
  }

  /** Authenticates a ticket's user. The principal's `confirm` spends the ticket. */
  authenticate(ticket: string): Authentication {
    const issued = this.#issued.get(ticket);
    if (issued === undefined || issued.until <= this.#now()) return INVALID;
    return authenticated({ user: issued.user, confirm: () => this.#issued.delete(ticket) });
  }
}
