import type { LoadSettings } from './load-options.ts';
import type { Scenario } from './scenarios.ts';
import { type WireName, wires } from './wires/index.ts';

/** A load, and its scenario; undefined if only the command line describes the load. */
export interface Job {
  readonly scenario: Scenario | undefined;
  readonly load: LoadSettings;
}

/** The load without a scenario. */
export const defaults: LoadSettings = {
  wire: 'gorilla',
  clients: 1000,
  senders: 100,
  roomSize: undefined,
  window: 1,
  rate: undefined,
  bytes: 64,
  seconds: 5,
  warmUp: 1,
  audit: 10,
  patience: 10,
  slow: 0,
  churn: 0,
  atOnce: 200,
  backlog: 0,
  seed: 1,
  generators: 1,
  nodes: 1,
  workers: 1,
  pinning: undefined,
  readInterval: 0,
  aof: 'off',
};

/**
 * Combines the defaults, a scenario and overrides into a load.
 *
 * @param overrides settings that take precedence over the scenario's. @throws what `reject` throws
 * if the load is invalid.
 */
export function jobOf(
  scenario: Scenario | undefined,
  overrides: Partial<LoadSettings> = {},
  reject: (reason: string) => never = (reason) => {
    throw new Error(reason);
  },
): Job {
  const load = { ...defaults, ...scenario?.load, ...overrides };
  const { maxBytes, rooms, replays, confirmsJoin, name } = wires[load.wire as WireName];
  if (load.senders > load.clients) reject('there are more --senders than --clients');
  if (load.generators > load.clients) reject('there are more --generators than --clients');
  if (load.bytes > maxBytes) reject(`--bytes must be at most ${maxBytes} with the wire ${name}`);
  if (!rooms && load.roomSize !== undefined) reject(`the wire ${name} has one room: --room-size needs v1`);
  if (!replays && load.backlog > 0) reject(`the wire ${name} cannot replay messages: ${scenario?.name} needs v1`);
  if (load.nodes > 1 && !confirmsJoin) {
    reject(`the wire ${name} does not confirm when a client has joined: --nodes needs v1`);
  }
  if (load.workers > 1 && !confirmsJoin) {
    reject(`the wire ${name} does not confirm when a client has joined: --workers needs v1`);
  }
  if (load.nodes > 1 && (scenario?.restart || scenario?.flags?.includes('--engine'))) {
    reject(`${scenario.name} measures an engine of one node: it cannot have --nodes`);
  }
  return { scenario, load: { ...load, audit: Math.min(load.audit, load.clients) } };
}
