import { beforeEach, expect, test } from 'vitest';
import { canarySamples, FAULTLESS } from '../canary/metrics.ts';
import { findRedis } from '../redis/install.ts';
import { waitUntil } from '../redis/wait.ts';
import { startNode, startRedis } from './fixtures.ts';

const redis = await findRedis();
beforeEach((context) => context.skip(!redis.path, redis.reason));

test('each node has a canary of its own, which any node accepts', async () => {
  const { url } = await startRedis();
  const first = await startNode({ redis: [url], flags: ['--canary', '2'] });
  // Its clients connect to the first node, as through a load balancer.
  const flags = ['--canary', '2', '--canary-url', first.url];
  const second = await startNode({ redis: [url], flags });
  for (const node of [first, second]) {
    await waitUntil(
      'the canary receives',
      async () => Number((await canarySamples(node.url))['received_total']) >= 8,
      15_000,
    );
    expect(await canarySamples(node.url)).toMatchObject({ up: 1, ...FAULTLESS });
  }
});
