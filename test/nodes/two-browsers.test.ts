import type { Page } from 'playwright-core';
import { beforeEach, expect, test } from 'vitest';
import { messageTexts, noteTexts, send, useChat, waitForMessage, waitForStatus } from '../browser/page.ts';
import { findRedis } from '../redis/install.ts';
import { RedisProcess } from '../redis/redis-process.ts';
import { waitUntil } from '../redis/wait.ts';
import { Balancer } from './balancer.ts';
import { type NodeProcess, startNodes } from './node-process.ts';

const chat = useChat();
const TWO_ONLINE = /^2 (people )?online$/;
// The time until a killed node's members leave. Ada is back sooner.
const LEASE = { leaseMs: 4_000, renewalMs: 1_000 };
const redis = await findRedis();
beforeEach((context) => context.skip(!redis.path, redis.reason));

/** Where screenshots of both pages go. @default none are taken */
const SCREENSHOTS = process.env['SCREENSHOTS'];

async function start(): Promise<[Balancer, ...NodeProcess[]]> {
  const server = await RedisProcess.start({ appendFsync: 'everysec' });
  chat.onTestEnd(() => server.stop());
  const nodes = await startNodes(2, { redis: [server.url], times: { lease: LEASE } });
  chat.onTestEnd(() => Promise.all(nodes.map((node) => node.kill())));
  const balancer = await Balancer.listen(nodes.map(({ port }) => port));
  chat.onTestEnd(() => balancer.close());
  return [balancer, ...nodes];
}

async function connections(node: NodeProcess): Promise<number> {
  const metrics = await fetch(`${node.url}/metrics`).then((response) => response.text());
  return Number(metrics.match(/^pumphouse_connections (\d+)$/m)?.[1]);
}

async function screenshot(page: Page, name: string): Promise<void> {
  if (SCREENSHOTS) await page.screenshot({ path: `${SCREENSHOTS}/${name}.png` });
}

test('a browser continues on another node when its own is killed, with every message once', async () => {
  const [balancer, one, two] = (await start()) as [Balancer, NodeProcess, NodeProcess];
  balancer.prefer(one.port);
  const ada = await chat.openAs('ada', { url: balancer.url });
  balancer.prefer(two.port);
  const bob = await chat.openAs('bob', { url: balancer.url });
  expect([await connections(one), await connections(two)]).toEqual([1, 1]);
  await ada.getByRole('button', { name: TWO_ONLINE }).waitFor();

  const sent: string[] = [];
  const say = async (page: Page, text: string) => {
    sent.push(text);
    await send(page, text);
  };
  const both = (text: string) => Promise.all([waitForMessage(ada, text), waitForMessage(bob, text)]);
  await say(ada, 'Are you there, Bob?');
  await both('Are you there, Bob?');
  await say(bob, 'On the other node.');
  await both('On the other node.');

  await one.kill();
  const killed = Date.now();
  await say(ada, 'Did you see that?');
  await waitForMessage(bob, 'Did you see that?');
  await waitForStatus(ada, 'Live');
  expect(Date.now() - killed).toBeLessThan(8_000);
  await say(bob, 'See what?');
  await both('See what?');
  await waitUntil('both are on one node', async () => (await connections(two)) === 2);
  await screenshot(ada, 'ada');
  await screenshot(bob, 'bob');
  for (const page of [ada, bob]) expect(await messageTexts(page)).toEqual(sent);

  // The killed node's lease has ended. Ada has not left.
  for (const page of [ada, bob]) await page.getByRole('button', { name: TWO_ONLINE }).waitFor({ timeout: 15_000 });
  for (const page of [ada, bob]) expect((await noteTexts(page)).filter((note) => note.includes('left'))).toEqual([]);
}, 60_000);
