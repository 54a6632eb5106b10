import { Command, InvalidArgumentError, Option } from 'commander';
import { CORES, coresJobs } from './cores.ts';
import { availableCpus } from './cpus.ts';
import { duration, expectedSeconds } from './duration.ts';
import { MIN_BYTES } from './generator/message.ts';
import { defaults, type Job, jobOf } from './job.ts';
import { AOF_CHOICES, type LoadSettings } from './load-options.ts';
import { type Scenario, scenarios } from './scenarios.ts';
import { serveHas } from './server.ts';
import { wires } from './wires/index.ts';

/** The parsed command line. */
export interface BenchOptions {
  /** The jobs to run, in order. Not empty. */
  readonly jobs: readonly Job[];
  /** How often to run each job. @default 1 */
  readonly repeat: number;
  /** A server that is already running. @default undefined, which starts a server for each run */
  readonly url: URL | undefined;
  /** The transport of the server that the benchmark starts. @default 'auto' */
  readonly transport: 'auto' | 'uws' | 'ws';
  /** Whether to print one JSON object. @default false */
  readonly json: boolean;
  /** The folder to write the report to. @default undefined, which writes none */
  readonly report: string | undefined;
  /** A file of earlier results to make the report from. Nothing is run. @default undefined */
  readonly from: string | undefined;
  /** Whether to run the one-minute check. @default false */
  readonly quick: boolean;
}

// Four digits in base 36 identify a sender.
const MAX_CLIENTS = 1_000_000;
const MAX_GENERATORS = 64;
const MAX_NODES = 16;
const MAX_WORKERS = 256;

/** Parses a number within bounds. */
export const number =
  (low: number, high: number, whole = true) =>
  (text: string) => {
    const value = Number(text);
    if (text.trim() !== '' && value >= low && value <= high && (!whole || Number.isInteger(value))) return value;
    throw new InvalidArgumentError(`It must be a ${whole ? 'whole ' : ''}number from ${low} to ${high}.`);
  };

function webSocketUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && /^(ws|http)s?:$/.test(url.protocol)) {
    url.protocol = url.protocol.replace('ws', 'http');
    return url;
  }
  throw new InvalidArgumentError('It must be a ws:// or wss:// address, such as ws://localhost:8080/ws.');
}

/** @returns the option that chooses the persistence of Redis. */
export function aofOption(): Option {
  const description = "append-only file of the nodes' Redis, by when it is written to disk";
  return new Option('--aof <WHEN>', description).choices(AOF_CHOICES).default(defaults.aof);
}

/** Adds the options of a load to the command. */
function withLoadOptions(command: Command): Command {
  const { clients, senders, window, bytes, seconds, warmUp, audit, patience, slow, churn, atOnce, seed } = defaults;
  return command
    .option('--clients <N>', 'clients to connect', number(1, MAX_CLIENTS), clients)
    .option('--senders <N>', 'how many of the clients send', number(0, MAX_CLIENTS), senders)
    .option('--window <N>', 'closed loop: messages in flight per sender', number(1, 100_000), window)
    .option(
      '--rate <N>',
      'open loop: messages per second of all senders together (default: none, a closed loop)',
      number(0.1, 10_000_000, false),
    )
    .option('--bytes <N>', 'length of a message, in bytes', number(MIN_BYTES, 1_000_000), bytes)
    .option('--seconds <N>', 'how long to measure, in seconds', number(0.1, 86_400, false), seconds)
    .option('--warm-up <N>', 'seconds of load before measuring', number(0, 3600, false), warmUp)
    .option('--audit <N>', 'how many of the clients check every message', number(0, MAX_CLIENTS), audit)
    .option(
      '--patience <N>',
      'seconds without a delivery after which missing messages count as lost',
      number(0.1, 3600, false),
      patience,
    )
    .option('--slow <N>', 'additional clients that never read', number(0, MAX_CLIENTS), slow)
    .option('--churn <N>', 'additional clients that connect per second and leave again', number(0, 100_000), churn)
    .option(
      '--room-size <N>',
      'clients per room, on wires with rooms, such as v1 (default: none, one room for all)',
      number(1, MAX_CLIENTS),
    )
    .option('--at-once <N>', 'connections to open concurrently', number(1, 100_000), atOnce)
    .option('--seed <N>', 'seed for auditors, the order of senders, and churn', number(0, 2 ** 31 - 1), seed)
    .option('--generators <N>', 'generator processes that share the clients', number(1, MAX_GENERATORS), 1)
    .option('--nodes <N>', 'nodes of the server; several share a Redis', number(1, MAX_NODES), defaults.nodes)
    .addOption(aofOption())
    .option('--workers <N>', 'worker threads of the server', number(1, MAX_WORKERS), defaults.workers)
    .addOption(
      new Option('--wire <NAME>', 'protocol of the clients').choices(Object.keys(wires)).default(defaults.wire),
    );
}

/**
 * Parses the command line.
 *
 * @throws CommanderError if it is invalid, and with exit code 0 after `--help`.
 */
