import { CommanderError } from 'commander';
import { conditions, conditionsLine } from './conditions.ts';
import { runningAt } from './contestant.ts';
import { parseOptions } from './options.ts';
import { pumphouse } from './pumphouse.ts';
import { table } from './report/table.ts';
import { report } from './report/text.ts';
import { type Run, runAll } from './run.ts';
import { watch } from './watch.ts';

const UNSOUND = 1;
const USAGE = 2;

// Who reads no further, as `| head` does, ends it.
process.stdout.on('error', () => process.exit());

try {
  const { jobs, repeat, url, transport, json } = parseOptions(process.argv.slice(2));
  const contestants = [url ? runningAt(url) : pumphouse(transport)];
  const runs = await runAll({ jobs, contestants, repeat }, watch);
  if (json) console.log(JSON.stringify({ conditions: conditions(), runs }));
  else print(runs);
  process.exitCode = runs.every(({ sound }) => sound) ? 0 : UNSOUND;
} catch (error) {
  if (!(error instanceof CommanderError)) fail((error as Error).message, UNSOUND);
  else if (error.exitCode !== 0) fail(error.message.replace(/^error: /, ''), USAGE);
}

function print(runs: readonly Run[]): void {
  const [first] = runs;
  if (first && runs.length === 1) console.log(report(first));
  else {
    console.log(table(runs));
    const told = runs.flatMap(({ scenario, notices }) => notices.map((notice) => `${scenario ?? 'load'}: ${notice}`));
    for (const line of new Set(told)) console.log(`\n${line}`);
  }
  console.log(`\n${conditionsLine(conditions())}`);
}

function fail(line: string, code: number): void {
  process.stderr.write(`bench: ${line}\n`);
  process.exitCode = code;
}
