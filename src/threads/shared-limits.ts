import { createSeeds, type Fingerprint } from '../hub/fingerprints.ts';
import type { Clock } from '../hub/time.ts';
import type { Rate } from '../protocol/v1.ts';
import { BUCKET_NUMBERS, SharedBuckets } from './shared-buckets.ts';
import { COUNT_NUMBERS, SharedConnections } from './shared-connections.ts';
import { createTable, SharedTable } from './shared-table.ts';

/** The memory of the limits that threads share, in a form that can be cloned to a thread. */
export interface SharedLimitsMemory {
  /** The seeds of all fingerprints, random so that no client can construct a collision. */
  readonly seeds: Fingerprint;
  /** The number of all connections. */
  readonly connections: SharedArrayBuffer;
  /** The number of connections of each address. */
  readonly addresses: SharedArrayBuffer;
  /** The token buckets of all names. */
  readonly buckets: SharedArrayBuffer;
}

/** The limits of one thread, which count what the other threads count, too. */
export interface OpenLimits {
  readonly connections: SharedConnections;
  /** Returns the token buckets of one name. All threads must give it the same rate. */
  buckets(name: string, rate: Rate): SharedBuckets;
}

// Buckets of all names that are in use, which a bucket is until it is full. More exist only where a
// rate takes minutes to fill a bucket.
const MAX_BUCKETS = 250_000;

/**
 * Returns memory for the limits of this process. Each thread opens it.
 *
 * @param maxConnections in total, which bounds the addresses to count by.
 */
export function createSharedLimits(maxConnections: number): SharedLimitsMemory {
  return {
    seeds: createSeeds(),
    connections: new SharedArrayBuffer(4),
    addresses: createTable(COUNT_NUMBERS, maxConnections),
    buckets: createTable(BUCKET_NUMBERS, MAX_BUCKETS),
  };
}

/** Returns the limits in a memory, for this thread. */
export function openSharedLimits(memory: SharedLimitsMemory, clock: Pick<Clock, 'now'> = processClock): OpenLimits {
  const { seeds } = memory;
  const table = new SharedTable(memory.buckets, BUCKET_NUMBERS);
  return {
    connections: new SharedConnections(memory.connections, memory.addresses, seeds),
    buckets: (name, rate) => new SharedBuckets(table, { name, rate, seeds, clock }),
  };
}

/**
 * The monotonic clock of the process. By its standard, `performance.now()` may start at 0 in each
 * thread, and the wall clock, from which `performance.timeOrigin` comes, may be set between the
 * starts of two threads.
 */
const processClock: Pick<Clock, 'now'> = {
  now() {
    const [seconds, nanoseconds] = process.hrtime();
    return seconds * 1e3 + nanoseconds / 1e6;
  },
};
