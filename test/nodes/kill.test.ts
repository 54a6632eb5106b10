import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, expect, test } from 'vitest';
import { findRedis } from '../redis/install.ts';
import { RedisProcess } from '../redis/redis-process.ts';
import { Crowd } from './crowd.ts';
import { type NodeProcess, startNodes } from './node-process.ts';

/** `KILLS=100 npx vitest run test/nodes/kill.test.ts` is the long campaign. */
const KILLS = Number(process.env['KILLS'] ?? 3);
const TIMEOUT_MS = 90_000 + KILLS * 10_000;
const NODES = 3;

const redis = await findRedis();
beforeEach((context) => context.skip(!redis.path, redis.reason));

type Victim = 'node' | 'redis' | 'both';

/** All kinds of victims, each group of three in a random order. */
function* victims(count: number): Iterable<Victim> {
  for (let order: Victim[] = []; count > 0; count--) {
    if (order.length === 0) order = ['node', 'redis', 'both'];
    yield order.splice(Math.floor(Math.random() * order.length), 1)[0] as Victim;
  }
}

async function killAndRestart(victim: Victim, nodes: readonly NodeProcess[], server: RedisProcess): Promise<void> {
  const node = nodes[Math.floor(Math.random() * nodes.length)] as NodeProcess;
  const killNode = victim !== 'redis';
  const killRedis = victim !== 'node';
  const nodeFirst = Math.random() < 0.5;
  if (killNode && nodeFirst) await node.kill();
  if (killRedis) await server.kill();
  if (killNode) await node.kill();
  await sleep(Math.random() * 500);
  if (killRedis) await server.restart();
  if (killNode) await node.restart();
}

test(
  `stores every message once and in order across ${KILLS} kills of nodes and of Redis under load`,
  async () => {
    const server = await RedisProcess.start({ appendFsync: 'everysec' });
    const nodes: NodeProcess[] = [];
    let crowd: Crowd | undefined;
    try {
      nodes.push(...(await startNodes(NODES, { redis: [server.url] })));
      crowd = new Crowd({ ports: nodes.map(({ port }) => port) });
      await crowd.joined();
      crowd.start();
      for (const victim of victims(KILLS)) {
        await sleep(300 + Math.random() * 700);
        await killAndRestart(victim, nodes, server);
      }
      await sleep(500);
      const violations = await crowd.check();
      if (KILLS > 10) report(crowd);
      expect(violations).toEqual([]);
      expect(crowd.acknowledged).toBeGreaterThan(30 * KILLS);
      for (const client of crowd.clients) {
        // Each life that went by was resumed, whole: nothing was lost or skipped.
        expect(client.events('joined').filter(({ recovered, lost }) => !recovered || lost)).toEqual([]);
        expect(client.events('gap')).toEqual([]);
      }
    } finally {
      crowd?.stop();
      await Promise.all(nodes.map((node) => node.kill()));
      await server.stop();
    }
  },
  TIMEOUT_MS,
);

function report({ clients, acknowledged }: Crowd): void {
  const count = (kind: 'message' | 'opened' | 'error') =>
    clients.reduce((sum, client) => sum + client.events(kind).length, 0);
  const epochs = new Set(clients[0]?.events('joined').map(({ epoch }) => epoch)).size;
  const lost = clients.flatMap((client) => client.events('joined').filter((joined) => joined.lost)).length;
  const counts = `${count('message')} deliveries, ${count('opened')} connections, ${count('error')} errors`;
  console.log(`${acknowledged} acknowledged, ${counts}, ${epochs} epochs, ${lost} notices of loss`);
}
