import type { Scenario } from './scenario.ts';

export const recover: Scenario = {
  name: 'recover',
  about:
    'everyone comes back: the server is killed and started again, and 10,000 clients want 1,000 messages each at once',
  load: { wire: 'v1', clients: 10_000, senders: 0, audit: 50, backlog: 1000, atOnce: 10_000, warmUp: 0, seconds: 0.5 },
  flags: ['--engine', 'lmdb'],
  restart: true,
};
