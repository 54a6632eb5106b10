import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import { Peer } from '../conformance/server.ts';
import { findRedis } from '../redis/install.ts';
import { RedisProcess } from '../redis/redis-process.ts';
import { waitUntil } from '../redis/wait.ts';
import { check } from './checker.ts';
import { startClient, startNode } from './fixtures.ts';
import { type NodeProcess, startNodes } from './node-process.ts';

const installed = await findRedis();
beforeEach((context) => context.skip(!installed.path, installed.reason));

/** The times of a node's lease. */
const LEASE_MS = 10_000;
const RENEWAL_MS = 3_000;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

let redis: RedisProcess | undefined;
let near: NodeProcess;
let far: NodeProcess;
beforeAll(async () => {
  if (!installed.path) return;
  redis = await RedisProcess.start();
  [near, far] = (await startNodes(2, { redis: [redis.url] })) as [NodeProcess, NodeProcess];
});
afterAll(async () => {
  await Promise.all([near?.kill(), far?.kill()]);
  await redis?.stop();
});

async function connect({ port }: NodeProcess, query: string, secret?: string): Promise<Peer> {
  const peer = await Peer.connect(port, query, secret === undefined ? [] : [`resume.${secret}`]);
  onTestFinished(() => peer.socket.terminate());
  return peer;
}

test('10: a session moves from a stopped node when its lease has ended, and members leave (N8 N10)', async () => {
  const ada = await startClient('ada', [near], { reconnectMs: 100 });
  const [eve, bob] = [await startClient('eve', [near]), await startClient('bob', [far])];
  const watcher = await connect(far, '?user=wes&room=r');
  const third = await startNode({ redis: [(redis as RedisProcess).url] });
  await (await connect(third, '?user=kim&room=r')).next('joined');
  for (let i = 0; i < 20; i++) {
    for (const client of [ada, eve, bob]) client.send();
    await pause(5);
  }
  await Promise.all([ada, eve, bob].map((client) => client.settled()));

  near.pause();
  await third.kill();
  const stoppedAt = performance.now();
  for (let i = 0; i < 5; i++) for (const client of [ada, eve]) client.send(); // they stay in the node's sockets
  expect(ada.pending).toBe(5);
  ada.ports = [far.port];
  ada.connect(); // its old connection stays open
  ada.send();
  bob.send();
  await waitUntil('she is welcome', () => ada.joined, 25_000);
  const waited = performance.now() - stoppedAt;
  expect(waited).toBeGreaterThan(LEASE_MS - RENEWAL_MS - 500);
  const leavers = () => watcher.got.flatMap((message) => (message.t === 'presence' ? (message.left ?? []) : []));
  const haveLeft = () => leavers().includes('eve') && leavers().includes('kim');
  await waitUntil('the members of both nodes leave', haveLeft, LEASE_MS + 1_500 - waited);

  ada.send();
  near.resume();
  for (let i = 0; i < 5; i++) for (const client of [ada, bob]) client.send();
  await Promise.all([ada, eve, bob].map((client) => client.settled(15_000)));
  await waitUntil('all have all', () => [ada, eve, bob].every(({ place }) => place?.seq === 83), 15_000).catch(
    () => {},
  );
  await bob.readAll();
  expect(check([ada.history, eve.history, bob.history], { settled: true })).toEqual([]);
  expect(bob.place?.seq).toBe(83);
  expect(new Set(ada.events('welcome').map(({ session }) => session)).size).toBe(1);
  const last = () => watcher.got.findLast((message) => message.t === 'presence');
  await waitUntil('its member is back', () => last()?.joined?.includes('eve') === true || last()?.count === 4);
  expect(leavers().filter((name) => name === 'eve' || name === 'kim')).toHaveLength(2);
}, 60_000);

