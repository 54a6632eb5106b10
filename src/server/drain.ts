import type { Keepalive } from '../client/keepalive.ts';
import type { Clock } from '../hub/time.ts';

// Left of the drain window for what follows the clients and the last attempts of webhooks.
const MARGIN_MS = 500;

// After so many close frames, sockets are written before the next ones.
const CLOSES_PER_TURN = 100;

/** Returns how long clients and webhooks may take in a shutdown, in milliseconds. */
export function windowOf(drainWindow: number): number {
  return Math.max(0, drainWindow * 1000 - MARGIN_MS);
}

export interface DrainOptions {
  /** How long closing and waiting may take, in milliseconds. */
  readonly window: number;
  /** Clients that the server takes in a second. */
  readonly intake: number;
  readonly clock: Clock;
  /** Resolves after `ms` milliseconds. */
  readonly sleep: (ms: number) => Promise<unknown>;
}

/**
 * Closes every client, and gives each its own time to reconnect: no sooner than the server that
 * follows can take it in, so perhaps long after the drain window. Resolves when no client is
 * connected, or at the end of the window.
 */
export async function closeClients(keepalive: Keepalive, options: DrainOptions): Promise<void> {
  const { window, intake, clock, sleep } = options;
  const end = clock.now() + window;
  for (const [index, client] of [...keepalive.clients].entries()) {
    client.goAway(Math.round((index / intake) * 1000));
    if (index % CLOSES_PER_TURN === CLOSES_PER_TURN - 1 && clock.now() < end) await sleep(1);
  }
  while (keepalive.clients.size > 0 && clock.now() < end) await sleep(10);
}
