import { KeyedBuckets } from '../client/rate-limit.ts';
import {
  ATTEMPT_RATES,
  type AttemptStore,
  type Cluster,
  type ReadPlaces,
  type RevocationStore,
  type TicketStore,
} from '../hub/cluster.ts';
import type { Clock } from '../hub/time.ts';
import type { Place } from '../protocol/v1.ts';

const NO_MEMBERS = { count: 0, users: [] };

/**
 * Returns the cluster of a process that shares its rooms with no other one.
 *
 * @param revocations @default kept in memory
 *
 * @param readPlaces @default kept in memory
 */
export function localCluster(
  clock: Clock,
  revocations: RevocationStore = new LocalRevocations(),
  readPlaces: ReadPlaces = new LocalReadPlaces(),
): Cluster {
  return {
    tickets: new LocalTickets(clock),
    attempts: localAttempts(clock),
    revocations,
    readPlaces,
    open() {},
    secret: (created) => created,
    signal() {},
    announce() {},
    others: () => NO_MEMBERS,
    claim() {},
    disclaim() {},
    ask: async () => ({ answers: [], missing: 0 }),
    close() {},
  };
}

/** Tickets in memory. Their number is bounded where they are issued. */
export class LocalTickets implements TicketStore {
  readonly #clock: Pick<Clock, 'now'>;
  /** Oldest first. */
  readonly #tickets = new Map<string, { readonly user: string; readonly until: number }>();

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  put(ticket: string, user: string, ms: number): void {
    const now = this.#clock.now();
    for (const [oldest, { until }] of this.#tickets) {
      if (until > now) break;
      this.#tickets.delete(oldest);
    }
    this.#tickets.set(ticket, { user, until: now + ms });
  }

  find(ticket: string): string | undefined {
    const found = this.#tickets.get(ticket);
    return found === undefined || found.until <= this.#clock.now() ? undefined : found.user;
  }

  spend(ticket: string): boolean {
    return this.#tickets.delete(ticket);
  }
}

/** Revocations in memory. */
class LocalRevocations implements RevocationStore {
  readonly #times = new Map<string, number>();

  find(users: readonly string[]): readonly number[] {
    return users.map((user) => this.#times.get(user) ?? 0);
  }

  revoke(user: string, before: number): boolean {
    this.#times.set(user, Math.max(before, this.#times.get(user) ?? 0));
    return true;
  }
}

const MAX_READ_PLACES = 100_000;

/** Read places in memory. Past their bound, those that have not moved for longest are dropped. */
export class LocalReadPlaces implements ReadPlaces {
  readonly #places = new Map<string, Place>();

  find(user: string, room: string): Place | undefined {
    return this.#places.get(JSON.stringify([user, room]));
  }

  move(user: string, room: string, place: Place): void {
    const key = JSON.stringify([user, room]);
    const current = this.#places.get(key);
    if (current?.epoch === place.epoch && current.seq >= place.seq) return;
    this.#places.delete(key);
    this.#places.set(key, place);
    for (const [oldest] of this.#places) {
      if (this.#places.size <= MAX_READ_PLACES) break;
      this.#places.delete(oldest);
    }
  }
}

function localAttempts(clock: Clock): AttemptStore {
  const [byAddress, byUser] = [
    new KeyedBuckets(ATTEMPT_RATES.address, clock),
    new KeyedBuckets(ATTEMPT_RATES.user, clock),
  ];
  return {
    take: (address, user) => byAddress.of(address).take() && byUser.of(user).take(),
    giveBack(address, user) {
      byAddress.of(address).giveBack();
      byUser.of(user).giveBack();
    },
  };
}
