import type { Scenario } from './scenario.ts';

export const idle: Scenario = {
  name: 'idle',
  about: 'what a connection costs: 10,000 that say nothing, and how fast they are taken in',
  load: { clients: 10_000, senders: 0, audit: 0 },
};
