#!/usr/bin/env node
import { existsSync, readFileSync } from 'node:fs';
import { Command, CommanderError, Option } from 'commander';
import type { Logger } from 'pino';
import { KeysError } from './auth/keys.ts';
import { UsersError } from './auth/users.ts';
import { addBackupCommands } from './commands/backup.ts';
import { addBenchCommand } from './commands/bench.ts';
import { exitOnBrokenPipe } from './commands/broken-pipe.ts';
import { checkConfig } from './commands/check-config.ts';
import { addDoctorCommand } from './commands/doctor.ts';
import { addGenCertCommand } from './commands/gen-cert.ts';
import { addKeyCommand } from './commands/key.ts';
import { addTokenCommand } from './commands/token.ts';
import { addTopCommand } from './commands/top.ts';
import { addUserCommand } from './commands/user.ts';
import { addWebhookCommand } from './commands/webhook.ts';
import { addWhyCommand } from './commands/why.ts';
import { ConfigError } from './config/error.ts';
import { listenersOf } from './config/listeners.ts';
import { type Loaded, load } from './config/load.ts';
import { flagOf, type Settings, table, variableOf } from './config/settings.ts';
import { createLog } from './observe/log.ts';
import { type ServingProcess, startServer } from './server/create-server.ts';
import { loadHooks } from './server/hooks-file.ts';
import {
  adaptFlags,
  collectAfterBursts,
  collectGarbage,
  type MessageCount,
  messagesOf,
  setStartFlags,
} from './server/v8-flags.ts';
import { readVersion } from './server/version.ts';

/** Exit code for invalid commands, flags and settings. */
const USAGE = 2;

/** A shutdown may take so long even with a shorter drain window: storage has to be closed. */
const MIN_STOP_MS = 2_000;

/** Flags that need no command. */
const GLOBAL_FLAGS: ReadonlySet<string> = new Set(['-h', '--help', '-V', '--version']);

/** Ends the process at once. */
let exit: (code?: number) => void = (code) => process.exit(code);

type Address = Pick<Settings, 'host' | 'port'>;

// Where to change the port and the host of a listener.
const WITH_FLAGS = ['with --port', 'with --host'] as const;
const IN_LISTENERS = ['in "listeners"', 'in "listeners"'] as const;

const program = new Command('pumphouse')
  .description('Self-hosted realtime rooms: a chat in the browser, and a WebSocket server for programs.')
  .version(readVersion())
  .configureOutput({ writeErr: () => {} })
  .exitOverride()
  .addHelpText(
    'after',
    `
Without a command, pumphouse serves: pumphouse is pumphouse serve, and pumphouse --port 9000 is
pumphouse serve --port 9000. Its flags: pumphouse serve --help`,
  );

withSettings(program.command('serve'))
  .description('Serve the chat at / and the WebSocket endpoint at /ws.')
  .addHelpText('after', examples())
  .action((flags) => start(settingsFrom(flags)));

withSettings(program.command('check-config'))
  .description('Print each setting that serve would use and its source, with warnings, or the first invalid one.')
  .addHelpText('after', '\nWith --engine redis it connects to the servers and prints how they keep messages.')
  .action(async (flags) => {
    await checkConfig(settingsFrom(flags)).catch(report);
    // What a hooks file has started, such as a timer, would keep the process.
    process.stdout.write('', () => process.exit());
  });

addBackupCommands(program);
addBenchCommand(program);
addDoctorCommand(program);
addUserCommand(program);
addKeyCommand(program);
addTokenCommand(program);
addWebhookCommand(program);
addWhyCommand(program);
addGenCertCommand(program);
addTopCommand(program);

exitOnBrokenPipe();
try {
  await program.parseAsync(withCommand(process.argv.slice(2)), { from: 'user' });
} catch (error) {
  report(error);
}

/** Adds the command `serve` to arguments that name none. */
function withCommand(args: readonly string[]): readonly string[] {
  const [first] = args;
  const isServe = first === undefined || (first.startsWith('-') && !GLOBAL_FLAGS.has(first));
  return isServe ? ['serve', ...args] : args;
}

/** Prints the line of an invalid command or setting. Rethrows other errors. */
function report(error: unknown): void {
  if (error instanceof CommanderError && error.exitCode === 0) process.exitCode = 0;
  else if (error instanceof CommanderError) fail(error.message.replace(/^error: /, '').replaceAll(/\s*\n\s*/g, ' '));
  else if (error instanceof ConfigError || error instanceof UsersError || error instanceof KeysError)
    fail(error.message);
  else throw error;
}

function withSettings(command: Command): Command {
  command.allowExcessArguments(false).option('--config <FILE>', 'JSON file with settings (env PUMPHOUSE_CONFIG)');
  for (const { name, value, list, help, fallback, otherwise } of table) {
    if (value === undefined) continue;
    const byDefault = list ? undefined : (fallback ?? otherwise);
    const notes = `${byDefault === undefined ? '' : `default ${byDefault}, `}env ${variableOf(name)}`;
    const option = new Option(`--${flagOf(name)} <${value}>`, `${help} (${notes})`);
    if (list) option.argParser((item, previous?: string) => (previous ? `${previous},${item}` : item));
    command.addOption(option);
  }
  return command;
}

