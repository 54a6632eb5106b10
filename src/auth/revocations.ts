import type { RevocationStore } from '../hub/cluster.ts';
import { andThen, type NowOrLater } from '../protocol/now-or-later.ts';

// A handshake takes less: it has been checked against everything older.
const RECENT_MS = 10 * 60_000;

// Past so many the oldest is forgotten.
const MAX_RECENT = 10_000;

/**
 * Decides whether a credential was revoked, by the time at which it was issued: in milliseconds
 * since 1970, 0 if that is unknown.
 */
export class Revocations {
  readonly #store: RevocationStore;
  readonly #now: () => number;
  /** Revocations that were announced to this server, oldest first. */
  readonly #recent = new Map<string, { readonly before: number; readonly until: number }>();

  /** @param now a monotonic clock, in milliseconds. */
  constructor(store: RevocationStore, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  /** Reports whether a credential is revoked. Rejects when the store cannot be reached. */
  covers(user: string, issued: number): NowOrLater<boolean> {
    return andThen(this.#store.find([user]), ([before = 0]) => issued < before);
  }

  /** Returns the time before which the credentials of each user are revoked; 0 for none. */
  timesOf(users: readonly string[]): NowOrLater<readonly number[]> {
    return this.#store.find(users);
  }

  /** Another node, or this one, has revoked the credentials of a user. */
  announced(user: string, before: number): void {
    const now = this.#now();
    const known = this.#recent.get(user)?.before ?? 0;
    this.#recent.delete(user);
    for (const [oldest, { until }] of this.#recent) {
      if (until > now && this.#recent.size < MAX_RECENT) break;
      this.#recent.delete(oldest);
    }
    this.#recent.set(user, { before: Math.max(before, known), until: now + RECENT_MS });
  }

  /**
   * Reports whether a credential was revoked while its handshake went on, after it had been checked
   * by `covers`.
   */
  coversNow(user: string, issued: number): boolean {
    return this.#recent.size > 0 && issued < (this.#recent.get(user)?.before ?? 0);
  }
}
