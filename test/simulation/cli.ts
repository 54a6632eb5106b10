import { parseArgs } from 'node:util';
import { simulateNative } from './native.ts';
import { simulate } from './simulation.ts';

// npm run simulate -- --seeds 100000     a hundred thousand lives of a Hub
// npm run simulate -- --native           lives of rooms with a memory, over servers that are killed
// npm run simulate -- --seed 4711        one of them again
const { values } = parseArgs({
  options: {
    native: { type: 'boolean', default: false },
    seed: { type: 'string' },
    from: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '5000' },
    steps: { type: 'string', default: '300' },
  },
});
const from = Number(values.seed ?? values.from);
const count = values.seed === undefined ? Number(values.seeds) : 1;
const live = values.native ? simulateNative : simulate;
const again = `npm run simulate -- ${values.native ? '--native ' : ''}`;
let failed = 0;
for (let seed = from; seed < from + count && failed < 5; seed++) {
  const wrong = await live(seed, Number(values.steps));
  if (!wrong) continue;
  failed++;
  console.error(`seed ${seed}: ${wrong}\n  again with: ${again}--seed ${seed} --steps ${values.steps}`);
}
console.log(`${count} lives of ${values.steps} steps from seed ${from}, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
