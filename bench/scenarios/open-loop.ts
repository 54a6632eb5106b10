import type { Scenario } from './scenario.ts';

export const openLoop: Scenario = {
  name: 'open-loop',
  about: 'how long a message takes: 1,000 a second to 100 clients, whatever comes back, timed from when each was due',
  load: { clients: 100, senders: 100, rate: 1000 },
};
