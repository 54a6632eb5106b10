import type { Scenario } from './scenario.ts';

export const broadcast: Scenario = {
  name: 'broadcast',
  about: 'one sender and 5,000 readers: hardly anything can be merged',
  load: { clients: 5000, senders: 1, window: 1 },
};
