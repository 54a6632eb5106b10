import { expect, test } from 'vitest';
import { type Fault, noCounts, simulateNodes } from './nodes.ts';

const SEEDS = 60;

test.each([
  [1, 3],
  [2, 2],
])(
  'the clients of %i processes with %i workers receive every message once and in order, or its gap or loss',
  async (nodes, workers) => {
    const counts = noCounts();
    for (let seed = 1; seed <= SEEDS; seed++) {
      const violation = await simulateNodes(seed, { nodes, workers, counts });
      const repeat = `to repeat: npm run simulate -- --nodes ${nodes} --workers ${workers} --seed ${seed}`;
      expect(violation, repeat).toBeUndefined();
    }
    // Each kind of fault has happened, full rings and slow workers included.
    for (const [what, count] of Object.entries(counts)) expect(count, what).toBeGreaterThan(0);
  },
  60_000,
);

// Seeds that found a bug.
test.each([
  [2, 2, 1041, 'a message that two lives share, acknowledged before its slow worker has read it'],
  [2, 2, 1064, 'a session that resumes with an earlier life ahead of its slow worker'],
  [2, 2, 1159, 'two moves that a slow worker learns of at once'],
  [1, 3, 20, 'a move that loses a change of what no member was handed'],
  [1, 3, 87, 'an edit that is replaced while it is read'],
  [1, 3, 169, 'a message that is deleted while the history is read'],
  [1, 2, 61_403, 'a history that is read before the log skips changes of it'],
  [1, 2, 62_100, 'a history of several pages, some of which are trimmed meanwhile'],
])('%i processes with %i workers survive the run of the seed %i: %s', async (nodes, workers, seed) => {
  expect(await simulateNodes(seed, { nodes, workers })).toBeUndefined();
});

const faults: Fault[] = ['loses frames', 'repeats frames', 'forgets moves', 'reorders drafts', 'stores twice'];

test.each(faults)('the simulation of workers finds one that %s', async (fault) => {
  let found = 0;
  for (let seed = 1; seed <= 40 && found < 3; seed++) {
    if (await simulateNodes(seed, { nodes: 1, workers: 2, fault })) found++;
  }
  expect(found).toBe(3);
});
