import { parseArgs } from 'node:util';
import { memory } from '../../src/engine/memory.ts';
import { simulateChanges } from './changes.ts';
import { simulateNative } from './native.ts';
import { noCounts, simulateNodes } from './nodes.ts';
import { simulate } from './simulation.ts';

// npm run simulate -- --seeds 100000     100,000 seeds of the Hub
// npm run simulate -- --native           the native protocol, on servers that are killed
// npm run simulate -- --nodes 2          several servers on one shared log
// npm run simulate -- --workers 3        the workers of one process, on one log
// npm run simulate -- --changes 1000000  changes of messages, folded against a simple model
// npm run simulate -- --seed 4711        one seed
const { values } = parseArgs({
  options: {
    native: { type: 'boolean', default: false },
    nodes: { type: 'string' },
    workers: { type: 'string' },
    changes: { type: 'string' },
    seed: { type: 'string' },
    from: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '5000' },
    steps: { type: 'string', default: '300' },
  },
});
const from = Number(values.seed ?? values.from);
const count = values.changes !== undefined || values.seed !== undefined ? 1 : Number(values.seeds);
const steps = Number(values.steps);
const counts = noCounts();
const isShared = values.nodes !== undefined || values.workers !== undefined;

/** Returns the options that choose a simulation, and the simulation. */
function choose(): [kind: string, run: (seed: number) => string | undefined | Promise<string | undefined>] {
  const { nodes, workers, native, changes } = values;
  if (changes !== undefined) {
    const engine = () => memory({ retention: { records: 5_000, bytes: 1e9 } });
    return [`--changes ${changes} `, (seed) => simulateChanges(engine(), { seed, operations: Number(changes) })];
  }
  if (isShared) {
    const kind = `${nodes === undefined ? '' : `--nodes ${nodes} `}${workers === undefined ? '' : `--workers ${workers} `}`;
    const options = { nodes: Number(nodes ?? 1), workers: Number(workers ?? 0), steps, counts };
    return [kind, (seed) => simulateNodes(seed, options)];
  }
  return native ? ['--native ', (seed) => simulateNative(seed, steps)] : ['', (seed) => simulate(seed, steps)];
}

const [kind, run] = choose();
let ran = 0;
let failed = 0;
for (let seed = from; seed < from + count && failed < 5; seed++) {
  ran++;
  const violation = await run(seed);
  if (!violation) continue;
  failed++;
  const command = `npm run simulate -- ${kind}--seed ${seed} --steps ${steps}`;
  console.error(`seed ${seed} failed: ${violation}\n  to repeat: ${command}`);
}
console.log(`ran ${ran} seeds of ${steps} steps from seed ${from}, ${failed} failed`);
if (isShared) console.log(counts);
process.exitCode = failed > 0 ? 1 : 0;
