import { expect, test } from 'vitest';
import { simulateNative } from './native.ts';
import { simulate } from './simulation.ts';

const SEEDS = 2000;

test(`the Hub delivers every record once and in order, within its bounds, in ${SEEDS} simulated runs`, async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const violation = await simulate(seed);
    expect(violation, `to repeat: npm run simulate -- --seed ${seed}`).toBeUndefined();
  }
}, 60_000);

test.each([
  ['the Hub', simulate],
  ['the native protocol', simulateNative],
])('the simulation of %s finds a socket that loses one frame in fifty', async (_, run) => {
  let found = 0;
  for (let seed = 1; seed <= 100; seed++) if (await run(seed, 300, { losesEvery: 50 })) found++;
  expect(found).toBeGreaterThan(20);
});

test('the simulation repeats the same run for the same seed', async () => {
  const runSeeds = async () => {
    const violations: (string | undefined)[] = [];
    for (let seed = 1; seed <= 40; seed++) violations.push(await simulate(seed, 300, { losesEvery: 20 }));
    return violations.map((violation) => violation?.replace(/[0-9a-f-]{36}/g, 'epoch'));
  };
  const first = await runSeeds();
  expect(new Set(first).size).toBeGreaterThan(5);
  expect(await runSeeds()).toEqual(first);
});
