import type { LoadSettings } from './load-options.ts';

/** A named load, and the server configuration that it needs. */
export interface Scenario {
  readonly name: string;
  /** A one-line description. */
  readonly about: string;
  /** Load settings. The command line overrides them. */
  readonly load: Partial<LoadSettings>;
  /**
   * Scenarios that differ in one setting share a family: their figures can be compared.
   *
   * @default undefined, which compares the scenario with no other one
   */
  readonly family?: string;
  /** Additional flags of `pumphouse serve`. */
  readonly flags?: readonly string[];
  /** The `rooms` section of the server's config file. */
  readonly rooms?: Readonly<Record<string, object>>;
  /**
   * Whether to kill and restart the server after filling the room and before clients connect.
   *
   * @default false
   */
  readonly restart?: boolean;
}

/** All scenarios, in the order in which `all` runs them. */
export const scenarios: readonly Scenario[] = [
  {
    name: 'chat',
    family: 'chat',
    about: 'saturation: 1,000 clients, 100 of which keep 10 messages in flight each',
    load: { clients: 1000, senders: 100, window: 10 },
  },
  {
    name: 'broadcast',
    about: 'one sender and 5,000 readers: almost nothing to merge',
    load: { clients: 5000, senders: 1, window: 1 },
  },
  // Throughput against the number of clients.
  ...[100, 1000, 5000].map((clients) => ({
    name: `fan-out-${clients}`,
    family: 'fan-out',
    about: `10 senders with one message in flight each, ${clients.toLocaleString('en-US')} clients`,
    load: { clients, senders: 10, window: 1 },
  })),
  {
    name: 'many-rooms',
    about: '10,000 clients in rooms of 10, one sender per room',
    load: { wire: 'v1', clients: 10_000, senders: 1000, roomSize: 10, window: 1, audit: 1000 },
  },
  {
    name: 'ordinary',
    about: 'a typical room: 100 clients, 10 of which send 1,000 messages per second in all, stored on disk',
    load: { wire: 'v1', clients: 100, senders: 10, rate: 1000, bytes: 64 },
    flags: ['--engine', 'lmdb'],
  },
  {
    name: 'open-loop',
    about: 'latency: 100 clients send 1,000 messages per second to each other, timed from when each was due',
    load: { clients: 100, senders: 100, rate: 1000 },
  },
  {
    name: 'big-messages',
    about: '16 KB messages, the longest that the protocol allows: 10 of 100 clients send',
    load: { wire: 'v1', clients: 100, senders: 10, window: 1, bytes: 16_000 },
  },
  {
    name: 'slow-readers',
    family: 'chat',
    about: 'the chat load plus 50 clients that never read',
    load: { clients: 1000, senders: 100, window: 10, slow: 50 },
  },
  {
    name: 'churn',
    about:
      '500 clients per second connect, stay for about 1 s and leave, half without a close frame; 1,000 others chat',
    load: { clients: 1000, senders: 100, rate: 500, churn: 500 },
  },
  {
    name: 'idle',
    about: 'memory per connection: 10,000 silent clients',
    load: { clients: 10_000, senders: 0, audit: 0, warmUp: 0, seconds: 2 },
  },
  {
    name: 'storm',
    about: 'connection rate: 10,000 clients, 1,000 of them connecting at a time',
    load: { clients: 10_000, senders: 0, audit: 0, atOnce: 1000, warmUp: 0, seconds: 0.5 },
  },
  {
    name: 'durable',
    family: 'chat',
    about: 'the chat load, delivered only once it is stored on disk',
    load: { clients: 1000, senders: 100, window: 10 },
    flags: ['--engine', 'lmdb'],
  },
  {
    name: 'nodes',
    about: 'two nodes on Redis, one room: 200 clients, 20 of which keep one message in flight each',
    load: { wire: 'v1', clients: 200, senders: 20, window: 1, audit: 20, nodes: 2 },
  },
  {
    name: 'nodes-rooms',
    about: 'two nodes on Redis, 100 rooms of 10 clients on both nodes, 2 senders per room',
    load: { wire: 'v1', clients: 1000, senders: 200, roomSize: 10, window: 1, audit: 100, nodes: 2 },
  },
  {
    name: 'recover',
    about: 'the server is killed and restarted; 10,000 clients reconnect at once and read 1,000 missed messages each',
    load: {
      wire: 'v1',
      clients: 10_000,
      senders: 0,
      audit: 50,
      backlog: 1000,
      atOnce: 10_000,
      warmUp: 0,
      seconds: 0.5,
    },
    flags: ['--engine', 'lmdb'],
    restart: true,
  },
  // The trade of latency for fewer system calls.
  ...[0, 5, 20, 100].map((maxDelayMs) => ({
    name: `coalescing-${maxDelayMs}`,
    family: 'coalescing',
    about: `2,000 messages per second to 1,000 clients, coalesced for up to ${maxDelayMs} ms`,
    load: { clients: 1000, senders: 100, rate: 2000 },
    rooms: { lobby: { coalesce: { maxDelayMs } } },
  })),
];

/** @throws Error if no scenario has that name. */
export function scenarioNamed(name: string): Scenario {
  const found = scenarios.find((scenario) => scenario.name === name);
  if (!found) throw new Error(`there is no scenario ${name}`);
  return found;
}
