import { expect, test } from 'vitest';
import { simulateNative } from './native.ts';

const SEEDS = 500;

test(`every session receives each message once and in order, or its gap, in ${SEEDS} simulated runs`, async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const violation = await simulateNative(seed);
    expect(violation, `to repeat: npm run simulate -- --native --seed ${seed}`).toBeUndefined();
  }
}, 60_000);

// A seed that found a bug.
test('a history before a place does not go on past it when its oldest records are trimmed', async () => {
  expect(await simulateNative(5469, 600)).toBeUndefined();
});
