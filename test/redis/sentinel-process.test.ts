import { afterEach, beforeEach, expect, test } from 'vitest';
import { findRedis } from './install.ts';
import { RedisGroup } from './sentinel-process.ts';
import { waitUntil } from './wait.ts';

const redis = await findRedis();
let group: RedisGroup | undefined;
beforeEach((context) => context.skip(!redis.path, redis.reason));
afterEach(() => group?.stop());

test('promotes a replica when the primary is killed with an unreplicated tail', { timeout: 90_000 }, async () => {
  group = await RedisGroup.start({ replicas: 2, sentinels: 3 });
  const [primary, ...replicas] = group.servers;
  const { sentinels } = group;
  if (!primary || !sentinels) throw new Error('the group is incomplete');
  expect(await sentinels.masterPort()).toBe(primary.port);
  expect(sentinels.urls).toHaveLength(3);
  await group.loseTail(primary, () => primary.command('SET', 'tail', 'lost'));
  const promoted = group.at(await sentinels.failedOver(primary.port));
  expect(replicas).toContain(promoted);
  await waitUntil('the replica is a primary', async () => (await promoted.info('role')) === 'master');
  expect(await promoted.command('GET', 'tail')).toBe(null);
  await primary.restart();
  // A sentinel whose machine stalls for two seconds does nothing for thirty.
  await waitUntil('the killed server is a replica', async () => (await primary.info('role')) === 'slave', 60_000);
});

test('leaves two primaries after a forced failover while the sentinels are paused', { timeout: 60_000 }, async () => {
  group = await RedisGroup.start({ replicas: 1, sentinels: 1 });
  const [primary, replica] = group.servers;
  if (!primary || !replica || !group.sentinels) throw new Error('the group is incomplete');
  await group.sentinels.failover();
  expect(await group.sentinels.failedOver(primary.port)).toBe(replica.port);
  group.sentinels.pause();
  await waitUntil('the replica is a primary', async () => (await replica.info('role')) === 'master');
  expect(await primary.info('role')).toBe('master');
  await primary.command('SET', 'side', 'minority');
  group.sentinels.resume();
  await waitUntil('the old primary is demoted', async () => (await primary.info('role')) === 'slave', 40_000);
  await primary.synchronized(20_000);
  expect(await primary.command('GET', 'side')).toBe(null);
});

test('promotes by hand and has the others follow', async () => {
  group = await RedisGroup.start({ replicas: 2 });
  const [primary, promoted, other] = group.servers;
  if (!primary || !promoted || !other) throw new Error('the group is incomplete');
  await group.loseTail(primary, () => primary.command('SET', 'side', 'minority'), { kill: false });
  await group.promote(promoted, [other]);
  await promoted.command('SET', 'side', 'majority');
  await other.synchronized();
  expect(await other.command('GET', 'side')).toBe('majority');
  expect(await primary.command('GET', 'side')).toBe('minority');
});
