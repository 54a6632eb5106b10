import type { Scenario } from './scenario.ts';

export const manyRooms: Scenario = {
  name: 'many-rooms',
  about: '10,000 clients in rooms of 10, one of each sending',
  load: { wire: 'v1', clients: 10_000, senders: 1000, roomSize: 10, window: 1, audit: 1000 },
};
