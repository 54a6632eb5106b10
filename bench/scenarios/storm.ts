import type { Scenario } from './scenario.ts';

export const storm: Scenario = {
  name: 'storm',
  about: 'how fast clients are taken in: 10,000, of which 1,000 knock at once',
  load: { clients: 10_000, senders: 0, audit: 0, atOnce: 1000, warmUp: 0, seconds: 0.5 },
};
