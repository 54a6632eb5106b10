import type { DialectName } from './dialects/index.ts';
import type { Surroundings } from './load.ts';
import type { Scenario } from './scenarios/index.ts';

/** A server that can be measured. */
export interface Contestant {
  readonly name: string;
  /** How it is talked to; undefined where the scenario may choose. */
  readonly wire: DialectName | undefined;
  /** Starts it in a process of its own, set up for the scenario as far as it can be. */
  start(scenario: Scenario | undefined): Promise<Started>;
}

/** A server that runs. */
export interface Started extends Surroundings {
  readonly url: URL;
  stop(): Promise<void>;
}

/** One that runs already, and goes on to. */
export function runningAt(url: URL): Contestant {
  return { name: url.host, wire: undefined, start: async () => ({ url, stop: async () => {} }) };
}
