import type { Scenario } from './scenario.ts';

/** How the throughput goes with the number of clients. */
export const fanOut: readonly Scenario[] = [100, 1000, 5000].map((clients) => ({
  name: `fan-out-${clients}`,
  about: `10 senders with a message on its way each, ${clients.toLocaleString('en-US')} clients`,
  load: { clients, senders: 10, window: 1 },
}));
