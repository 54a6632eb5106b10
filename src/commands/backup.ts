import { rmSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import type { Command } from 'commander';
import { ConfigError } from '../config/error.ts';
import { BackupError } from '../engine/backup/error.ts';
import type { Counts } from '../engine/backup/format.ts';
import type { Verification } from '../engine/backup/verify.ts';
import { isRunAgain, runAgain, runJob } from './own-process.ts';

const MB = 1_000_000;
const DATA = process.env['PUMPHOUSE_DATA'] ?? 'pumphouse-data';

interface BackupFlags {
  readonly data: string;
  readonly to: string;
  readonly rate: string;
}

interface RestoreFlags {
  readonly data: string;
  readonly force?: boolean;
}

/** `pumphouse backup`, `restore` and `verify`: backups of the engine lmdb. */
export function addBackupCommands(program: Command): void {
  const version = program.version() ?? '';
  program
    .command('backup')
    .description('Back up a data directory of the engine lmdb, also while a server uses it.')
    .allowExcessArguments(false)
    .option('--data <DIR>', 'data directory (env PUMPHOUSE_DATA)', DATA)
    .requiredOption('--to <DIR>', 'directory of the backup, which must not exist')
    .option('--rate <MB>', 'megabytes to read in a second, or off for no limit', '20')
    .addHelpText('after', '\nThe directory gets its name when the backup is complete. docs/operations.md has a recipe.')
    .action(async (flags: BackupFlags) => runBackup(flags, version));
  program
    .command('restore <BACKUP>')
    .description('Create a data directory from a backup.')
    .allowExcessArguments(false)
    .option('--data <DIR>', 'data directory to create; it must be missing or empty (env PUMPHOUSE_DATA)', DATA)
    .option('--force', 'move the content of the data directory aside')
    .addHelpText('after', '\nClients resume where they were. A notice names the messages that the backup lacks.')
    .action(runRestore);
  program
    .command('verify <DIR>')
    .description('Verify a backup, or a data directory that no server uses. Exits with 1 for a damaged one.')
    .allowExcessArguments(false)
    .option('--json', 'print the result as JSON')
    .action(async (path: string, flags: { readonly json?: true }) => runVerify(path, flags.json ?? false));
}

async function runBackup({ data, to, rate }: BackupFlags, version: string): Promise<void> {
  const bytesPerSecond = rateOf(rate);
  if (!isRunAgain()) {
    const crash = await runAgain();
    if (crash === undefined) return;
    const { folder } = (crash.message ?? {}) as { folder?: string };
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
    fail(
      `the backup has crashed (${crash.signal}); check the data directory with pumphouse verify, without its server`,
    );
    return;
  }
  lowerPriority();
  await runInterruptible(async (signal) => {
    const startedAt = performance.now();
    const { backup } = await import('../engine/backup/backup.ts');
    const counts = await backup({
      data,
      to,
      rate: bytesPerSecond,
      version,
      signal,
      onWarning: warn,
      onStart: (folder) => process.send?.({ folder }),
    });
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
    console.log(`backed up ${summaryOf(counts)} to ${to} in ${seconds} s`);
  });
}

async function runRestore(from: string, { data, force = false }: RestoreFlags): Promise<void> {
  await runInterruptible(async (signal) => {
    const { restore } = await import('../engine/backup/restore.ts');
    const { aside, ...counts } = await restore({ from, data, force, signal });
    console.log(`restored ${summaryOf(counts)} to ${data}`);
    if (aside !== undefined) console.log(`the earlier data is in ${aside}`);
  });
}

async function runVerify(path: string, json: boolean): Promise<void> {
  if (!isRunAgain()) {
    const crash = await runAgain();
    if (crash === undefined) return;
    const problem = `${path} is damaged: reading it ends the process (${crash.signal})`;
    print(path, { kind: 'data', rooms: 0, messages: 0, bytes: 0, problems: [problem], found: 1 }, json);
    return;
  }
  await runInterruptible(async () => {
    const { verify } = await import('../engine/backup/verify.ts');
    print(path, await verify(path), json);
  });
}

function print(path: string, { manifest, found, problems, ...result }: Verification, json: boolean): void {
  if (found > 0) process.exitCode = 1;
  if (json) {
    const { version, started } = manifest ?? {};
    console.log(JSON.stringify({ ok: found === 0, path, ...result, version, started, found, problems }, undefined, 2));
    return;
  }
  const kind = manifest ? `a backup of ${manifest.started} by version ${manifest.version}` : 'a data directory';
  if (found === 0) {
    console.log(`${path} is ${kind} with ${summaryOf(result)}: no damage found`);
    return;
  }
  for (const problem of problems) process.stderr.write(`pumphouse: ${problem}\n`);
  process.stderr.write(`pumphouse: ${path} is damaged: ${count(found, 'problem')}\n`);
}

/** Runs a job that a signal ends. A failure is one line and the exit code 1. */
async function runInterruptible(job: (signal: AbortSignal) => Promise<void>): Promise<void> {
  await runJob(async (signal) => {
    try {
      await job(signal);
    } catch (error) {
      if (signal.aborted || !isExpected(error)) throw error;
      fail(error.message);
    }
  });
}

/** Reports whether an error is no bug: it says in one line why the command cannot go on. */
function isExpected(error: unknown): error is Error {
  return error instanceof BackupError || (error as Error).constructor === Error;
}

function lowerPriority(): void {
  try {
    setPriority(constants.priority.PRIORITY_LOW);
  } catch {
    // a system that does not allow it runs the backup as any other process
  }
}

/** @returns bytes a second. */
function rateOf(text: string): number {
  if (text === 'off') return Number.POSITIVE_INFINITY;
  const rate = Number(text);
  if (!(rate > 0)) throw new ConfigError(`--rate: "${text}" is not a number of megabytes a second, or off`);
  return rate * MB;
}

function summaryOf({ rooms, messages, bytes }: Counts): string {
  return `${count(rooms, 'room')} and ${count(messages, 'message')} (${(bytes / MB).toFixed(1)} MB)`;
}

function count(number: number, noun: string): string {
  return `${number.toLocaleString('en-US')} ${noun}${number === 1 ? '' : 's'}`;
}

function warn(line: string): void {
  process.stderr.write(`pumphouse: warning: ${line}\n`);
}

function fail(line: string): void {
  process.stderr.write(`pumphouse: ${line}\n`);
  process.exitCode = 1;
}
