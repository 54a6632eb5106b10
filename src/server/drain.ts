import { setTimeout as sleep } from 'node:timers/promises';
import type { Keepalive } from '../client/keepalive.ts';

// Spreads the reconnects, unless the drain window is too short for this rate.
const RECONNECTS_PER_SECOND = 1000;

// After so many close frames, sockets are written before the next ones.
const CLOSES_PER_TURN = 100;

/**
 * Closes every client, and gives each its own time to reconnect.
 *
 * @param ms the drain window, in milliseconds.
 */
export async function closeClients(keepalive: Keepalive, ms: number): Promise<void> {
  const clients = [...keepalive.clients];
  const interval = Math.min(1000 / RECONNECTS_PER_SECOND, ms / clients.length);
  for (const [index, client] of clients.entries()) {
    client.goAway(Math.round(index * interval));
    if (index % CLOSES_PER_TURN === CLOSES_PER_TURN - 1) await sleep(1);
  }
}

/** Resolves when no client is connected, or after `ms` milliseconds. */
export async function allClosed(keepalive: Keepalive, ms: number): Promise<void> {
  const end = Date.now() + ms;
  while (keepalive.clients.size > 0 && Date.now() < end) await sleep(10);
}
