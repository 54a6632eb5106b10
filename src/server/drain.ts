import { setTimeout as sleep } from 'node:timers/promises';
import type { Keepalive } from '../client/keepalive.ts';

// Those who are told when to come back come at most so many a second, as far as the drain window allows.
const RETURNS_A_SECOND = 1000;
const AWAY_AT_ONCE = 100;

/** Sends everyone away, one after the other, each with a time of its own to come back. @param ms the drain window. */
export async function sendAway(keepalive: Keepalive, ms: number): Promise<void> {
  const clients = [...keepalive.clients];
  const apart = Math.min(1000 / RETURNS_A_SECOND, ms / clients.length);
  for (const [index, client] of clients.entries()) {
    client.goAway(Math.round(index * apart));
    if (index % AWAY_AT_ONCE === AWAY_AT_ONCE - 1) await sleep(1);
  }
}

/** Resolves when no client is left, or after `ms`. */
export async function allGone(keepalive: Keepalive, ms: number): Promise<void> {
  const end = Date.now() + ms;
  while (keepalive.clients.size > 0 && Date.now() < end) await sleep(10);
}
