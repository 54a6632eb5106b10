import type { LoadSettings } from './load-options.ts';

// Measured on two cores.
const OVERHEAD_SECONDS = 1;
const CONNECTIONS_PER_SECOND = 2500;

/** Estimates how long a run takes, from the start of the server to its end. */
export function expectedSeconds({ warmUp, seconds, clients, slow, nodes }: LoadSettings): number {
  return warmUp + seconds + nodes * OVERHEAD_SECONDS + (clients + slow) / CONNECTIONS_PER_SECOND;
}

/** Formats an expected duration for a help text. */
export function duration(seconds: number): string {
  return seconds < 100 ? `about ${Math.ceil(seconds)} s` : `about ${Math.ceil(seconds / 60)} minutes`;
}
