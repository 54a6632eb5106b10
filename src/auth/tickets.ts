import { randomUUID } from 'node:crypto';
import type { TicketStore } from '../hub/cluster.ts';
import { andThen, type NowOrLater, orElse } from '../protocol/now-or-later.ts';
import { type Authentication, authenticated, INVALID, type SignIn, UNAVAILABLE } from './authenticator.ts';

// A handshake follows the login at once.
const LIFETIME_MS = 5_000;

// Past so many tickets the oldest one expires.
const MAX_TICKETS = 10_000;

// The text comes from the client: no other form reaches the store.
const TICKET = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** One-time tickets: a login issues one, and one handshake soon after, on any node, spends it. */
export class Tickets {
  readonly #store: TicketStore;
  readonly #scope: string;
  readonly #now: () => number;
  /** The tickets issued here and when they expire, oldest first. */
  readonly #issued = new Map<string, number>();

  /**
   * @param scope tells these tickets from those of other ways to authenticate in the same store.
   *
   * @param now a monotonic clock, in milliseconds.
   */
  constructor(store: TicketStore, scope: string, now: () => number) {
    this.#store = store;
    this.#scope = scope;
    this.#now = now;
  }

  /** Issues a ticket for a user. Rejects when the store cannot be reached. */
  issue(user: string): NowOrLater<string> {
    this.#makeRoom();
    const ticket = randomUUID();
    this.#issued.set(ticket, this.#now() + LIFETIME_MS);
    return andThen(this.#store.put(this.#keyOf(ticket), user, LIFETIME_MS), () => ticket);
  }

  /** Signs a user in with a ticket. */
  signIn(user: string): NowOrLater<SignIn> {
    const signedIn = andThen(this.issue(user), (otp): SignIn => ({ kind: 'signed-in', otp }));
    return orElse(signedIn, () => UNAVAILABLE);
  }

  /** Authenticates a ticket's user. The principal's `confirm` spends the ticket. */
  authenticate(ticket: string): NowOrLater<Authentication> {
    if (!TICKET.test(ticket)) return INVALID;
    const found = andThen(this.#store.find(this.#keyOf(ticket)), (user) =>
      user === undefined ? INVALID : authenticated({ user, confirm: () => this.#spend(ticket) }),
    );
    return orElse(found, () => UNAVAILABLE);
  }

  #spend(ticket: string): NowOrLater<boolean> {
    this.#issued.delete(ticket);
    return this.#store.spend(this.#keyOf(ticket));
  }

  /** Bounds what a flood of logins takes in the store. */
  #makeRoom(): void {
    const now = this.#now();
    for (const [ticket, until] of this.#issued) {
      if (until > now && this.#issued.size < MAX_TICKETS) break;
      // A ticket that cannot be spent early expires by itself.
      if (until > now) void orElse(this.#spend(ticket), () => false);
      else this.#issued.delete(ticket);
    }
  }

  #keyOf(ticket: string): string {
    return `${this.#scope} ${ticket}`;
  }
}
