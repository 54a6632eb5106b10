import { Command } from 'commander';
import { number } from '../../bench/options.ts';
import { memory } from '../../src/engine/memory.ts';
import { simulateChanges } from './changes.ts';
import { simulateNative } from './native.ts';
import { noCounts, simulateNodes } from './nodes.ts';
import { simulate } from './simulation.ts';

interface Values {
  readonly native?: boolean;
  readonly nodes?: number;
  readonly workers?: number;
  readonly changes?: number;
  readonly seed?: number;
  readonly from: number;
  readonly seeds: number;
  readonly steps: number;
}

const LARGEST = Number.MAX_SAFE_INTEGER;

const command = new Command('npm run simulate --')
  .description('Simulates lives of the Hub, step by step, and checks what its clients have seen.')
  .option('--native', 'the native protocol, on servers that are killed')
  .option('--nodes <N>', 'several servers on one shared log', number(1, 16))
  .option('--workers <N>', 'the workers of one process, on one log', number(1, 256))
  .option('--changes <N>', 'as many changes of messages, folded against a simple model', number(1, LARGEST))
  .option('--seed <N>', 'one seed', number(0, LARGEST))
  .option('--from <N>', 'the first seed', number(0, LARGEST), 1)
  .option('--seeds <N>', 'how many seeds', number(1, LARGEST), 5000)
  .option('--steps <N>', 'steps of each seed', number(1, LARGEST), 300)
  .addHelpText('after', '\nPrints the command that repeats a seed which fails. Ends after five of them.')
  .parse();
const values = command.opts<Values>();
const { steps, nodes, workers, changes } = values;
const from = values.seed ?? values.from;
const count = changes !== undefined || values.seed !== undefined ? 1 : values.seeds;
const isShared = nodes !== undefined || workers !== undefined;
const counts = noCounts();

/** Returns the options that choose a simulation, and the simulation. */
function choose(): [kind: string, run: (seed: number) => string | undefined | Promise<string | undefined>] {
  if (changes !== undefined) {
    const engine = () => memory({ retention: { records: 5_000, bytes: 1e9 } });
    return [`--changes ${changes} `, (seed) => simulateChanges(engine(), { seed, operations: changes })];
  }
  if (isShared) {
    const kind = `${nodes === undefined ? '' : `--nodes ${nodes} `}${workers === undefined ? '' : `--workers ${workers} `}`;
    const options = { nodes: nodes ?? 1, workers: workers ?? 0, steps, counts };
    return [kind, (seed) => simulateNodes(seed, options)];
  }
  return values.native ? ['--native ', (seed) => simulateNative(seed, steps)] : ['', (seed) => simulate(seed, steps)];
}

const [kind, run] = choose();
let ran = 0;
let failed = 0;
for (let seed = from; seed < from + count && failed < 5; seed++) {
  ran++;
  const violation = await run(seed);
  if (!violation) continue;
  failed++;
  const again = `npm run simulate -- ${kind}--seed ${seed} --steps ${steps}`;
  console.error(`seed ${seed} failed: ${violation}\n  to repeat: ${again}`);
}
console.log(`ran ${ran} seeds of ${steps} steps from seed ${from}, ${failed} failed`);
if (isShared) console.log(counts);
process.exitCode = failed > 0 ? 1 : 0;
