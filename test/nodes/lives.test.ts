import { beforeEach, expect, test } from 'vitest';
import { Native, sessionOf } from '../lives/admin.ts';
import { findRedis } from '../redis/install.ts';
import { waitUntil } from '../redis/wait.ts';
import { startNode, startRedis } from './fixtures.ts';
import type { NodeProcess } from './node-process.ts';

const redis = await findRedis();
beforeEach((context) => context.skip(!redis.path, redis.reason));

test('a session that moves to another node has one life, with the report that the other node got', async () => {
  const server = await startRedis();
  const flags = ['--admin-listen', '127.0.0.1:0', '--log-level', 'info'];
  const start = () => startNode({ redis: [`redis://127.0.0.1:${server.port}`], flags });
  const [a, b] = await Promise.all([start(), start()]);
  const adminOf = ({ log }: NodeProcess) => /serves operators at (http:[^\s"]+)/.exec(log)?.[1] as string;
  const first = new Native(a.url, 'user=ada&room=r');
  const { session, resume } = await first.next('welcome');
  await first.next('joined');
  first.socket.terminate();
  await waitUntil('it has ended', async () => (await sessionOf(adminOf(b), session)).connections[0]?.end !== undefined);
  const second = new Native(b.url, 'room=r', [`resume.${resume}`]);
  await second.next('joined');
  second.send({ t: 'report', code: 1006, reason: 'moved', after: 1, away: 5 }, { t: 'ping' });
  await second.next('pong');
  for (const node of [a, b]) {
    const { connections, missing } = await sessionOf(adminOf(node), session);
    expect(missing).toBe(0);
    expect(connections.map(({ resumed, end, report }) => [resumed, end?.code, report?.reason])).toEqual([
      [true, undefined, undefined],
      [false, 1006, 'moved'],
    ]);
  }
  await b.kill();
  expect(await sessionOf(adminOf(a), session)).toMatchObject({ missing: 1, connections: [{ end: { code: 1006 } }] });
});
