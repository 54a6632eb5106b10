import type { ServerControl } from './load.ts';
import type { Scenario } from './scenarios.ts';
import type { WireName } from './wires/index.ts';

/** A server to measure. */
export interface Contestant {
  readonly name: string;
  /** The wire of its clients; undefined if the scenario chooses. */
  readonly wire: WireName | undefined;
  /**
   * Starts the server in its own process, configured for the scenario as far as it supports that.
   */
  start(scenario: Scenario | undefined): Promise<RunningServer>;
}

/** A server that accepts connections. */
export interface RunningServer extends ServerControl {
  readonly url: URL;
  stop(): Promise<void>;
}

/** Measures a server that is already running. It keeps running afterwards. */
export function runningAt(url: URL): Contestant {
  return { name: url.host, wire: undefined, start: async () => ({ url, stop: async () => {} }) };
}
