#!/usr/bin/env node
import { existsSync, readFileSync } from 'node:fs';
import { Command, CommanderError, Option } from 'commander';
import { KeysError } from './auth/keys.ts';
import { UsersError } from './auth/users.ts';
import { addBackupCommands } from './commands/backup.ts';
import { addBenchCommand } from './commands/bench.ts';
import { exitOnBrokenPipe } from './commands/broken-pipe.ts';
import { addDoctorCommand } from './commands/doctor.ts';
import { addGenCertCommand } from './commands/gen-cert.ts';
import { addKeyCommand } from './commands/key.ts';
import { addTokenCommand } from './commands/token.ts';
import { addTopCommand } from './commands/top.ts';
import { addUserCommand } from './commands/user.ts';
import { addWebhookCommand } from './commands/webhook.ts';
import { addWhyCommand } from './commands/why.ts';
import { ConfigError } from './config/error.ts';
import { type Loaded, load } from './config/load.ts';
import { flagOf, table, variableOf } from './config/settings.ts';
import { readVersion } from './server/version.ts';

/** Exit code for invalid commands, flags and settings. */
const USAGE = 2;

/** Flags that need no command. */
const GLOBAL_FLAGS: ReadonlySet<string> = new Set(['-h', '--help', '-V', '--version']);

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
  .action(async (flags) => {
    const loaded = settingsFrom(flags);
    const { serve } = await import('./commands/serve.ts');
    await serve(loaded);
  });

withSettings(program.command('check-config'))
  .description('Print each setting that serve would use and its source, with warnings, or the first invalid one.')
  .addHelpText('after', '\nWith --engine redis it connects to the servers and prints how they keep messages.')
  .action(async (flags) => {
    const loaded = settingsFrom(flags);
    const { checkConfig } = await import('./commands/check-config.ts');
    await checkConfig(loaded).catch(report);
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

function fail(line: string): void {
  process.stderr.write(`pumphouse: ${line}\n`);
  process.exitCode = USAGE;
}
