import { type ConnectionCounts, LocalConnections } from '../accept/connection-limits.ts';
import { type Buckets, KeyedBuckets } from '../client/rate-limit.ts';
import type { Clock } from '../hub/time.ts';
import type { Rate } from '../protocol/v1.ts';

/** The counts of a server's limits: its own, or those that it shares with other threads. */
export interface Limits {
  readonly connections: ConnectionCounts;
  /** Returns the token buckets of one name. Threads share those of the same name. */
  buckets(name: string, rate: Rate): Buckets;
}

/** Returns the limits of a server in one thread. */
export function localLimits(clock: Clock): Limits {
  return { connections: new LocalConnections(), buckets: (_name, rate) => new KeyedBuckets(rate, clock) };
}
