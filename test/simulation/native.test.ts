import { expect, test } from 'vitest';
import { simulateNative } from './native.ts';

const SEEDS = 500;

test(`in ${SEEDS} lives of rooms with a memory every session gets all that was said, once and in order, or is told what is missing`, async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const wrong = await simulateNative(seed);
    expect(wrong, `again with: npm run simulate -- --native --seed ${seed}`).toBeUndefined();
  }
}, 60_000);
