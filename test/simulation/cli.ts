import { parseArgs } from 'node:util';
import { simulate } from './simulation.ts';

// npm run simulate -- --seeds 100000     a hundred thousand lives of a Hub
// npm run simulate -- --seed 4711        one of them again
const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    from: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '5000' },
    steps: { type: 'string', default: '300' },
  },
});
const from = Number(values.seed ?? values.from);
const count = values.seed === undefined ? Number(values.seeds) : 1;
let failed = 0;
for (let seed = from; seed < from + count && failed < 5; seed++) {
  const wrong = await simulate(seed, Number(values.steps));
  if (!wrong) continue;
  failed++;
  console.error(`seed ${seed}: ${wrong}\n  again with: npm run simulate -- --seed ${seed} --steps ${values.steps}`);
}
console.log(`${count} lives of ${values.steps} steps from seed ${from}, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
