import { Command, InvalidArgumentError, Option } from 'commander';
import { duration, expectedSeconds } from '../duration.ts';
import { type Job, jobOf } from '../job.ts';
import type { Aof } from '../load-options.ts';
import { aofOption, number } from '../options.ts';
import { trialsOf } from '../run.ts';
import { scenarioNamed } from '../scenarios.ts';
import { peers } from './peers.ts';

/** The parsed command line of the comparison. */
export interface ComparisonOptions {
  /** The folder to write the report to. @default 'bench/out' */
  readonly report: string;
  /** Seconds to measure in each run. @default 1.2 */
  readonly seconds: number;
  /** Interleaved runs of each server in each scenario. @default 3 */
  readonly repeat: number;
  /** The names of the other servers to measure. @default all */
  readonly only: readonly string[];
  /** The append-only file of the Redis that several nodes share. @default 'off' */
  readonly aof: Aof;
  /** The names of the scenarios to run. @default all scenarios of the comparison */
  readonly scenarios: readonly string[];
}

/** The loads of a comparison. */
export interface ComparisonJobs {
  /** For every server. */
  readonly compared: readonly Job[];
  /** For Pumphouse alone. */
  readonly alone: readonly Job[];
}

const NAMES = peers.map(({ contestant }) => contestant.name);
const COMPARED = [
  'fan-out-100',
  'fan-out-1000',
  'fan-out-5000',
  'chat',
  'ordinary',
  'open-loop',
  'idle',
  'nodes',
  'nodes-rooms',
];
const PUMPHOUSE_ONLY = ['coalescing-0', 'coalescing-5', 'coalescing-20', 'coalescing-100'];
// Enough connections for a precise figure, in half the time of the scenario's own number.
const IDLE_CLIENTS = 5000;
/** Pumphouse, its control, and its variants. */
const VARIANTS = 4;
const SCENARIOS: readonly string[] = [...COMPARED, ...PUMPHOUSE_ONLY];
const DEFAULTS: ComparisonOptions = {
  report: 'bench/out',
  seconds: 1.2,
  repeat: 3,
  only: NAMES,
  aof: 'off',
  scenarios: SCENARIOS,
};

/**
 * Parses the command line.
 *
 * @throws CommanderError if it is invalid, and with exit code 0 after `--help`.
 */
export function parseComparison(args: readonly string[]): ComparisonOptions {
  const command = new Command('npm run bench:peers --')
    .description(
      `Compares Pumphouse with ${NAMES.join(', ')}, and writes a page with plots. Installs the dependencies of the other servers into bench/peers. A server that cannot be installed is left out, and the reason is reported.`,
    )
    .argument('[scenario...]', `what to measure: ${SCENARIOS.join(', ')} (default: all)`)
    .option('--report <DIR>', 'folder to write the report to', DEFAULTS.report)
    .option(
      '--seconds <N>',
      'how long to measure in each run, in seconds',
      number(0.1, 86_400, false),
      DEFAULTS.seconds,
    )
    .option('--repeat <N>', 'runs of each server in each scenario, interleaved', number(1, 1000), DEFAULTS.repeat)
    .addOption(
      new Option('--only <NAMES>', 'other servers to measure, separated by commas')
        .argParser(namesIn)
        .default(DEFAULTS.only, 'all'),
    )
    .addOption(aofOption())
    .addHelpText('after', `\nTakes ${duration(expectedComparison(DEFAULTS))} with the defaults on two cores.`)
    .configureOutput({ writeErr: () => {} })
    .exitOverride();
  const parsed = command.parse(args, { from: 'user' });
  const scenarios = parsed.args.length > 0 ? parsed.args : DEFAULTS.scenarios;
  const unknown = scenarios.find((name) => !SCENARIOS.includes(name));
  if (unknown !== undefined) command.error(`error: the comparison has no scenario ${unknown}: ${SCENARIOS.join(', ')}`);
  return { ...parsed.opts<Omit<ComparisonOptions, 'scenarios'>>(), scenarios };
}

/** Estimates the seconds that a comparison takes. */
function expectedComparison({ repeat, only, ...options }: ComparisonOptions): number {
  const { compared, alone } = comparisonJobs(options);
  const secondsOf = (jobs: readonly Job[]) => jobs.reduce((sum, { load }) => sum + expectedSeconds(load), 0);
  const others = peers.map(({ contestant }) => contestant).filter(({ name }) => only.includes(name));
  const ofOthers = trialsOf(compared, others).map(({ job }) => job);
  return repeat * (secondsOf(compared) * VARIANTS + secondsOf(ofOthers) + secondsOf(alone));
}

function namesIn(text: string): string[] {
  const names = text.split(',').map((name) => name.trim());
  const unknown = names.find((name) => !NAMES.includes(name));
  if (unknown !== undefined) {
    throw new InvalidArgumentError(`There is no server ${JSON.stringify(unknown)}. Servers: ${NAMES.join(', ')}.`);
  }
  return names;
}

/** @returns the loads of a comparison. */
export function comparisonJobs({
  seconds,
  aof,
  scenarios,
}: Pick<ComparisonOptions, 'seconds' | 'aof' | 'scenarios'>): ComparisonJobs {
  const jobs = (names: readonly string[]) =>
    names
      .filter((name) => scenarios.includes(name))
      .map((name): Job => {
        const overrides = name === 'idle' ? { clients: IDLE_CLIENTS } : {};
        return jobOf(scenarioNamed(name), { seconds, warmUp: 0.4, patience: 3, aof, ...overrides });
      });
  return { compared: jobs(COMPARED), alone: jobs(PUMPHOUSE_ONLY) };
}
