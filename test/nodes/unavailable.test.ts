import { beforeEach, expect, test } from 'vitest';
import { findRedis } from '../redis/install.ts';
import type { RedisProxy } from '../redis/proxy.ts';
import { waitUntil } from '../redis/wait.ts';
import { check } from './checker.ts';
import { settledAt, startClient, startProxiedNodes, startRedis } from './fixtures.ts';
import type { NodeProcess } from './node-process.ts';
import type { RecordingClient } from './recording-client.ts';

const redis = await findRedis();
beforeEach((context) => context.skip(!redis.path, redis.reason));

test('stores a message once that is sent again after unavailable, whether it was stored before or not (N6)', async () => {
  const server = await startRedis();
  const { nodes, proxies } = await startProxiedNodes(2, server.port, { patienceMs: 3_000 });
  const [one, two] = nodes as [NodeProcess, NodeProcess];
  const [toOne] = proxies as [RedisProxy];
  const [ada, ben, bob] = [
    await startClient('ada', [one]),
    await startClient('ben', [one]),
    await startClient('bob', [two]),
  ];
  const lost = toOne.loseReply((words) => words.some((word) => word.includes('stored already')));
  const stored = ada.send('stored already');
  await lost;
  toOne.refuse();
  await settledAt(1, bob);
  const waiting = ben.send('never sent to Redis');
  const rejected = (client: RecordingClient) => client.events('error').filter(({ code }) => code === 'unavailable');
  await waitUntil('both are rejected', () => rejected(ada).length > 0 && rejected(ben).length > 0, 20_000);
  toOne.accept();
  await settledAt(2, ada, ben, bob);
  expect(ada.events('sent')).toMatchObject([{ id: stored, seq: 1, duplicate: true }]);
  expect(ben.events('sent')).toMatchObject([{ id: waiting, seq: 2, duplicate: false }]);
  expect(bob.events('message').map(({ data }) => data)).toEqual(['stored already', 'never sent to Redis']);
  await bob.readAll();
  expect(
    check(
      [ada, ben, bob].map(({ history }) => history),
      { settled: true },
    ),
  ).toEqual([]);
}, 60_000);
