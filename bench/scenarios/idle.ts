import type { Scenario } from './scenario.ts';

export const idle: Scenario = {
  name: 'idle',
  about: 'what a connection costs: 10,000 that say nothing',
  load: { clients: 10_000, senders: 0, audit: 0, warmUp: 0, seconds: 2 },
};
