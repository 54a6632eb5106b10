import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import { closes } from '../../src/protocol/close-codes.ts';
import { ApiClient, JWT_SECRET, now, tokenOf } from '../api/api-client.ts';
import { Peer } from '../conformance/server.ts';
import { findRedis } from '../redis/install.ts';
import { waitUntil } from '../redis/wait.ts';
import { startNode, startProxy, startRedis } from './fixtures.ts';
import type { NodeProcess } from './node-process.ts';

const redis = await findRedis();
beforeEach((context) => context.skip(!redis.path, redis.reason));

const jwt = ['--auth', 'jwt', '--jwt-secret', JWT_SECRET];

/** Starts two nodes on one Redis, each through a proxy of its own, and a client of their API. */
async function startNodes(flags: readonly string[] = []) {
  const api = new ApiClient();
  const server = await startRedis();
  const proxies = [await startProxy(server.port), await startProxy(server.port)] as const;
  const start = ({ url }: (typeof proxies)[0]) => startNode({ redis: [url], flags: ['--keys', api.file, ...flags] });
  const [a, b] = await Promise.all([start(proxies[0]), start(proxies[1])]);
  const get = (node: NodeProcess, path: string) => api.get(node.url, path);
  const post = (node: NodeProcess, path: string, body?: unknown) => api.post(node.url, path, body);
  return { a, b, proxies, get, post, start };
}

async function join({ port }: NodeProcess, query: string, protocols: string[] = []): Promise<Peer> {
  const peer = await Peer.connect(port, query, protocols);
  onTestFinished(() => peer.socket.terminate());
  await peer.next('welcome');
  for (const _ of query.match(/room=/g) ?? []) await peer.next('joined');
  return peer;
}

test('rooms, members and users are those of all nodes, and a stopped node is counted as missing', {
  timeout: 60_000, // the lease of a killed node ends after ten seconds
}, async () => {
  const { a, b, get, post } = await startNodes();
  await join(a, '?user=ada&room=r&room=only-a');
  const far = await join(b, '?user=ada&room=r&room=only-b');
  await join(b, '?user=bob&room=r');
  const rooms = [
    { room: 'only-a', members: 1 },
    { room: 'only-b', members: 1 },
    { room: 'r', members: 3 },
  ];
  for (const node of [a, b]) expect((await get(node, '/rooms')).body).toEqual({ rooms, missing: 0 });
  const members = [
    { user: 'ada', connections: 2 },
    { user: 'bob', connections: 1 },
  ];
  expect((await get(a, '/rooms/r/members')).body).toEqual({ room: 'r', count: 3, members, missing: 0 });
  b.pause();
  const start = performance.now();
  expect((await get(a, '/rooms')).body).toEqual({ rooms: [rooms[0], { room: 'r', members: 1 }], missing: 1 });
  expect(performance.now() - start).toBeGreaterThan(1_900);
  expect((await post(a, '/users/ada/leave', { room: 'r' })).body).toEqual({ left: 1, closed: 0, missing: 1 });
  b.resume();
  expect(await far.next('left')).toEqual({ t: 'left', room: 'r', removed: true }); // the question has waited
  await waitUntil('it answers', async () => (await get(a, '/rooms')).body?.['missing' as never] === 0);
  expect((await post(a, '/users/ada/disconnect', { reason: 'bye' })).body).toEqual({ closed: 2, missing: 0 });
  expect(await far.closed).toEqual({ code: 4504, reason: 'bye' });
  await b.kill();
  expect((await get(a, '/rooms')).body).toMatchObject({ missing: 1 });
  await waitUntil('its lease has ended', async () => (await get(a, '/rooms')).body?.['missing' as never] === 0, 15_000);
});

test('revocations are shared at once, with a node that was away, and survive restarts', async () => {
  const { a, b, proxies, post } = await startNodes(jwt);
  const [old, recent] = await Promise.all([tokenOf('ada', now() - 60), tokenOf('ada', now() - 5)]);
  const before = (now() - 30) * 1000;
  const [near, far] = [await join(a, '?room=r', [`bearer.${old}`]), await join(b, '?room=r', [`bearer.${old}`])];
  const stays = await join(b, '?room=r', [`bearer.${recent}`]);
  const other = await join(b, '?room=r', [`bearer.${await tokenOf('bob', now() - 60)}`]);
  proxies[1].refuse();
  await waitUntil('it is away', async () => (await b.status('/readyz')) === 503);
  expect((await post(a, '/users/ada/revoke', { before })).body).toEqual({ before, closed: 1, missing: 1 });
  expect(await near.closed).toEqual(closes.tokenExpired);
  expect(far.socket.readyState).toBe(WebSocket.OPEN);
  proxies[1].accept();
  expect(await far.closed).toEqual(closes.tokenExpired);
  for (const node of [a, b]) {
    const refused = await Peer.connect(node.port, '', [`bearer.${old}`]);
    expect((await refused.closed).code).toBe(closes.unauthenticated.code);
  }
  await a.restart('SIGTERM');
  const refused = await Peer.connect(a.port, '', [`bearer.${old}`]);
  expect((await refused.closed).code).toBe(closes.unauthenticated.code);
  await join(a, '?room=r', [`bearer.${recent}`]);
  expect([stays.socket.readyState, other.socket.readyState]).toEqual([WebSocket.OPEN, WebSocket.OPEN]);
});

test('the workers of all nodes answer', async () => {
  const { a, b, get, post } = await startNodes(['--workers', '2']);
  const peers = await Promise.all(
    Array.from({ length: 16 }, (_, i) => join(i % 2 === 0 ? a : b, `?user=user${i % 4}&room=r`)),
  );
  const members = [0, 1, 2, 3].map((i) => ({ user: `user${i}`, connections: 4 }));
  for (const node of [a, b, a, b]) {
    expect((await get(node, '/rooms/r/members')).body).toEqual({ room: 'r', count: 16, members, missing: 0 });
  }
  expect((await post(a, '/users/user1/disconnect')).body).toEqual({ closed: 4, missing: 0 });
  expect((await post(b, '/users/user2/revoke')).body).toMatchObject({ closed: 4, missing: 0 });
  await Promise.all(peers.filter((_, i) => i % 4 === 1 || i % 4 === 2).map(({ closed }) => closed));
  await waitUntil('they have left', async () => {
    return (await get(b, '/rooms/r/members')).body?.['count' as never] === 8;
  });
  b.pause();
  expect((await get(a, '/rooms/r/members')).body).toMatchObject({ count: 4, missing: 1 });
  b.resume();
});