function examples(): string {
  return `
Flags override environment variables, which override the config file. Example of a config file:
  { "port": 9000, "sendBuffer": 10000, "rooms": { "lobby": { "coalesce": { "maxDelayMs": 5 } } } }
Example of one with several listeners, each with its own wire, page (web), TLS and authentication:
  { "listeners": [ { "port": 8080, "auth": "otp", "users": "users.json" },
                   { "port": 8081, "auth": "open", "wire": "gorilla", "web": "public" } ] }

Examples:
  pumphouse                                          the chat at http://localhost:8080
  pumphouse serve --host 0.0.0.0 --port 80           listen on every network
  pumphouse serve --publish-rate off                 no rate limit
  pumphouse serve --web ./public                     your own page at /
  pumphouse serve --tls-cert cert.pem --tls-key key.pem   https and wss; see pumphouse gen-cert
  pumphouse serve --auth otp --users users.json      passwords; see pumphouse user add
  pumphouse serve --keys keys.json                   programs that publish; see pumphouse key add
  PUMPHOUSE_LOG_LEVEL=debug pumphouse serve          log every join and leave
  pumphouse serve --engine redis --redis redis://localhost   one of several nodes with shared rooms
  pumphouse serve --workers auto                     a thread on each core
  pumphouse serve --hooks rules.mjs                  functions that decide who may connect, join and send

/livez reports whether the process works, /readyz whether it can serve: it is not shutting down and
its engine reaches its store. The address of --admin-listen serves metrics for Prometheus.
SIGINT and SIGTERM close every client with 1001 and end the process within the drain window,
or two seconds if it is shorter.`;
}

function settingsFrom(flags: Record<string, string>): Loaded {
  return load({ flags, env: process.env, readFile: (path) => readFileSync(path, 'utf8'), exists: existsSync });
}

async function start({ settings, warnings }: Loaded): Promise<void> {
  setStartFlags();
  const log = createLog(settings.logLevel);
  const crash = (error: unknown) => {
    log.fatal({ err: error }, 'crashed');
    exit(1);
  };
  for (const warning of warnings) log.warn(warning);
  process.on('uncaughtException', crash).on('unhandledRejection', crash);
  const starting = startProcess(settings, log).catch((error: NodeJS.ErrnoException) => {
    fail(cannotServe(error, settings));
    return process.exit(); // what a hooks file has started would keep the process
  });
  // Before the line that reports the server ready: a supervisor may send a signal upon it.
  handleSignals(starting, settings, log);
  adaptFlags(await starting);
  collectGarbage();
}

async function startProcess(settings: Settings, log: Logger): Promise<ServingProcess & MessageCount> {
  if (settings.workers === 1) {
    const hooks = settings.hooks === undefined ? {} : { hooks: await loadHooks(settings.hooks) };
    const server = await startServer(settings, log, hooks);
    collectAfterBursts(server.hub);
    return Object.assign(messagesOf(server.hub), server);
  }
  const { WorkerPool } = await import('./server/workers.ts');
  const pool = new WorkerPool((worker, err) => {
    log.fatal({ worker, err }, `worker ${worker} crashed`);
    pool.exit(1);
  });
  exit = (code) => pool.exit(code);
  await pool.start(settings, log);
  return pool;
}

/** Stops the server on SIGINT and SIGTERM, and reloads its certificates on SIGHUP. */
function handleSignals(starting: Promise<ServingProcess>, settings: Settings, log: Logger): void {
  const renew = async () => {
    try {
      await (await starting).renewCertificates();
      log.info('certificates are read again');
    } catch (err) {
      log.error({ err }, 'certificates cannot be reloaded: the old ones stay in use');
    }
  };
  // Without certificates SIGHUP keeps its default action: it ends the process.
  if (listenersOf(settings).some(({ tlsCert }) => tlsCert !== undefined)) process.on('SIGHUP', renew);
  let signals = 0;
  const onSignal = async (signal: NodeJS.Signals) => {
    if (++signals > 1) return exit(signal === 'SIGINT' ? 130 : 143);
    log.info({ signal }, 'shutting down');
    setTimeout(() => exit(), Math.max(settings.drainWindow * 1000, MIN_STOP_MS)).unref();
    const server = await starting;
    await server.stop();
    log.info('stopped');
    await server.finished();
    process.exit(); // what a hooks file has started would keep the process
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
}

/** @param error names the listener that failed, if it is a listener's. */
function cannotServe(error: NodeJS.ErrnoException & Partial<Address>, settings: Settings): string {
  const { host = settings.host, port = settings.port } = error;
  const [withPort, withHost] = settings.listeners.length > 0 ? IN_LISTENERS : WITH_FLAGS;
  const messages: Record<string, string> = {
    EADDRINUSE: `port ${port} on ${host} is in use; choose another ${withPort}`,
    EACCES: `port ${port} on ${host} requires privileges; choose one above 1023 ${withPort}`,
    EADDRNOTAVAIL: `${host} is not an address of this machine; choose another ${withHost}`,
    ENOTFOUND: `host ${host} not found; choose another ${withHost}`,
    EAI_AGAIN: `host ${host} not found; choose another ${withHost}`,
  };
  return messages[error.code ?? ''] ?? error.message;
}

function fail(line: string): void {
  process.stderr.write(`pumphouse: ${line}\n`);
  process.exitCode = USAGE;
}
