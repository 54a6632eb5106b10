import { addressKey, isLoopback } from '../accept/connection-limits.ts';
import type { ClientContext } from '../client/client.ts';
import { type RateLimit, SharedLimits } from '../client/rate-limit.ts';
import type { AuthSettings } from '../config/listeners.ts';
import type { Settings } from '../config/settings.ts';
import type { Limits } from './limits.ts';

export const DEFAULT_PUBLISH_RATE = { perSecond: 20, burst: 40 };

// The rates of one user and of one address, as multiples of the rate of one connection.
const USER_FACTOR = 2;
const ADDRESS_FACTOR = 20;

/** The limits of each connection, and those that one user's or address's connections share. */
export class Rates {
  readonly #publishRate: RateLimit;
  readonly #shared: SharedLimits | undefined;

  constructor({ publishRate = DEFAULT_PUBLISH_RATE }: Settings, limits: Limits) {
    this.#publishRate = publishRate;
    if (publishRate === 'off') return;
    const { perSecond, burst } = publishRate;
    const times = (factor: number) => ({ perSecond: factor * perSecond, burst: factor * burst });
    const address = limits.buckets('messages of an address', times(ADDRESS_FACTOR));
    const user = limits.buckets('messages of a user', times(USER_FACTOR));
    this.#shared = new SharedLimits({ address, user }, isLoopback, addressKey);
  }

  /** Without authentication a client can take any name, so names have no limit. */
  of({ auth }: AuthSettings): Pick<ClientContext, 'publishRate' | 'sharedLimits'> {
    const [publishRate, shared] = [this.#publishRate, this.#shared];
    if (!shared) return { publishRate };
    return { publishRate, sharedLimits: auth === 'open' ? shared.withoutUsers() : shared };
  }
}
