// Compares Pumphouse with other servers on the same machine, in interleaved runs. Requires a
// checkout: the package does not contain the other servers.
import { parseArgs } from 'node:util';
import { conditions, conditionsLine } from '../conditions.ts';
import type { Contestant } from '../contestant.ts';
import { watchForInterrupts } from '../interrupt.ts';
import { type Job, jobOf } from '../options.ts';
import { runWithProgress } from '../progress.ts';
import { pumphouse } from '../pumphouse.ts';
import { percent } from '../report/figures.ts';
import { CONTROL, noiseOf } from '../report/results.ts';
import { canDraw } from '../report/svg.ts';
import { table } from '../report/table.ts';
import { writeReport } from '../report/write.ts';
import { runAll, trialsOf } from '../run.ts';
import { scenarioNamed } from '../scenarios.ts';
import { peers } from './peers.ts';

const USAGE = 2;
const HELP = `npm run bench:peers -- [--report DIR] [--seconds N] [--repeat N] [--only NAME,NAME…]

Compares Pumphouse with ${peers.map(({ contestant }) => contestant.name).join(', ')},
and writes a page with plots (default: bench/out). Installs the dependencies of the other servers into bench/peers. A server
that cannot be installed is left out, and the reason is reported.`;

const COMPARED = ['fan-out-100', 'fan-out-1000', 'fan-out-5000', 'chat', 'open-loop', 'idle'];
// Enough connections for a precise figure, in half the time of the scenario's own number.
const IDLE_CLIENTS = 5000;
const PUMPHOUSE_ONLY = ['coalescing-0', 'coalescing-5', 'coalescing-20', 'coalescing-100'];

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
  const machine = conditions(); // before the report changes the checkout
  await canDraw();
  const missing: string[] = [];
  const reportMissing = (line: string) => {
    missing.push(line);
    process.stderr.write(`bench: ${line}\n`);
  };
  const first = pumphouse();
  const variants = [
    first,
    pumphouse(CONTROL),
    pumphouse('pumphouse v1', 'auto', 'v1'),
    pumphouse('pumphouse on ws', 'ws'),
  ];
  const selected = peers.filter(({ contestant }) => only?.includes(contestant.name) ?? true);
  const others = selected.flatMap(({ contestant, prepare }): Contestant[] => {
    try {
      prepare();
      return [contestant];
    } catch (error) {
      reportMissing(`${contestant.name} is left out: ${(error as Error).message.split('\n')[0]}`);
      return [];
    }
  });
  const job = (name: string): Job => {
    const overrides = name === 'idle' ? { clients: IDLE_CLIENTS } : {};
    return jobOf(scenarioNamed(name), { seconds, warmUp: 0.4, patience: 3, ...overrides });
  };
  const trials = [
    ...trialsOf(COMPARED.map(job), [...variants, ...others]),
    ...trialsOf(PUMPHOUSE_ONLY.map(job), [first]),
  ];
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
  const noise = noiseOf(runs);
  if (noise !== undefined) {
    console.log(`\nThe same server differs from itself by up to ${percent(noise)}: smaller differences are noise.`);
  }
  const written = await writeReport(folder, { conditions: machine, runs, missing });
  console.log(`\n${conditionsLine(machine)}\n${written}`);
  if (runs.some(({ server, sound }) => server.startsWith(first.name) && !sound)) process.exitCode = 1;
}
