// Pumphouse beside others, in turns on the same machine. It needs a checkout: the others are not part of the package.
import { parseArgs } from 'node:util';
import { conditions, conditionsLine } from '../conditions.ts';
import type { Contestant } from '../contestant.ts';
import { watchForInterrupts } from '../interrupt.ts';
import { type Job, jobOf } from '../options.ts';
import { pumphouse } from '../pumphouse.ts';
import { percent } from '../report/figures.ts';
import { AGAIN, noiseOf } from '../report/results.ts';
import { canDraw } from '../report/svg.ts';
import { table } from '../report/table.ts';
import { writeReport } from '../report/write.ts';
import { runAll, trialsOf } from '../run.ts';
import { scenarioNamed } from '../scenarios/index.ts';
import { watch } from '../watch.ts';
import { peers } from './peers.ts';

const USAGE = 2;
const HELP = `npm run bench:peers -- [--report DIR] [--seconds N] [--repeat N] [--only NAME,NAME…]

Measures Pumphouse beside ${peers.map(({ contestant }) => contestant.name).join(', ')}, and writes a page with plots
(default: bench/out). What they need is installed into bench/peers; what cannot be had here is left out, with a line.`;

const SIDE_BY_SIDE = ['fan-out-100', 'fan-out-1000', 'fan-out-5000', 'chat', 'open-loop', 'idle'];
// As many as tell what one costs, in a part of the time that the scenario's own take.
const IDLE = 5000;
const OURS = ['coalescing-0', 'coalescing-5', 'coalescing-20', 'coalescing-100'];

watchForInterrupts();
try {
  const { values } = parseArgs({
    options: {
      report: { type: 'string', default: 'bench/out' },
      seconds: { type: 'string', default: '1.2' },
      repeat: { type: 'string', default: '3' },
      only: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) console.log(HELP);
  else await compare(values.report, Number(values.seconds), Number(values.repeat), values.only?.split(','));
} catch (error) {
  process.stderr.write(`bench: ${(error as Error).message}\n`);
  process.exitCode = USAGE;
}

async function compare(
  folder: string,
  seconds: number,
  repeat: number,
  only: readonly string[] | undefined,
): Promise<void> {
  if (!(seconds > 0 && repeat >= 1)) throw new Error('--seconds and --repeat must be numbers above 0');
  const where = conditions(); // before the report is among what a checkout has
  await canDraw();
  const missing: string[] = [];
  const miss = (what: string) => {
    missing.push(what);
    process.stderr.write(`bench: ${what}\n`);
  };
  const first = pumphouse();
  const ours = [first, pumphouse(AGAIN), pumphouse('pumphouse v1', 'auto', 'v1'), pumphouse('pumphouse on ws', 'ws')];
  const wanted = peers.filter(({ contestant }) => only?.includes(contestant.name) ?? true);
  const others = wanted.flatMap(({ contestant, prepare }): Contestant[] => {
    try {
      prepare();
      return [contestant];
    } catch (error) {
      miss(`${contestant.name} is left out: ${(error as Error).message.split('\n')[0]}`);
      return [];
    }
  });
  const job = (name: string): Job => {
    const fewer = name === 'idle' ? { clients: IDLE } : {};
    return jobOf(scenarioNamed(name), { seconds, warmUp: 0.4, patience: 3, ...fewer });
  };
  const trials = [...trialsOf(SIDE_BY_SIDE.map(job), [...ours, ...others]), ...trialsOf(OURS.map(job), [first])];
  const runs = await runAll(
    {
      trials,
      repeat,
      failed: ({ contestant, job: { scenario } }, why) =>
        miss(`${contestant.name} at ${scenario?.name}: ${why.message}`),
    },
    watch,
  );
  console.log(table(runs));
  const noise = noiseOf(runs);
  if (noise !== undefined) console.log(`\nThe same server differs from itself by up to ${percent(noise)}.`);
  const written = await writeReport(folder, { conditions: where, runs, missing });
  console.log(`\n${conditionsLine(where)}\n${written}`);
  if (runs.some(({ server, sound }) => server.startsWith(first.name) && !sound)) process.exitCode = 1;
}
