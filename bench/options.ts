import { Command, InvalidArgumentError, Option } from 'commander';
import { type DialectName, dialects } from './dialects/index.ts';
import { SHORTEST } from './generator/message.ts';
import type { LoadSettings } from './load-options.ts';
import { type Scenario, scenarios } from './scenarios/index.ts';

/** What the command line asks for. */
export interface BenchOptions {
  /** What to run, one after the other: at least one. */
  readonly jobs: readonly Job[];
  /** How often. */
  readonly repeat: number;
  /** Undefined: a server of its own for each run. */
  readonly url: URL | undefined;
  readonly transport: 'auto' | 'uws' | 'ws';
  readonly json: boolean;
  /** A folder for the report. */
  readonly report: string | undefined;
  /** A file with results, to make the report from in place of running anything. */
  readonly from: string | undefined;
  readonly quick: boolean;
}

/** A load, and the scenario that it is of; undefined where the command line alone describes it. */
export interface Job {
  readonly scenario: Scenario | undefined;
  readonly load: LoadSettings;
}

// What a sender's number has digits for.
const MOST_CLIENTS = 1_000_000;
const MOST_PROCESSES = 64;

const standard: LoadSettings = {
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
};

const number =
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

/** Adds the options that describe a load. */
function withLoad(command: Command): Command {
  const { clients, senders, window, bytes, seconds, warmUp, audit, patience, slow, churn, atOnce, seed } = standard;
  return command
    .option('--clients <N>', 'clients that connect', number(1, MOST_CLIENTS), clients)
    .option('--senders <N>', 'how many of them send', number(0, MOST_CLIENTS), senders)
    .option('--window <N>', 'messages that each sender keeps on their way', number(1, 100_000), window)
    .option(
      '--rate <N>',
      'open loop: messages a second of all senders, whatever comes back',
      number(0.1, 10_000_000, false),
    )
    .option('--bytes <N>', 'length of a message', number(SHORTEST, 1_000_000), bytes)
    .option('--seconds <N>', 'how long to measure', number(0.1, 86_400, false), seconds)
    .option('--warm-up <N>', 'seconds before it measures', number(0, 3600, false), warmUp)
    .option('--audit <N>', 'how many of the clients check every message', number(0, MOST_CLIENTS), audit)
    .option(
      '--patience <N>',
      'seconds of silence after which what has not come is lost',
      number(0.1, 3600, false),
      patience,
    )
    .option('--slow <N>', 'further clients that never read', number(0, MOST_CLIENTS), slow)
    .option('--churn <N>', 'further clients that come in a second, and go again', number(0, 100_000), churn)
    .option('--room-size <N>', 'clients of a room (wire v1); without it all are in one', number(1, MOST_CLIENTS))
    .option('--at-once <N>', 'connections that are opened at once', number(1, 100_000), atOnce)
    .option('--seed <N>', 'chooses who audits, who sends next, who leaves when', number(0, 2 ** 31 - 1), seed)
    .option('--generators <N>', 'processes that the clients are shared out to', number(1, MOST_PROCESSES), 1)
    .addOption(
      new Option('--wire <NAME>', 'how the server is talked to').choices(Object.keys(dialects)).default(standard.wire),
    );
}

/**
 * Reads the command line.
 *
 * @throws CommanderError for one that cannot be used; with exit code 0 after `--help`.
 */
export function parseOptions(args: readonly string[]): BenchOptions {
  const command = withLoad(new Command('pumphouse bench'))
    .description(
      'Loads a server with WebSocket clients and checks what they hear. Without --url it starts one as a process of its own.',
    )
    .argument('[scenario...]', `what to measure: ${scenarios.map(({ name }) => name).join(', ')}, or all`)
    .option('--url <URL>', 'a server that runs already', webSocketUrl)
    .addOption(
      new Option('--transport <NAME>', 'of the server it starts').choices(['auto', 'uws', 'ws']).default('auto'),
    )
    .option('--repeat <N>', 'run each so often, in alternation, and tell the median', number(1, 1000), 1)
    .option('--json', 'print one JSON object', false)
    .option('--report <DIR>', 'write a page with plots, and the JSON it is made from')
    .option('--from <FILE>', 'make the report from the JSON of an earlier one, and run nothing')
    .option('--quick', 'a minute: is it sound, and as fast as it should be beside others?', false)
    .addHelpText('after', HELP)
    .configureOutput({ writeErr: () => {} })
    .exitOverride();
  const parsed = command.parse(args, { from: 'user' });
  const { url, transport, json, repeat, report, from, quick, ...asked } = parsed.opts<
    LoadSettings & Omit<BenchOptions, 'jobs'>
  >();
  const isGiven = (name: string) => parsed.getOptionValueSource(name) === 'cli';
  const given = Object.fromEntries(Object.entries(asked).filter(([name]) => isGiven(name)));
  const refuse = (why: string): never => command.error(`error: ${why}`);
  const jobs = chosen(parsed.args, refuse).map((scenario) => jobOf(scenario, given, refuse));
  if (from !== undefined && report === undefined) refuse('--from needs --report');
  return { jobs, repeat, url, transport, json, report, from, quick };
}

/** A load of a scenario. @param given what is to be different. @throws what `refuse` throws for one that cannot be. */
export function jobOf(
  scenario: Scenario | undefined,
  given: Partial<LoadSettings> = {},
  refuse: (why: string) => never = (why) => {
    throw new Error(why);
  },
): Job {
  const load = { ...standard, ...scenario?.load, ...given };
  const { longest, rooms, name } = dialects[load.wire as DialectName];
  if (load.senders > load.clients) refuse('there are more --senders than --clients');
  if (load.generators > load.clients) refuse('there are more --generators than --clients');
  if (load.bytes > longest) refuse(`--bytes must be at most ${longest} with the wire ${name}`);
  if (!rooms && load.roomSize !== undefined) refuse(`there is one room with the wire ${name}: --room-size needs v1`);
  if (!rooms && load.backlog > 0) refuse(`the wire ${name} knows no past: ${scenario?.name} needs v1`);
  return { scenario, load: { ...load, audit: Math.min(load.audit, load.clients) } };
}

function chosen(names: readonly string[], refuse: (why: string) => never): readonly (Scenario | undefined)[] {
  if (names.length === 0) return [undefined];
  if (names.includes('all')) return scenarios;
  return names.map(
    (name) => scenarios.find((scenario) => scenario.name === name) ?? refuse(`there is no scenario ${name}`),
  );
}

const HELP = `
Every message comes back to all clients of its room, its sender included: a delivery is one message heard by one client.
A loss, a repeat or a swap makes it exit 1; an option that cannot be used, 2.

Scenarios:
${scenarios.map(({ name, about }) => `  ${name.padEnd(16)} ${about}`).join('\n')}

Examples:
  pumphouse bench all                                        every scenario, and a table
  pumphouse bench chat durable --repeat 5                    two of them, five times in alternation
  pumphouse bench all --repeat 3 --report out                a page with plots in out/index.html
  pumphouse bench --quick                                    is all well? in a minute
  pumphouse bench                                            1,000 clients, 100 of them sending
  pumphouse bench --clients 1000 --senders 100 --window 10   as much as it takes
  pumphouse bench --clients 100 --rate 1000                  an open loop: how long a message takes
  pumphouse bench --wire v1 --room-size 10                   in rooms of 10
  pumphouse bench --url ws://localhost:8080/ws chat          a server that runs already

In a checkout: npm run bench -- and the same.`;
