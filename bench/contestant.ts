import type { ServerControl } from './load.ts';
import type { LoadSettings } from './load-options.ts';
import type { Scenario } from './scenarios.ts';
import type { WireName } from './wires/index.ts';

/** A server to measure. */
export interface Contestant {
  readonly name: string;
  /** The wire of its clients; undefined if the scenario chooses. */
  readonly wire: WireName | undefined;
  /** Whether it runs as one node, as several on Redis, or as either. */
  readonly topology: 'single' | 'cluster' | 'any';
  /**
   * Whether it promises that the clients of all nodes receive a room's messages in one order.
   *
   * @default true
   */
  readonly promisesOrder?: boolean;
  /**
   * Starts the server in its own processes, configured for the scenario as far as it supports that,
   * with the number of nodes of the load.
   */
  start(scenario: Scenario | undefined, load: LoadSettings): Promise<RunningServer>;
}

/** A server that accepts connections. */
export interface RunningServer extends ServerControl {
  /** The address of each node. */
  readonly urls: readonly URL[];
  stop(): Promise<void>;
}

/** One process of a server. */
export interface ServerNode {
  readonly url: URL;
  readonly pid: number | undefined;
  stop(): Promise<void>;
}

/** @returns a server of one node. */
export function serverOf({ url, pid, stop }: ServerNode): RunningServer {
  return { urls: [url], pids: [pid], stop };
}

/** Whether a server can run as that many nodes. */
export function supportsNodes({ topology }: Contestant, nodes: number): boolean {
  return topology === 'any' || (topology === 'cluster') === nodes > 1;
}

/** Measures a server that is already running. It keeps running afterwards. */
export function runningAt(url: URL): Contestant {
  const start = async () => ({ urls: [url], stop: async () => {} });
  return { name: url.host, wire: undefined, topology: 'single', start };
}
