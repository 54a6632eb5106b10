import { type Contestant, supportsNodes } from './contestant.ts';
import { onInterrupt } from './interrupt.ts';
import type { Job } from './job.ts';
import { Load } from './load.ts';
import type { LoadSettings } from './load-options.ts';
import { notices, type Rates, ratesOf, sound } from './report/rates.ts';
import type { LoadResult } from './result.ts';
import { wires } from './wires/index.ts';

/** One run of one load, with its result. */
export interface Run {
  /** The name of the contestant. */
  readonly server: string;
  /** Undefined if only the command line described the load. */
  readonly scenario: string | undefined;
  readonly load: LoadSettings;
  readonly result: LoadResult;
  readonly rates: Rates;
  readonly notices: readonly string[];
  readonly sound: boolean;
}

/** Trials, each to be run `repeat` times. */
export interface Schedule {
  readonly trials: readonly Trial[];
  readonly repeat: number;
  /** Called for a run that fails. Without it, a failure ends the schedule. */
  readonly failed?: (trial: Trial, reason: Error) => void;
}

/** A load for one server. */
export interface Trial {
  readonly job: Job;
  readonly contestant: Contestant;
}

/** Pairs each job with each server that supports its wire and its number of nodes. */
export function trialsOf(jobs: readonly Job[], contestants: readonly Contestant[]): Trial[] {
  const all = jobs.flatMap((job) => contestants.map((contestant) => ({ job, contestant })));
  return all.filter(({ job: { load }, contestant }) => {
    if (!supportsNodes(contestant, load.nodes)) return false;
    if (contestant.wire === undefined) return true;
    const { maxBytes, rooms, replays } = wires[contestant.wire];
    return load.bytes <= maxBytes && (rooms || load.roomSize === undefined) && (replays || load.backlog === 0);
  });
}

/** Runs a load to its end. It may report progress meanwhile. */
export type LoadRunner = (load: Load, status: () => RunStatus) => Promise<LoadResult>;

/** The run in progress and its position in the schedule. */
export interface RunStatus {
  readonly server: string;
  readonly job: Job;
  /** Completed runs, of all. */
  readonly done: number;
  readonly of: number;
  /** Milliseconds since the first run began. */
  readonly elapsed: number;
  /** Milliseconds from the start of the first run to that of the current one. */
  readonly since: number;
}

/**
 * Runs all trials, interleaved so that changes of the machine's speed affect all of them alike.
 * Every other round is in reverse order, so that no trial always follows the same one.
 */
export async function runAll({ trials, repeat, failed }: Schedule, runLoad: LoadRunner): Promise<Run[]> {
  const runs: Run[] = [];
  const began = performance.now();
  let done = 0;
  for (let round = 0; round < repeat; round++) {
    for (const trial of round % 2 === 0 ? trials : trials.toReversed()) {
      const { job, contestant } = trial;
      const started = {
        server: contestant.name,
        job,
        done,
        of: trials.length * repeat,
        since: performance.now() - began,
      };
      const status = () => ({ ...started, elapsed: performance.now() - began });
      try {
        runs.push(await runOnce(trial, (load) => runLoad(load, status)));
      } catch (error) {
        if (!failed) throw error;
        failed(trial, error as Error);
      }
      done++;
    }
  }
  return runs;
}

async function runOnce({ job, contestant }: Trial, runLoad: (load: Load) => Promise<LoadResult>): Promise<Run> {
  const { scenario } = job;
  const load = { ...job.load, wire: contestant.wire ?? job.load.wire };
  const server = await contestant.start(scenario, load);
  const unregister = onInterrupt(() => server.stop());
  try {
    const urls = server.urls.map((url) => addressOf(url, load).href);
    const { promisesOrder = true } = contestant;
    const result = await runLoad(new Load({ ...load, urls }, { ...server, promisesOrder }));
    const rates = ratesOf(result, load.clients + load.slow);
    const outcome = { result, rates, notices: notices(result, rates), sound: sound(result) };
    return { server: contestant.name, scenario: scenario?.name, load, ...outcome };
  } finally {
    await server.stop();
    unregister();
  }
}

/** Adds the default path of the wire to an address without one. */
function addressOf(url: URL, { wire }: LoadSettings): URL {
  return url.pathname === '/' ? new URL(wires[wire].path, url) : url;
}
