import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { findRedis } from '../redis/install.ts';
import { RedisProcess } from '../redis/redis-process.ts';
import { waitUntil } from '../redis/wait.ts';
import { callApi, publish, webhookTo, writeConfig } from '../webhooks/config.ts';
import { ReceiverServer } from '../webhooks/receiver.ts';
import { startGroup, startNode, startProxy } from './fixtures.ts';
import type { NodeProcess } from './node-process.ts';

const redis = await findRedis();
beforeEach((context) => context.skip(!redis.path, redis.reason));

async function startReceiver(): Promise<ReceiverServer> {
  const receiver = await ReceiverServer.start();
  onTestFinished(() => receiver.close());
  return receiver;
}

/** How many requests of a node were acknowledged. */
async function deliveriesOf({ url }: NodeProcess): Promise<number> {
  const page = await (await fetch(`${url}/metrics`)).text();
  return Number(/^pumphouse_webhook_deliveries_total\{webhook="audit"\} (\d+)$/m.exec(page)?.[1] ?? 0);
}

/** Publishes numbered messages, each until it is stored, on the nodes in turn. */
async function publishAll(
  nodes: readonly NodeProcess[],
  key: string,
  room: string,
  from: number,
  to: number,
): Promise<void> {
  for (let i = from; i <= to; i++) {
    for (let attempt = 0; ; attempt++) {
      const node = nodes[(i + attempt) % nodes.length] as NodeProcess;
      if (
        await publish(node.url, key, room, `${room} ${i}`).then(
          () => true,
          () => false,
        )
      )
        break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

test('one of two nodes delivers, and the other goes on within seconds after its kill', async () => {
  const server = await RedisProcess.start();
  onTestFinished(() => server.stop());
  const receiver = await startReceiver();
  const { flags, key } = writeConfig({ webhooks: [webhookTo(receiver.url)] });
  const nodes = [await startNode({ redis: [server.url], flags }), await startNode({ redis: [server.url], flags })];
  const rooms = ['orders:1', 'orders:2', 'orders:3'];
  const isComplete = (count: number) => () => rooms.every((room) => receiver.seqs(room).length === count);

  await Promise.all(rooms.map((room) => publishAll(nodes, key, room, 1, 30)));
  await waitUntil('everything is delivered', isComplete(30));
  const counts = await Promise.all(nodes.map(deliveriesOf));
  expect(counts.filter((count) => count > 0)).toHaveLength(1);
  const [first, second] = (counts[0] ? nodes : [...nodes].reverse()) as [NodeProcess, NodeProcess];

  // Both nodes know how the webhook fares, and either replays it.
  await waitUntil('the state is shared', async () => {
    const { body } = await callApi(second.url, key, '/webhooks');
    const [webhook] = body['webhooks'] as { cursors: number; lag: number; lastStatus: string }[];
    return webhook?.cursors === 3 && webhook.lag === 0 && webhook.lastStatus === '200';
  });
  const before = receiver.requests.length;
  const replay = { after: 28, room: 'orders:2' };
  expect(await callApi(second.url, key, '/webhooks/audit/replay', replay)).toMatchObject({ body: { rooms: 1 } });
  await waitUntil('it is delivered again', () => receiver.requests.length > before);
  expect(receiver.requests.at(-1)?.body).toMatchObject({ room: 'orders:2', messages: [{ seq: 29 }, { seq: 30 }] });

  // The node is killed while requests are on their way.
  receiver.answer = (_, response) => void setTimeout(() => response.end(), 50);
  const publishing = Promise.all(rooms.map((room) => publishAll([second], key, room, 31, 60)));
  await waitUntil('some are delivered', () => receiver.seqs('orders:1').length > 32);
  await first.kill();
  const killed = performance.now();
  const delivered = receiver.requests.length;
  await waitUntil('the other node delivers', () => receiver.requests.length > delivered + 1, 20_000);
  expect(performance.now() - killed).toBeLessThan(10_000);
  await publishing;
  await waitUntil('everything is delivered', isComplete(60), 20_000);
  expect(receiver.violations).toEqual([]);
  expect(receiver.requests.every(({ body }) => body.type === 'messages')).toBe(true);

  // A node that stops leaves the webhook to another at once.
  await first.restart();
  await second.kill('SIGTERM');
  await publishAll([first], key, 'orders:1', 61, 61);
  const stopped = performance.now();
  await waitUntil('the first node delivers again', () => receiver.seqs('orders:1').length === 61);
  expect(performance.now() - stopped).toBeLessThan(4_000);
  expect(receiver.violations).toEqual([]);
}, 90_000);

test.each([
  { what: 'that it had not delivered', fails: true },
  { what: 'that it had delivered', fails: false },
])(
  'names the messages $what and that a failover has lost',
  async ({ fails }) => {
    const group = await startGroup({ replicas: 1 });
    const [primary, replica] = group.servers as [RedisProcess, RedisProcess];
    const proxy = await startProxy(primary.port);
    const receiver = await startReceiver();
    const { flags, key } = writeConfig({ webhooks: [webhookTo(receiver.url)] });
    const node = await startNode({ redis: [proxy.url], flags });
    await publishAll([node], key, 'orders:1', 1, 10);
    await waitUntil('everything is delivered', () => receiver.seqs('orders:1').length === 10);
    await new Promise((resolve) => setTimeout(resolve, 300)); // the cursor is saved
    await group.replicated(primary);
    if (fails) receiver.answer = (_, response) => response.writeHead(500).end();
    await group.loseTail(primary, async () => {
      await publishAll([node], key, 'orders:1', 11, 15);
      await waitUntil('the messages have come', () => receiver.seqs('orders:1').length === 15 || fails);
      await new Promise((resolve) => setTimeout(resolve, 300));
      proxy.refuse();
    });
    await replica.promote();
    proxy.retarget(replica.port);
    proxy.accept();
    receiver.requests.length = 0;
    receiver.violations.length = 0;
    receiver.messages.clear();
    receiver.answer = (_, response) => response.end();
    await waitUntil('the node is ready', async () => (await node.status('/readyz')) === 200, 20_000);
    await publishAll([node], key, 'orders:1', 21, 23);
    await waitUntil('the new messages are delivered', () => receiver.seqs('orders:1').includes(13), 20_000);
    const bodies = receiver.requests
      .map(({ body }) => body)
      .filter((body) => body.type === 'gap' || body.messages[0]?.seq !== 0);
    const gap = bodies.find((body) => body.type === 'gap');
    expect(gap).toMatchObject({ from: 11, to: 15, why: 'epoch', next: { seq: 10 } });
    const after = bodies
      .slice(bodies.indexOf(gap as never) + 1)
      .flatMap((body) => (body.type === 'messages' ? body.messages : []));
    expect(after.map(({ seq, id }) => `${seq} ${id}`)).toEqual(['11 orders:1 21', '12 orders:1 22', '13 orders:1 23']);
    expect(new Set(bodies.slice(bodies.indexOf(gap as never) + 1).map(({ epoch }) => epoch))).toEqual(
      new Set([gap?.type === 'gap' ? gap.next.epoch : '']),
    );
  },
  90_000,
);
