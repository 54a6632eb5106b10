// Compares Pumphouse with other servers on the same machine, in interleaved runs. Requires a
// checkout: the package does not contain the other servers.
import { CommanderError } from 'commander';
import { conditions, conditionsLine } from '../conditions.ts';
import type { Contestant } from '../contestant.ts';
import { watchForInterrupts } from '../interrupt.ts';
import { runWithProgress } from '../progress.ts';
import { pumphouse } from '../pumphouse.ts';
import { runnable } from '../redis.ts';
import { percent } from '../report/figures.ts';
import { CONTROL, noiseOf } from '../report/results.ts';
import { canDraw } from '../report/svg.ts';
import { table, tableNotes } from '../report/table.ts';
import { writeReport } from '../report/write.ts';
import { runAll, type Trial, trialsOf } from '../run.ts';
import { type ComparisonOptions, comparisonJobs, parseComparison } from './options.ts';
import { peers } from './peers.ts';

const USAGE = 2;
const V1 = 'pumphouse v1';

watchForInterrupts();
try {
  await compare(parseComparison(process.argv.slice(2)));
} catch (error) {
  const { message } = error as Error;
  if (!(error instanceof CommanderError && error.exitCode === 0)) {
    process.stderr.write(`bench: ${message.replace(/^error: /, '')}\n`);
    process.exitCode = error instanceof CommanderError ? USAGE : 1;
  }
}

async function compare(options: ComparisonOptions): Promise<void> {
  const { report: folder, repeat, only } = options;
  const machine = conditions(); // before the report changes the checkout
  await canDraw();
  const missing: string[] = [];
  const reportMissing = (line: string) => {
    missing.push(line);
    process.stderr.write(`bench: ${line}\n`);
  };
  const first = pumphouse();
  const variants = [first, pumphouse(CONTROL), pumphouse(V1, 'auto', 'v1'), pumphouse('pumphouse on ws', 'ws')];
  const jobs = comparisonJobs(options);
  const compared = runnable(jobs.compared, reportMissing);
  const selected = peers.filter(
    ({ contestant }) => only.includes(contestant.name) && trialsOf(compared, [contestant]).length > 0,
  );
  const others = selected.flatMap(({ contestant, prepare }): Contestant[] => {
    try {
      prepare();
      return [contestant];
    } catch (error) {
      reportMissing(`${contestant.name} is left out: ${(error as Error).message.split('\n')[0]}`);
      return [];
    }
  });
  const trials = [...trialsOf(compared, [...variants, ...others]).filter(isDistinct), ...trialsOf(jobs.alone, [first])];
  const runs = await runAll(
    {
      trials,
      repeat,
      failed: ({ contestant, job: { scenario } }, reason) =>
        reportMissing(`${contestant.name} at ${scenario?.name}: ${reason.message}`),
    },
    runWithProgress,
  );
  console.log(table(runs));
  for (const note of tableNotes(runs)) console.log(`\n${note}`);
  const noise = noiseOf(runs);
  if (noise !== undefined) {
    console.log(`\nThe same server differs from itself by up to ${percent(noise)}: smaller differences are noise.`);
  }
  const written = await writeReport(folder, { conditions: machine, runs, missing });
  console.log(`\n${conditionsLine(machine)}\n${written}`);
  if (runs.some(({ server, sound }) => server.startsWith(first.name) && !sound)) process.exitCode = 1;
}

/** Whether a trial differs from that of the plain Pumphouse: some scenarios already use v1. */
function isDistinct({ contestant, job }: Trial): boolean {
  return contestant.name !== V1 || job.load.wire !== contestant.wire;
}
