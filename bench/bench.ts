import { CommanderError } from 'commander';
import { conditions, conditionsLine } from './conditions.ts';
import type { Load, LoadResult } from './load.ts';
import { parseOptions } from './options.ts';
import { progressLine, report } from './report.ts';
import { type Run, runAll } from './run.ts';
import { summary } from './summary.ts';

const UNSOUND = 1;
const USAGE = 2;

try {
  const options = parseOptions(process.argv.slice(2));
  const runs = await runAll(options, watch);
  if (options.json) console.log(JSON.stringify({ conditions: conditions(), runs }));
  else print(runs);
  process.exitCode = runs.every(({ sound }) => sound) ? 0 : UNSOUND;
} catch (error) {
  if (!(error instanceof CommanderError)) fail((error as Error).message, UNSOUND);
  else if (error.exitCode !== 0) fail(error.message.replace(/^error: /, ''), USAGE);
}

function print(runs: readonly Run[]): void {
  const [first] = runs;
  if (first && runs.length === 1) console.log(report(first.load, first.result, first.rates));
  else {
    console.log(summary(runs));
    const told = runs.flatMap(({ scenario, notices }) => notices.map((notice) => `${scenario ?? 'load'}: ${notice}`));
    for (const line of new Set(told)) console.log(`\n${line}`);
  }
  console.log(`\n${conditionsLine(conditions())}`);
}

/** Shows on a terminal how it goes. */
async function watch(load: Load): Promise<LoadResult> {
  if (!process.stderr.isTTY) return load.run();
  let before = 0;
  const timer = setInterval(() => {
    const { progress } = load;
    process.stderr.write(`\r\x1b[K${progressLine(progress, progress.deliveries - before)}`);
    before = progress.deliveries;
  }, 1000);
  try {
    return await load.run();
  } finally {
    clearInterval(timer);
    process.stderr.write('\r\x1b[K');
  }
}

function fail(line: string, code: number): void {
  process.stderr.write(`bench: ${line}\n`);
  process.exitCode = code;
}
