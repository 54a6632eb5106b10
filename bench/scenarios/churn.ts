import type { Scenario } from './scenario.ts';

export const churn: Scenario = {
  name: 'churn',
  about: '500 clients a second come, stay for a second and go, half of them without a word, while 1,000 others talk',
  load: { clients: 1000, senders: 100, rate: 500, churn: 500 },
};
