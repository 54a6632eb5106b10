import type { Scenario } from './scenario.ts';

export const bigMessages: Scenario = {
  name: 'big-messages',
  about: 'messages of 16 KB, the longest that the protocol takes: 10 of 100 clients send them',
  load: { wire: 'v1', clients: 100, senders: 10, window: 1, bytes: 16_000 },
};
