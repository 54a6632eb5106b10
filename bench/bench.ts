import { CommanderError } from 'commander';
import { type Conditions, conditions, conditionsLine } from './conditions.ts';
import { type Contestant, runningAt } from './contestant.ts';
import { watchForInterrupts } from './interrupt.ts';
import type { Job } from './job.ts';
import { type BenchOptions, parseOptions } from './options.ts';
import { runWithProgress } from './progress.ts';
import { pumphouse } from './pumphouse.ts';
import { quick } from './quick.ts';
import { runnable } from './redis.ts';
import { coresNotes, coresText, isOfCores } from './report/cores.ts';
import { gistOf } from './report/rates.ts';
import { canDraw } from './report/svg.ts';
import { table, tableNotes } from './report/table.ts';
import { report } from './report/text.ts';
import { readResults, writeReport } from './report/write.ts';
import { type Run, runAll, trialsOf } from './run.ts';

const UNSOUND = 1;
const USAGE = 2;

// The reader of a pipe may close it early, as `| head` does.
process.stdout.on('error', () => process.exit());
watchForInterrupts();

try {
  await main(parseOptions(process.argv.slice(2)));
} catch (error) {
  if (!(error instanceof CommanderError)) fail((error as Error).message, UNSOUND);
  else if (error.exitCode !== 0) fail(error.message.replace(/^error: /, ''), USAGE);
}

async function main(options: BenchOptions): Promise<void> {
  const { jobs, repeat, url, transport, json, report: folder, from } = options;
  if (folder !== undefined) await canDraw();
  if (from !== undefined && folder !== undefined) {
    console.log(await writeReport(folder, readResults(from)));
    return;
  }
  const machine = conditions();
  const contestants = [url ? runningAt(url) : pumphouse('pumphouse', transport)];
  const { runs, missing, failures } = options.quick
    ? await quick(transport, runWithProgress)
    : await measure(jobs, contestants, repeat);
  const results = { conditions: machine, runs, missing };
  if (json) console.log(JSON.stringify(results));
  else print(runs, machine);
  if (folder !== undefined) process.stderr.write(`${await writeReport(folder, results)}\n`);
  for (const line of [...missing, ...failures]) process.stderr.write(`bench: ${line}\n`);
  const passed = options.quick ? failures.length === 0 : runs.every((run) => run.sound);
  process.exitCode = passed ? 0 : UNSOUND;
}

async function measure(jobs: readonly Job[], contestants: readonly Contestant[], repeat: number) {
  const missing: string[] = [];
  const trials = trialsOf(
    runnable(jobs, (line) => missing.push(line)),
    contestants,
  );
  return { runs: await runAll({ trials, repeat }, runWithProgress), missing, failures: [] };
}

function print(runs: readonly Run[], machine: Conditions): void {
  const [first] = runs;
  if (!first) return;
  if (isOfCores(first)) printCores(runs);
  else if (runs.length === 1) console.log(report(first));
  else {
    console.log(table(runs));
    for (const note of tableNotes(runs)) console.log(`\n${note}`);
    const gists = runs.flatMap(({ scenario, notices }) =>
      notices.map((notice) => `${scenario ?? 'load'}: ${gistOf(notice)}`),
    );
    for (const line of new Set(gists)) console.log(`\n${line}`);
  }
  console.log(`\n${conditionsLine(machine)}`);
}

function printCores(runs: readonly Run[]): void {
  console.log(coresText(runs));
  for (const note of coresNotes(runs)) console.log(`\n${note}`);
  const faults = runs.filter(({ sound }) => !sound).map(({ scenario, notices }) => `${scenario}: ${notices[0]}`);
  for (const fault of new Set(faults)) console.log(`\n${fault}`);
}

function fail(line: string, code: number): void {
  process.stderr.write(`bench: ${line}\n`);
  process.exitCode = code;
}
