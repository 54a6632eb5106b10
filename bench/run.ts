import type { Contestant, Started } from './contestant.ts';
import { dialects } from './dialects/index.ts';
import { onInterrupt } from './interrupt.ts';
import { Load } from './load.ts';
import type { LoadSettings } from './load-options.ts';
import type { Job } from './options.ts';
import { notices, type Rates, ratesOf, sound } from './report/rates.ts';
import type { LoadResult } from './result.ts';

/** One run of one load, and what came out. */
export interface Run {
  /** The name of what was measured. */
  readonly server: string;
  /** Undefined for a load that the command line alone describes. */
  readonly scenario: string | undefined;
  readonly load: LoadSettings;
  readonly result: LoadResult;
  readonly rates: Rates;
  readonly notices: readonly string[];
  readonly sound: boolean;
}

/** What is to be run: each of the trials, `repeat` times. */
export interface Schedule {
  readonly trials: readonly Trial[];
  readonly repeat: number;
  /** Told of a run that could not be had; without it that ends them all. */
  readonly failed?: (trial: Trial, why: Error) => void;
}

/** A load for a server. */
export interface Trial {
  readonly job: Job;
  readonly contestant: Contestant;
}

/** Each job on each server that can be asked that in the way in which it is talked to. */
export function trialsOf(jobs: readonly Job[], contestants: readonly Contestant[]): Trial[] {
  const all = jobs.flatMap((job) => contestants.map((contestant) => ({ job, contestant })));
  return all.filter(({ job: { load }, contestant: { wire } }) => {
    if (wire === undefined) return true;
    const needsRooms = load.backlog > 0 || load.roomSize !== undefined;
    return load.bytes <= dialects[wire].longest && (!needsRooms || dialects[wire].rooms);
  });
}

/** Sees that a load is run to its end: it may show how it goes. */
export type Watch = (load: Load, doing: () => Doing) => Promise<LoadResult>;

/** What is being run. */
export interface Doing {
  readonly server: string;
  readonly job: Job;
  /** How many runs are done, of how many. */
  readonly done: number;
  readonly of: number;
  /** Milliseconds since the first began, and how many of them those that are done took. */
  readonly elapsed: number;
  readonly since: number;
}

/**
 * Runs all that was asked for, in alternation: of what the machine does meanwhile each gets its share. Every other round goes
 * the other way, so that nobody always comes after the same one.
 */
export async function runAll({ trials, repeat, failed }: Schedule, watch: Watch): Promise<Run[]> {
  const runs: Run[] = [];
  const began = performance.now();
  let done = 0;
  for (let round = 0; round < repeat; round++) {
    for (const trial of round % 2 === 0 ? trials : trials.toReversed()) {
      const { job, contestant } = trial;
      const doing = {
        server: contestant.name,
        job,
        done,
        of: trials.length * repeat,
        since: performance.now() - began,
      };
      const now = () => ({ ...doing, elapsed: performance.now() - began });
      try {
        runs.push(await runOnce(trial, (load) => watch(load, now)));
      } catch (error) {
        if (!failed) throw error;
        failed(trial, error as Error);
      }
      done++;
    }
  }
  return runs;
}

async function runOnce({ job, contestant }: Trial, watch: (load: Load) => Promise<LoadResult>): Promise<Run> {
  const { scenario, load: asked } = job;
  const load = { ...asked, wire: contestant.wire ?? asked.wire };
  const started = await contestant.start(scenario);
  const ended = onInterrupt(() => started.stop());
  try {
    const result = await watch(new Load({ ...load, url: addressOf(started, load).href }, started));
    const rates = ratesOf(result, load.clients + load.slow);
    const told = { result, rates, notices: notices(result, rates), sound: sound(result) };
    return { server: contestant.name, scenario: scenario?.name, load, ...told };
  } finally {
    await started.stop();
    ended();
  }
}

/** An address without a path means the one where such a server is talked to. */
function addressOf({ url }: Started, { wire }: LoadSettings): URL {
  return url.pathname === '/' ? new URL(dialects[wire].path, url) : url;
}
