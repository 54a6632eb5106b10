import type { Scenario } from './scenario.ts';

export const durable: Scenario = {
  name: 'durable',
  about: 'the load of chat, shown only once it is on disk',
  load: { clients: 1000, senders: 100, window: 10 },
  flags: ['--engine', 'lmdb'],
};
