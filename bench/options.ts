import { Command, InvalidArgumentError, Option } from 'commander';
import type { LoadOptions } from './load.ts';
import { SHORTEST } from './message.ts';
import { type Scenario, scenarios } from './scenarios/index.ts';

/** What a server is loaded with, whichever it is. */
export type LoadSettings = Omit<LoadOptions, 'url'>;

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
}

/** A load, and the scenario that it is of; undefined where the command line alone describes it. */
export interface Job {
  readonly scenario: Scenario | undefined;
  readonly load: LoadSettings;
}

// What gorilla's wire takes, and what a sender's number has digits for.
const LONGEST = 512;
const MOST_SENDERS = 100_000;

const number =
  (low: number, high: number, whole = true) =>
  (text: string) => {
    const value = Number(text);
    if (text.trim() !== '' && value >= low && value <= high && (!whole || Number.isInteger(value))) return value;
    throw new InvalidArgumentError(`It must be a ${whole ? 'whole ' : ''}number from ${low} to ${high}.`);
  };

function webSocketUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && ['ws:', 'http:'].includes(url.protocol)) {
    url.protocol = 'http:';
    if (url.pathname === '/') url.pathname = '/ws';
    return url;
  }
  throw new InvalidArgumentError('It must be a ws:// address, such as ws://localhost:8080/ws.');
}

/**
 * Reads the command line.
 *
 * @throws CommanderError for one that cannot be used; with exit code 0 after `--help`.
 */
export function parseOptions(args: readonly string[]): BenchOptions {
  const command = new Command('npm run bench --')
    .description(
      'Loads a server with WebSocket clients and checks what they hear. Without --url it starts one as a process of its own.',
    )
    .argument('[scenario...]', `what to measure: ${scenarios.map(({ name }) => name).join(', ')}, or all`)
    .option('--clients <N>', 'clients that connect', number(1, 1_000_000), 1000)
    .option('--senders <N>', 'how many of them send', number(0, MOST_SENDERS), 100)
    .option('--window <N>', 'messages that each sender keeps on their way', number(1, 100_000), 1)
    .option(
      '--rate <N>',
      'open loop: messages a second of all senders, whatever comes back',
      number(0.1, 10_000_000, false),
    )
    .option('--bytes <N>', 'length of a message', number(SHORTEST, LONGEST), 64)
    .option('--seconds <N>', 'how long to measure', number(0.1, 86_400, false), 5)
    .option('--warm-up <N>', 'seconds before it measures', number(0, 3600, false), 1)
    .option('--audit <N>', 'how many of the clients check every message', number(0, 1_000_000), 10)
    .option('--patience <N>', 'seconds of silence after which what has not come is lost', number(0.1, 3600, false), 10)
    .option('--slow <N>', 'further clients that never read', number(0, 1_000_000), 0)
    .option('--url <URL>', 'a server that runs already', webSocketUrl)
    .addOption(
      new Option('--transport <NAME>', 'of the server it starts').choices(['auto', 'uws', 'ws']).default('auto'),
    )
    .option('--repeat <N>', 'run each so often, in alternation, and tell the median', number(1, 1000), 1)
    .option('--json', 'print one JSON object', false)
    .addHelpText('after', HELP)
    .configureOutput({ writeErr: () => {} })
    .exitOverride();
  const parsed = command.parse(args, { from: 'user' });
  const { url, transport, json, repeat, ...asked } = parsed.opts<LoadSettings & Omit<BenchOptions, 'jobs'>>();
  const isGiven = (name: string) => parsed.getOptionValueSource(name) === 'cli';
  const given = Object.fromEntries(Object.entries(asked).filter(([name]) => isGiven(name)));
  const jobs = chosen(parsed.args, command).map((scenario) => {
    const load = { ...asked, rate: asked.rate, ...scenario?.load, ...given };
    if (load.senders > load.clients) command.error('error: there are more --senders than --clients');
    return { scenario, load: { ...load, audit: Math.min(load.audit, load.clients) } };
  });
  return { jobs, repeat, url, transport, json };
}

function chosen(names: readonly string[], command: Command): readonly (Scenario | undefined)[] {
  if (names.length === 0) return [undefined];
  if (names.includes('all')) return scenarios;
  return names.map((name) => {
    const found = scenarios.find((scenario) => scenario.name === name);
    return found ?? command.error(`error: there is no scenario ${name}`);
  });
}

const HELP = `
Every message comes back to all clients, its sender included: a delivery is one message heard by one client.
A loss, a repeat or a swap makes it exit 1; an option that cannot be used, 2.

Scenarios:
${scenarios.map(({ name, about }) => `  ${name.padEnd(16)} ${about}`).join('\n')}

Examples:
  npm run bench -- all                                        every scenario, and a table
  npm run bench -- chat durable --repeat 5                    two of them, five times in alternation
  npm run bench                                               1,000 clients, 100 of them sending
  npm run bench -- --clients 1000 --senders 100 --window 10   as much as it takes
  npm run bench -- --clients 100 --rate 1000                  an open loop: how long a message takes
  npm run bench -- --clients 10000 --senders 0                what a connection costs
  npm run bench -- --slow 50                                  with 50 that never read`;
