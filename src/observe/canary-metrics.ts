import { Counter, Gauge, type Registry } from 'prom-client';
import { type Buckets, DistributionMetric } from './distribution.ts';
import { collectValue } from './hub-metrics.ts';

const COUNTERS = {
  sent: ['pumphouse_canary_sent_total', 'Messages that the canary has sent.'],
  received: ['pumphouse_canary_received_total', 'Messages that arrived at the clients of the canary.'],
  gaps: ['pumphouse_canary_gaps_total', 'Messages that did not arrive at a client of the canary.'],
  repeats: ['pumphouse_canary_repeats_total', 'Messages that arrived again at a client of the canary.'],
  swaps: ['pumphouse_canary_swaps_total', 'Messages that arrived after later ones at a client of the canary.'],
  lostAcks: ['pumphouse_canary_lost_acks_total', 'Sends of the canary that were not acknowledged within 10 seconds.'],
  reconnects: ['pumphouse_canary_reconnects_total', 'Connections that the clients of the canary have lost.'],
} as const;

const UP = 'pumphouse_canary_up';

/** The numbers of a canary. */
export interface CanaryReading {
  /** Whether all of its clients are connected. */
  readonly up: boolean;
  count(of: keyof typeof COUNTERS): number;
  /** Milliseconds from a send to its arrival. */
  readonly latency: Buckets;
}

/** Collects the numbers of a canary. @returns a function that ends `pumphouse_canary_up`. */
export function collectCanary(registry: Registry, reading: CanaryReading): () => void {
  const help = 'Whether all clients of the canary are connected and in their room: 1, or 0.';
  collectValue(Gauge, registry, UP, help, () => (reading.up ? 1 : 0));
  for (const [of, [name, help]] of Object.entries(COUNTERS)) {
    collectValue(Counter, registry, name, help, () => reading.count(of as keyof typeof COUNTERS));
  }
  new DistributionMetric({
    name: 'pumphouse_canary_latency_seconds',
    help: 'Times from a send of the canary to its arrival at each of its clients.',
    registry,
    scale: 1 / 1000,
    read: () => reading.latency,
  });
  // A server that shuts down stops its canary first: its absence is no outage.
  return () => registry.removeSingleMetric(UP);
}
