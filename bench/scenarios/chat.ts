import type { Scenario } from './scenario.ts';

export const chat: Scenario = {
  name: 'chat',
  about: 'as much as it takes: 1,000 clients, 100 of them with 10 messages on their way each',
  load: { clients: 1000, senders: 100, window: 10 },
};
