#!/usr/bin/env node
import { existsSync, readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { Command, CommanderError, Option } from 'commander';
import { UsersError } from './auth/users.ts';
import { addBenchCommand } from './commands/bench.ts';
import { addGenCertCommand } from './commands/gen-cert.ts';
import { addTokenCommand } from './commands/token.ts';
import { addUserCommand } from './commands/user.ts';
import { ConfigError } from './config/error.ts';
import { type Loaded, load } from './config/load.ts';
import { flagOf, type Settings, table, variableOf } from './config/settings.ts';
import { createLog } from './observe/log.ts';
import { serve } from './server/serve.ts';

/** Something the user asked for cannot be done as asked: one line, exit 2. */
const USAGE = 2;

// Clients outlive what is young, so that V8 would let its young generation grow with each burst of connections, by more than
// they take themselves, and give it back only after a long quiet. So it grows only once messages flow, which need the room to
// die young.
const YOUNG_GENERATION_STAYS_SMALL = '--semi-space-growth-factor=1';
const YOUNG_GENERATION_MAY_GROW = '--semi-space-growth-factor=2';
const FLOWING = 10_000;

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const program = new Command('pumphouse')
  .description('A realtime hub: a chat in the browser, messages over a WebSocket for programs.')
  .version(version)
  .configureOutput({ writeErr: () => {} })
  .exitOverride()
  .addHelpText('after', '\nStart with: pumphouse serve --help');

withSettings(program.command('serve'))
  .description('Serve the chat page, and the Hub at /ws.')
  .addHelpText('after', examples())
  .action((flags) => start(settingsFrom(flags).settings));

withSettings(program.command('check-config'))
  .description('Show the settings that serve would use and where each comes from, or what is wrong with them.')
  .action((flags) => show(settingsFrom(flags)));

addBenchCommand(program);
addUserCommand(program);
addTokenCommand(program);
addGenCertCommand(program);

try {
  if (process.argv.length <= 2) program.outputHelp();
  else await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError && error.exitCode === 0) process.exitCode = 0;
  else if (error instanceof CommanderError) fail(error.message.replace(/^error: /, '').replaceAll(/\s*\n\s*/g, ' '));
  else if (error instanceof ConfigError || error instanceof UsersError) fail(error.message);
  else throw error;
}

function withSettings(command: Command): Command {
  command
    .allowExcessArguments(false)
    .option('--config <FILE>', 'read settings from this JSON file (env PUMPHOUSE_CONFIG)');
  for (const { name, value, list, help, fallback } of table) {
    if (value === undefined) continue;
    const standard = fallback === undefined || list ? '' : `default ${fallback}, `;
    const option = new Option(`--${flagOf(name)} <${value}>`, `${help} (${standard}env ${variableOf(name)})`);
    command.addOption(list ? option.argParser((one, before?: string) => (before ? `${before},${one}` : one)) : option);
  }
  return command;
}

function examples(): string {
  return `
Flags win over the environment, that over the config file, that over the defaults. A config file is JSON:
  { "port": 9000, "sendBuffer": 10000, "rooms": { "lobby": { "coalesce": { "maxDelayMs": 5 } } } }

Examples:
  pumphouse serve                                    the chat at http://localhost:8080
  pumphouse serve --host 0.0.0.0 --port 80           for every network
  pumphouse serve --publish-rate off                 for programs that send all they can
  pumphouse serve --web ./public                     a page of your own at /
  pumphouse serve --tls-cert cert.pem --tls-key key.pem   https and wss; pumphouse gen-cert makes a pair
  pumphouse serve --auth otp --users users.json      for those alone whom pumphouse user add has added
  PUMPHOUSE_LOG_LEVEL=debug pumphouse serve          every join and leave in the log

At /healthz it says whether it takes connections, at /metrics what it does (for Prometheus).
SIGINT or SIGTERM sends every client away with 1001 and ends it within the drain window.`;
}

function settingsFrom(flags: Record<string, string>): Loaded {
  return load({ flags, env: process.env, readFile: (path) => readFileSync(path, 'utf8'), exists: existsSync });
}

function show({ settings, origins }: Loaded): void {
  for (const [name, value] of Object.entries(settings)) {
    console.log(`${name.padEnd(12)} ${shown(name, value)}  (${origins[name]})`);
  }
}

/** A secret is not shown to who looks over a shoulder. */
function shown(name: string, value: unknown): string {
  return name === 'jwtSecret' && value !== undefined ? '(set)' : (JSON.stringify(value) ?? '-');
}

async function start(settings: Settings): Promise<void> {
  setFlagsFromString(YOUNG_GENERATION_STAYS_SMALL);
  const log = createLog(settings.logLevel);
  const crash = (error: unknown) => {
    log.fatal({ err: error }, 'crashed');
    process.exit(1);
  };
  process.on('uncaughtException', crash).on('unhandledRejection', crash);
  const running = await serve(settings, log).catch((error: NodeJS.ErrnoException) =>
    fail(cannotServe(error, settings)),
  );
  if (!running) return;
  let messages = 0;
  const stopCounting = running.hub.events.on('committed', ({ from, to }) => {
    messages += to - from + 1;
    if (messages < FLOWING) return;
    setFlagsFromString(YOUNG_GENERATION_MAY_GROW);
    stopCounting();
  });
  const renew = async () => {
    try {
      await running.renewCertificates();
      log.info('certificates are read again');
    } catch (err) {
      log.error({ err }, 'certificates cannot be read again: the old ones stay');
    }
  };
  // Without certificates it means what it always means: the terminal has gone.
  if (running.urls.some((url) => url.startsWith('https:'))) process.on('SIGHUP', renew);
  let signals = 0;
  const onSignal = async (signal: NodeJS.Signals) => {
    if (++signals > 1) process.exit(signal === 'SIGINT' ? 130 : 143);
    log.info({ signal }, 'shutting down');
    setTimeout(() => process.exit(0), settings.drainWindow * 1000).unref();
    await running.stop();
    log.info('bye'); // the process ends by itself when the last socket has
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
}

function cannotServe(error: NodeJS.ErrnoException, { host, port }: Settings): string {
  const why: Record<string, string> = {
    EADDRINUSE: `port ${port} on ${host} is taken; choose another with --port`,
    EACCES: `port ${port} on ${host} is not allowed; choose one above 1023 with --port`,
    EADDRNOTAVAIL: `${host} is no address of this machine; choose another with --host`,
    ENOTFOUND: `there is no host ${host}; choose another with --host`,
    EAI_AGAIN: `there is no host ${host}; choose another with --host`,
  };
  return why[error.code ?? ''] ?? error.message;
}

function fail(line: string): void {
  process.stderr.write(`pumphouse: ${line}\n`);
  process.exitCode = USAGE;
}
