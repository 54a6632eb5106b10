import { addressKey, isLoopback } from '../accept/connection-limits.ts';
import type { ClientContext } from '../client/client.ts';
import { type Buckets, type RateLimit, SharedLimits } from '../client/rate-limit.ts';
import type { RoomRates } from '../client/room-limits.ts';
import type { AuthSettings } from '../config/listeners.ts';
import { DEFAULT_PUBLISH_RATE, type Settings } from '../config/settings.ts';
import { RoomTable } from '../protocol/room-pattern.ts';
import type { Rate } from '../protocol/v1.ts';
import type { Limits } from './limits.ts';

// The rates of one user and of one address, as multiples of the rate of one connection.
const USER_FACTOR = 2;
const ADDRESS_FACTOR = 20;

type ClientRates = Pick<ClientContext, 'publishRate' | 'sharedLimits' | 'roomRates'>;

/** The rate of an entry of `rooms`, and its buckets. */
interface EntryRate {
  readonly rate: Rate;
  readonly shared: SharedLimits;
  /** Those of the addresses that post to these rooms. */
  readonly posts: Buckets;
}

/** The limits of each connection, and those that one user's or address's connections share. */
export class Rates {
  readonly #publishRate: RateLimit;
  readonly #shared: SharedLimits | undefined;
  /** By pattern. */
  readonly #entries: ReadonlyMap<string, EntryRate | 'off'>;
  readonly #posts: RoomTable<Buckets | 'off'>;

  constructor({ publishRate = DEFAULT_PUBLISH_RATE, rooms }: Settings, limits: Limits) {
    this.#publishRate = publishRate;
    this.#shared = publishRate === 'off' ? undefined : sharedLimits('messages of', publishRate, limits);
    this.#entries = entryRates(rooms, limits);
    this.#posts = this.#tableOf(({ posts }) => posts);
  }

  /** Without authentication a client can take any name, so names have no limit. */
  of({ auth }: AuthSettings): ClientRates {
    const limitsOf = (shared: SharedLimits) => (auth === 'open' ? shared.withoutUsers() : shared);
    const roomRates: RoomRates = this.#tableOf(({ rate, shared }) => ({ rate, shared: limitsOf(shared) }));
    return {
      publishRate: this.#publishRate,
      ...(this.#shared && { sharedLimits: limitsOf(this.#shared) }),
      ...(this.#entries.size > 0 && { roomRates }),
    };
  }

  /** Takes a token for a post of an address to a room. @returns false when the room has none. */
  takePost(room: string, address: string): boolean {
    const buckets = this.#posts.find(room) ?? 'off';
    return buckets === 'off' || buckets.take(addressKey(address));
  }

  #tableOf<T>(map: (entry: EntryRate) => T): RoomTable<T | 'off'> {
    const entries = [...this.#entries].map(([pattern, entry]) => [pattern, entry === 'off' ? entry : map(entry)]);
    return new RoomTable<T | 'off'>(Object.fromEntries(entries));
  }
}

function entryRates(rooms: Settings['rooms'], limits: Limits): ReadonlyMap<string, EntryRate | 'off'> {
  const entries = new Map<string, EntryRate | 'off'>();
  for (const [pattern, { publishRate: rate }] of Object.entries(rooms)) {
    if (rate === 'off') entries.set(pattern, rate);
    else if (rate !== undefined) {
      const shared = sharedLimits(`messages to ${pattern} of`, rate, limits);
      entries.set(pattern, { rate, shared, posts: limits.buckets(`posts to ${pattern} of an address`, rate) });
    }
  }
  return entries;
}

/** @param what names the buckets among all that the threads share. */
function sharedLimits(what: string, { perSecond, burst }: Rate, limits: Limits): SharedLimits {
  const times = (factor: number) => ({ perSecond: factor * perSecond, burst: factor * burst });
  const address = limits.buckets(`${what} an address`, times(ADDRESS_FACTOR));
  const user = limits.buckets(`${what} a user`, times(USER_FACTOR));
  return new SharedLimits({ address, user }, isLoopback, addressKey);
}