test('resumes, reads history and recognizes retries on another node (N7)', async () => {
  const ada = await connect(near, '?user=ada&room=n7');
  const { resume } = await ada.next('welcome');
  const { epoch } = await ada.next('joined');
  expect(await ada.say('n7', 'one', 'x')).toMatchObject({ seq: 1 });
  await ada.next('message');
  const bob = await connect(near, '?user=bob&room=n7');
  await bob.next('joined');
  await bob.say('n7', 'two', 'x');
  ada.socket.close();
  await bob.say('n7', 'three');
  const again = await connect(far, '?user=ada', resume);
  expect(await again.join('n7', { since: { epoch, seq: 1 } })).toMatchObject({ epoch, seq: 1, recovered: true });
  expect([await again.next('message'), await again.next('message')]).toMatchObject([
    { seq: 2, data: 'two' },
    { seq: 3, data: 'three' },
  ]);
  expect(await again.say('n7', 'one', 'x')).toMatchObject({ seq: 1, duplicate: true });
  again.send({ t: 'history', room: 'n7', before: 3 });
  expect((await again.next('history')).messages.map(({ seq, data }) => [seq, data])).toEqual([
    [1, 'one'],
    [2, 'two'],
  ]);
  again.send({ t: 'history', room: 'n7', after: 1, limit: 1 });
  expect(await again.next('history')).toMatchObject({ messages: [{ seq: 2 }], more: true });
});

test('names the members on all nodes, and tells their joins and leaves (N8)', async () => {
  const ada = await connect(near, '?user=ada&room=n8');
  await ada.next('joined');
  await ada.next('presence');
  const bob = await connect(far, '?user=bob&room=n8');
  await waitUntil('she sees him', () => ada.got.some((got) => got.t === 'presence' && got.joined?.includes('bob')));
  expect(await bob.next('joined')).toMatchObject({ count: 2, members: ['ada'] });
  const eve = await connect(near, '?user=eve&room=n8');
  expect((await eve.next('joined')).members?.toSorted()).toEqual(['ada', 'bob']);
  await waitUntil('he sees her', () => bob.got.some((got) => got.t === 'presence' && got.joined?.includes('eve')));
  eve.send({ t: 'leave', room: 'n8' });
  await waitUntil('she has left', () => bob.got.some((got) => got.t === 'presence' && got.left?.includes('eve')));
});

test('delivers signals to members on other nodes without storing them (N9)', async () => {
  const [ada, eve] = [await connect(near, '?user=ada&room=n9'), await connect(near, '?user=eve&room=n9')];
  const bob = await connect(far, '?user=bob&room=n9');
  for (const peer of [ada, eve, bob]) await peer.next('joined');
  ada.send({ t: 'signal', room: 'n9', data: { typing: true } });
  const signal = { t: 'signal', room: 'n9', from: 'ada', data: { typing: true } };
  expect([await bob.next('signal'), await eve.next('signal')]).toEqual([signal, signal]);
  expect(await ada.all('signal')).toEqual([]);
  expect([await bob.all('signal'), await eve.all('signal')]).toEqual([[signal], [signal]]);
  bob.send({ t: 'history', room: 'n9' });
  expect((await bob.next('history')).messages).toEqual([]);
  expect(await bob.say('n9', 'first')).toMatchObject({ seq: 1 });
});

test('closes the connection of a session on another node before it welcomes the new one (N10)', async () => {
  const ada = await connect(near, '?user=ada&room=n10');
  const { resume, session } = await ada.next('welcome');
  await ada.next('joined');
  let closedAt = Number.POSITIVE_INFINITY;
  void ada.closed.then(() => {
    closedAt = performance.now();
  });
  ada.send({ t: 'send', room: 'n10', id: 'last', data: 'in flight' });
  // Its answer says that the node has read the message, which may be undecided yet.
  ada.send({ t: 'ping' });
  await ada.next('pong');
  const again = await connect(far, '?user=ada', resume);
  expect(await again.next('welcome')).toMatchObject({ session });
  const welcomedAt = performance.now();
  expect(await ada.closed).toMatchObject({ code: 4500 });
  expect(closedAt - welcomedAt).toBeLessThan(100); // the frames of two sockets may be read in any order
  expect((await again.join('n10')).seq).toBe(1);
  expect(await again.say('n10', 'in flight', 'last')).toMatchObject({ seq: 1, duplicate: true });
  const back = await connect(near, '', resume);
  expect(await back.next('welcome')).toMatchObject({ session });
  expect(await again.closed).toMatchObject({ code: 4500 });
});
