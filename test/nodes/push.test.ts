import { createServer } from 'pumphouse';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { redis } from '../../src/engine/redis/redis.ts';
import { findRedis } from '../redis/install.ts';
import { waitUntil } from '../redis/wait.ts';
import { check } from './checker.ts';
import { settledAt, startClient, startGroup, startNode, startProxy, startRedis } from './fixtures.ts';
import { RecordingClient } from './recording-client.ts';

const installed = await findRedis();
beforeEach((context) => context.skip(!installed.path, installed.reason));

/** Whether the nodes are processes of their own with the default times, which takes minutes. */
const isLong = process.env['LONG'] !== undefined;
const ROOMS = isLong ? 400 : 24;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Starts a node that audits its rooms twice a second. @returns its port. */
async function startAuditor(url: string): Promise<number> {
  const engine = redis({ url, auditMs: 500 });
  const server = await createServer({ engine, port: 0, host: '127.0.0.1', logLevel: 'error', drainWindow: 0 });
  onTestFinished(() => server.stop());
  return server.port;
}

test('7: hears from the new primary within 3 seconds when the demoted one keeps its connections', async () => {
  const group = await startGroup({ replicas: 1 });
  const [primary, promoted] = group.servers;
  if (!primary || !promoted) throw new Error('the group is incomplete');
  const [near, far] = [await startProxy(primary.port), await startProxy(primary.port)];
  const nodes = await Promise.all([startNode({ redis: [near.url] }), startNode({ redis: [far.url] })]);
  const [ada, bob] = [await startClient('ada', [nodes[0]]), await startClient('bob', [nodes[1]])];
  ada.send();
  await settledAt(1, ada, bob);

  // The demoted server replicates nothing, so that it passes on no publication of the new primary.
  await promoted.rejectReplicas();
  await promoted.promote();
  await primary.replicate(promoted.port);
  const start = performance.now();
  const { accepted } = far;
  for (const proxy of [near, far]) proxy.retarget(promoted.port);
  near.cut();
  ada.send();
  await waitUntil('the other hears her', () => bob.place?.seq === 2);
  expect(performance.now() - start).toBeLessThan(3_000);
  expect(far.accepted).toBeGreaterThan(accepted);
  bob.send();
  await settledAt(3, ada, bob);
  await ada.readAll();
  expect(check([ada.history, bob.history], { settled: true })).toEqual([]);
  expect(bob.events('closed')).toEqual([]);
});

test('8: shows the last message of a quiet room although its push was lost', async () => {
  const server = await startRedis();
  const proxy = await startProxy(server.port);
  const ports = isLong
    ? (await Promise.all([server.url, proxy.url].map((url) => startNode({ redis: [url] })))).map(({ port }) => port)
    : await Promise.all([server.url, proxy.url].map(startAuditor));
  const [ada, bob] = ['ada', 'bob'].map((name, i) => new RecordingClient({ name, ports: [ports[i] as number] }));
  if (!ada || !bob) throw new Error('the clients are missing');
  onTestFinished(() => {
    for (const client of [ada, bob]) client.stop();
  });
  await waitUntil('both have joined', () => ada.joined && bob.joined);
  ada.send();
  await settledAt(1, ada, bob);
  const lost = proxy.losePush(([, , payload]) => String(payload).startsWith('r'));
  ada.send();
  await lost;
  await ada.settled();
  expect(bob.place?.seq).toBe(1);
  await waitUntil('the other has it', () => bob.place?.seq === 2, isLong ? 130_000 : 10_000);

  // One that is lost before another shows as a hole.
  const hole = proxy.losePush(([, , payload]) => String(payload).startsWith('r'));
  ada.send();
  await hole;
  await ada.settled();
  ada.send();
  await settledAt(4, ada, bob);
  expect(check([ada.history, bob.history], { settled: true })).toEqual([]);
}, 150_000);

test('9: misses nothing where rooms are attached under full load, whenever the load ends', async () => {
  const server = await startRedis();
  const proxy = await startProxy(server.port);
  const [near, far] = await Promise.all([startNode({ redis: [server.url] }), startNode({ redis: [proxy.url] })]);
  for (const direction of ['requests', 'replies'] as const) proxy.delay(direction, 15);
  const load = async (room: string, i: number) => {
    const sender = await startClient(`ada${i}`, [near], { room });
    let late: RecordingClient | undefined;
    const joinAt = (i * 7) % 50;
    for (let turn = 0; turn < 40; turn++) {
      if (turn === joinAt) late = new RecordingClient({ name: `bob${i}`, room, ports: [far.port] });
      for (let n = 0; n < 3; n++) sender.send();
      await pause(4);
    }
    const member = late ?? new RecordingClient({ name: `bob${i}`, room, ports: [far.port] });
    onTestFinished(() => member.stop());
    await waitUntil(`${room} is complete`, () => member.joined && member.place?.seq === 120).catch(() => {});
    await sender.settled();
    return [sender.history, member.history];
  };
  const histories = [];
  for (let wave = 0; wave < ROOMS; wave += 12) {
    const rooms = Array.from({ length: 12 }, (_, i) => load(`room ${wave + i}`, wave + i));
    histories.push(...(await Promise.all(rooms)).flat());
  }
  expect(check(histories, { settled: true })).toEqual([]);
  const received = histories.flatMap(({ events }) => events.filter(({ kind }) => kind === 'message'));
  expect(received.length).toBeGreaterThan(ROOMS * 120);
}, 180_000);
