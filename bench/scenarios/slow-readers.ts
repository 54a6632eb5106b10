import type { Scenario } from './scenario.ts';

export const slowReaders: Scenario = {
  name: 'slow-readers',
  about: 'the load of chat, beside 50 clients that never read',
  load: { clients: 1000, senders: 100, window: 10, slow: 50 },
};