export function parseOptions(args: readonly string[]): BenchOptions {
  const command = withLoadOptions(new Command('pumphouse bench'))
    .description(
      'Loads a server with WebSocket clients and checks every message they receive. Without --url, starts a server first.',
    )
    .argument('[scenario...]', `what to measure: ${scenarios.map(({ name }) => name).join(', ')}, ${CORES}, or all`)
    .option(
      '--url <URL>',
      'measure a server that is already running (default: none, starts one for each run)',
      webSocketUrl,
    )
    .addOption(
      new Option('--transport <NAME>', 'transport of the server that is started')
        .choices(['auto', 'uws', 'ws'])
        .default('auto'),
    )
    .option('--repeat <N>', 'runs of each scenario, interleaved; reports the median', number(1, 1000), 1)
    .option('--json', 'print one JSON object', false)
    .option('--report <DIR>', 'write an HTML page with plots, and the JSON results (default: none)')
    .option('--from <FILE>', 'make the report from earlier JSON results, without running anything (default: none)')
    .option('--quick', 'one-minute check of correctness and relative speed', false)
    .addHelpText('after', HELP)
    .configureOutput({ writeErr: () => {} })
    .exitOverride();
  const parsed = command.parse(args, { from: 'user' });
  const { url, transport, json, repeat, report, from, quick, ...settings } = parsed.opts<
    LoadSettings & Omit<BenchOptions, 'jobs'>
  >();
  const isExplicit = (name: string) => parsed.getOptionValueSource(name) === 'cli';
  const overrides = Object.fromEntries(Object.entries(settings).filter(([name]) => isExplicit(name)));
  const reject = (reason: string): never => command.error(`error: ${reason}`);
  const all = parsed.args.includes(CORES)
    ? jobsOfCores(parsed.args, url, overrides, reject)
    : scenariosNamed(parsed.args, reject).map((scenario) => jobOf(scenario, overrides, reject));
  const jobs = url && parsed.args.includes('all') ? all.filter(({ load }) => load.nodes === 1) : all;
  const cluster = jobs.find(({ load }) => load.nodes > 1);
  if (url && cluster) reject(`--url measures one node: ${cluster.scenario?.name ?? '--nodes'} starts its own`);
  if (url && all.some(({ load }) => load.workers > 1)) reject('--workers cannot be combined with --url');
  if (from !== undefined && report === undefined) reject('--from needs --report');
  return { jobs, repeat, url, transport, json, report, from, quick };
}

/** @returns the jobs of the scenario `cores`, which depend on the machine and on the server. */
function jobsOfCores(
  names: readonly string[],
  url: URL | undefined,
  overrides: Partial<LoadSettings>,
  reject: (reason: string) => never,
): Job[] {
  if (names.length > 1) reject(`${CORES} cannot be combined with other scenarios`);
  if (url) reject(`${CORES} starts its own servers: it cannot be combined with --url`);
  for (const name of ['workers', 'generators', 'nodes'] as const) {
    if (overrides[name] !== undefined) reject(`${CORES} chooses the number of ${name} itself`);
  }
  return coresJobs(availableCpus(), serveHas('--workers'), overrides, reject);
}

function scenariosNamed(
  names: readonly string[],
  reject: (reason: string) => never,
): readonly (Scenario | undefined)[] {
  if (names.length === 0) return [undefined];
  if (names.includes('all')) return scenarios;
  return names.map(
    (name) => scenarios.find((scenario) => scenario.name === name) ?? reject(`there is no scenario ${name}`),
  );
}

const ALL_SECONDS = scenarios.reduce((sum, { load }) => sum + expectedSeconds({ ...defaults, ...load }), 0);
const HELP = `
A message is delivered to all clients of its room, including its sender. A delivery is one message received by one client.
The defaults are those of a load without a scenario. A scenario has its own; flags override both.
Several nodes share a Redis that the benchmark starts on a free port. Without redis-server they are not measured.
Exits with 1 if a message is lost, repeated or reordered, and with 2 if an option is invalid.

Duration: ${duration(expectedSeconds(defaults))} without a scenario, ${duration(ALL_SECONDS)} for all, times --repeat.

Scenarios:
${scenarios.map(({ name, about }) => `  ${name.padEnd(16)} ${about}`).join('\n')}
  ${CORES.padEnd(16)} throughput against the number of workers, from 1 to the number of cores: up to 4 minutes, not part of all

Examples:
  pumphouse bench all                                        every scenario, and a table
  pumphouse bench chat durable --repeat 5                    two scenarios, five interleaved runs of each
  pumphouse bench all --repeat 3 --report out                a page with plots in out/index.html
  pumphouse bench --quick                                    one-minute check
  pumphouse bench                                            1,000 clients, 100 of them sending
  pumphouse bench --clients 1000 --senders 100 --window 10   saturation
  pumphouse bench --clients 100 --rate 1000                  open loop: latency at a fixed rate
  pumphouse bench --wire v1 --room-size 10                   rooms of 10 clients
  pumphouse bench cores --repeat 2 --report out              a plot of the throughput against workers
  pumphouse bench nodes --aof everysec                       two nodes on a Redis that stores its data
  pumphouse bench --url ws://localhost:8080/ws chat          a server that is already running

In a checkout: npm run bench -- followed by the same arguments.`;
