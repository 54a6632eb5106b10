import type { Scenario } from './scenario.ts';

/** What a room that waits gains, and what it costs: fewer system calls for later messages. */
export const coalescing: readonly Scenario[] = [0, 5, 20, 100].map((maxDelayMs) => ({
  name: `coalescing-${maxDelayMs}`,
  about: `2,000 messages a second to 1,000 clients in a room that waits ${maxDelayMs} ms`,
  load: { clients: 1000, senders: 100, rate: 2000 },
  rooms: { lobby: { coalesce: { maxDelayMs } } },
}));
