import { parseArgs } from 'node:util';
import { simulateNative } from './native.ts';
import { simulate } from './simulation.ts';

// npm run simulate -- --seeds 100000     100,000 seeds of the Hub
// npm run simulate -- --native           the native protocol, on servers that are killed
// npm run simulate -- --seed 4711        one seed
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
const run = values.native ? simulateNative : simulate;
const command = `npm run simulate -- ${values.native ? '--native ' : ''}`;
let ran = 0;
let failed = 0;
for (let seed = from; seed < from + count && failed < 5; seed++) {
  ran++;
  const violation = await run(seed, Number(values.steps));
  if (!violation) continue;
  failed++;
  console.error(`seed ${seed} failed: ${violation}\n  to repeat: ${command}--seed ${seed} --steps ${values.steps}`);
}
console.log(`ran ${ran} seeds of ${values.steps} steps from seed ${from}, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
