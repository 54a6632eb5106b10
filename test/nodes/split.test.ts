import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, expect, test } from 'vitest';
import type { Place } from '../../src/protocol/v1.ts';
import { findRedis } from '../redis/install.ts';
import type { RedisProxy } from '../redis/proxy.ts';
import type { RedisProcess } from '../redis/redis-process.ts';
import type { RedisGroup } from '../redis/sentinel-process.ts';
import { waitUntil } from '../redis/wait.ts';
import { check } from './checker.ts';
import { startClient, startGroup, startProxiedNodes } from './fixtures.ts';

/** `SPLITS=50 npx vitest run test/nodes/split.test.ts` is the long campaign. */
const SPLITS = Number(process.env['SPLITS'] ?? 3);
const TIMEOUT_MS = 60_000 + SPLITS * 10_000;
const NODES = 3;

const redis = await findRedis();
beforeEach((context) => context.skip(!redis.path, redis.reason));

const chance = (probability: number) => Math.random() < probability;

/**
 * Promotes a replica while the primary keeps some of the nodes for a while, or is killed. Then all
 * follow the promoted one, by themselves or because their connections are cut.
 *
 * @returns the promoted server.
 */
async function split(group: RedisGroup, old: RedisProcess, proxies: readonly RedisProxy[]): Promise<RedisProcess> {
  const replicas = group.servers.filter((server) => server !== old);
  const promoted = replicas[Math.floor(Math.random() * replicas.length)] as RedisProcess;
  await old.rejectReplicas();
  await sleep(Math.random() * 200);
  await group.promote(promoted, replicas);
  const isKilled = chance(0.4);
  if (isKilled) await old.kill();
  for (const [i, proxy] of proxies.entries()) {
    if (i > 0 && !isKilled && chance(0.6)) continue;
    proxy.retarget(promoted.port);
    proxy.cut();
  }
  await sleep(Math.random() * 1_000);
  for (const proxy of proxies) proxy.retarget(promoted.port);
  if (isKilled) await old.restart();
  else await old.acceptReplicas();
  await old.replicate(promoted.port);
  if (chance(0.5)) for (const proxy of proxies) proxy.cut();
  await Promise.all(group.servers.filter((server) => server !== promoted).map((server) => server.synchronized()));
  return promoted;
}

test(`tells each client exactly what it lost across ${SPLITS} failovers and split brains under load`, {
  timeout: TIMEOUT_MS,
}, async () => {
  const group = await startGroup({ replicas: 2 });
  let primary = group.servers[0] as RedisProcess;
  const { nodes, proxies } = await startProxiedNodes(NODES, primary.port);
  const homes = [...nodes, ...nodes];
  const settled = await Promise.all(homes.map((node, i) => startClient(`settled${i}`, [node])));
  const roamers = await Promise.all(
    homes.map((_, i) => startClient(`roamer${i}`, nodes, { reconnectMs: 50 + 100 * i })),
  );
  const clients = [...settled, ...roamers];
  const isSame = (part: (place: Place) => string) =>
    new Set(clients.map(({ place }) => place && part(place))).size === 1;
  const sending = setInterval(() => {
    clients[Math.floor(Math.random() * clients.length)]?.send();
    if (chance(0.02)) roamers[Math.floor(Math.random() * roamers.length)]?.disconnect();
  }, 5);
  try {
    for (let i = 0; i < SPLITS; i++) {
      const epoch = settled[0]?.place?.epoch;
      primary = await split(group, primary, proxies);
      // An epoch names one term before its own. A client whose last two terms are both unknown gets
      // no exact loss, but a gap from 1.
      const isNew = () => isSame(({ epoch }) => epoch) && settled[0]?.place?.epoch !== epoch;
      await waitUntil('every client is in the new term', isNew, 30_000);
      await group.replicated(primary);
      await sleep(Math.random() * 1_000);
    }
  } finally {
    clearInterval(sending);
  }
  const isSettled = () => isSame(JSON.stringify) && clients.every(({ joined, pending }) => joined && pending === 0);
  await waitUntil('all clients are at the same place', isSettled, 30_000);
  await clients[0]?.readAll();
  expect(
    check(
      clients.map(({ history }) => history),
      { settled: true },
    ),
  ).toEqual([]);
  const epochs = new Set(clients.flatMap((client) => client.events('joined').map(({ epoch }) => epoch)));
  expect(epochs.size).toBeGreaterThan(SPLITS);
  expect(clients.flatMap((client) => client.events('joined')).some(({ lost }) => lost)).toBe(true);
});
