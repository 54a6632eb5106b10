import { expect, test } from 'vitest';
import { type Fault, noCounts, simulateNodes } from './nodes.ts';

const SEEDS = 100;

test.each([2, 3])(
  'the clients of %i nodes on one log receive every message once and in order, or its gap or loss',
  async (nodes) => {
    const counts = noCounts();
    for (let seed = 1; seed <= SEEDS; seed++) {
      const violation = await simulateNodes(seed, { nodes, counts });
      expect(violation, `to repeat: npm run simulate -- --nodes ${nodes} --seed ${seed}`).toBeUndefined();
    }
    // Each kind of fault has happened.
    const { dropped: _, ...happened } = counts;
    for (const [what, count] of Object.entries(happened)) expect(count, what).toBeGreaterThan(0);
  },
  60_000,
);

// Seeds that found a bug.
test.each([
  [2, 676, 'a read at once that finds the next records trimmed'],
  [2, 32, 'a message that is stored while the history before it is read'],
])('%i nodes survive the run of the seed %i: %s', async (nodes, seed) => {
  expect(await simulateNodes(seed, { nodes })).toBeUndefined();
});

const faults: Fault[] = [
  'loses pushes',
  'forgets moves',
  'never catches up',
  'reorders drafts',
  'numbers wrongly',
  'stores twice',
  'allows all',
  'tells nothing of lost messages',
];

test.each(faults)('the simulation of nodes finds one that %s', async (fault) => {
  // A later push has the node catch up after all, so fewer runs show that it does not.
  const times = fault === 'never catches up' ? 5 : 6;
  let found = 0;
  for (let seed = 1; seed <= 120 && found < times; seed++) if (await simulateNodes(seed, { fault })) found++;
  expect(found).toBe(times);
});

test('the simulation of nodes repeats the same run for the same seed', async () => {
  const runSeeds = async () => {
    const counts = noCounts();
    for (let seed = 1; seed <= 10; seed++) await simulateNodes(seed, { nodes: 3, counts });
    return counts;
  };
  expect(await runSeeds()).toEqual(await runSeeds());
});
