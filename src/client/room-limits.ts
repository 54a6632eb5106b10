import type { Clock } from '../hub/time.ts';
import type { Rate } from '../protocol/v1.ts';
import { type SharedTake, TokenBucket } from './rate-limit.ts';

/** The rate limit of the rooms that a pattern matches. */
export interface RoomRate {
  /** Messages that each client may send to these rooms together. */
  readonly rate: Rate;
  /** Limits that the connections of one address or one user share. @default no such limits */
  readonly shared?: SharedTake;
}

/** The limits of all rooms. */
export interface RoomRates {
  /** Returns the limit of a room; `off` and undefined where it has none of its own. */
  find(room: string): RoomRate | 'off' | undefined;
}

/** A client's bucket for the rooms of one pattern. */
interface RoomLimit {
  readonly bucket: TokenBucket;
  readonly shared: SharedTake | undefined;
}

/**
 * The limits of one client in its rooms. A room's limit is found when the client joins it, not for
 * each message. A bucket outlives a departure: to leave and join again does not fill it.
 */
export class RoomLimits {
  readonly #rates: RoomRates;
  readonly #clock: Clock;
  readonly #byRate = new Map<RoomRate, RoomLimit>();
  readonly #byRoom = new Map<string, RoomLimit | 'off'>();

  constructor(rates: RoomRates, clock: Clock) {
    this.#rates = rates;
    this.#clock = clock;
  }

  join(room: string): void {
    this.#byRoom.set(room, this.#find(room));
  }

  leave(room: string): void {
    this.#byRoom.delete(room);
  }

  /** Takes a token for a message to a room. @returns false when the room or the client has none. */
  take(room: string, client: Parameters<SharedTake['take']>[0]): boolean {
    // The wires without a membership of their own send to rooms that they have not joined.
    const limit = this.#byRoom.get(room) ?? this.#find(room);
    return limit === 'off' || (limit.bucket.take() && limit.shared?.take(client) !== false);
  }

  #find(room: string): RoomLimit | 'off' {
    const rate = this.#rates.find(room) ?? 'off';
    if (rate === 'off') return 'off';
    let limit = this.#byRate.get(rate);
    if (limit === undefined) {
      limit = { bucket: new TokenBucket(rate.rate, this.#clock), shared: rate.shared };
      this.#byRate.set(rate, limit);
    }
    return limit;
  }
}
