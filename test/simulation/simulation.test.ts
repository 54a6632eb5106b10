import { expect, test } from 'vitest';
import { simulateNative } from './native.ts';
import { simulate } from './simulation.ts';

const SEEDS = 2000;

test(`in ${SEEDS} lives of a Hub nothing is lost, repeated, swapped, handed over after a leave, or left to grow`, async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const wrong = await simulate(seed);
    expect(wrong, `again with: npm run simulate -- --seed ${seed}`).toBeUndefined();
  }
}, 60_000);

test.each([
  ['a Hub', simulate],
  ['rooms with a memory', simulateNative],
])('the simulation of %s notices a socket that loses one frame in fifty', async (_, live) => {
  let found = 0;
  for (let seed = 1; seed <= 100; seed++) if (await live(seed, 300, { losesEvery: 50 })) found++;
  expect(found).toBeGreaterThan(20);
});

test('a seed lives the same life again', async () => {
  const lives = async () => {
    const wrongs: (string | undefined)[] = [];
    for (let seed = 1; seed <= 40; seed++) wrongs.push(await simulate(seed, 300, { losesEvery: 20 }));
    return wrongs.map((wrong) => wrong?.replace(/[0-9a-f-]{36}/g, 'epoch'));
  };
  const first = await lives();
  expect(new Set(first).size).toBeGreaterThan(5);
  expect(await lives()).toEqual(first);
});
