import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import { keysOf, shardOf } from '../../src/engine/redis/keys.ts';
import { run } from '../cli/command.ts';
import { findRedis } from '../redis/install.ts';
import type { RedisProcess } from '../redis/redis-process.ts';
import { Sentinels } from '../redis/sentinel-process.ts';
import type { Certificate } from '../redis/server-process.ts';
import { check } from './checker.ts';
import { settledAt, startClient, startNode, startRedis } from './fixtures.ts';
import { NodeProcess } from './node-process.ts';

const redis = await findRedis();
beforeEach((context) => context.skip(!redis.path, redis.reason));

const USER = { name: 'pump:house', password: 'p@ss/w?rd', rules: '~ph:* &ph:* +@all' };

const folder = mkdtempSync(join(tmpdir(), 'pumphouse-access-'));
const env = { NODE_EXTRA_CA_CERTS: join(folder, 'cert.pem') };
let tls: Certificate;
beforeAll(async () => {
  expect(await run(['gen-cert', '--out', folder])).toMatchObject({ code: 0 });
  const [cert, key] = ['cert.pem', 'key.pem'].map((file) => readFileSync(join(folder, file), 'utf8'));
  tls = { cert: cert as string, key: key as string };
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Has a client of each node send a message to a room, and checks that both receive both. */
async function meet(room: string, nodes: readonly NodeProcess[]): Promise<void> {
  const clients = await Promise.all(nodes.map((node, i) => startClient(`client ${i}`, [node], { room })));
  for (const client of clients) client.send();
  await settledAt(clients.length, ...clients);
  await clients[0]?.readAll();
  const histories = clients.map(({ history }) => history);
  expect(check(histories, { settled: true })).toEqual([]);
}

/** Returns a room's number of stored batches in a database of a server. */
async function stored(server: RedisProcess, room: string, database = 0): Promise<unknown> {
  const connection = await server.connect();
  try {
    await connection.command('SELECT', database);
    return await connection.command('XLEN', keysOf(room).log);
  } finally {
    connection.close();
  }
}

test('nodes share rooms over TLS, as a user with a password, in a database', async () => {
  const server = await startRedis({ tls, user: USER });
  const url = `${server.url}/2`;
  const nodes = await Promise.all([1, 2].map(() => startNode({ redis: [url], env })));
  await meet('r', nodes);
  expect([await stored(server, 'r'), await stored(server, 'r', 2)]).toEqual([0, 2]);
});

test('a node rejects a certificate of an authority that it does not know, and a wrong password', async () => {
  const server = await startRedis({ tls, user: USER });
  const { address, url } = server;
  await expect(NodeProcess.start({ redis: [url] })).rejects.toThrow(
    `${address}: cannot be reached (DEPTH_ZERO_SELF_SIGNED_CERT)`,
  );
  const wrong = url.replace(/:[^:@]*@/, ':wrong@');
  await expect(NodeProcess.start({ redis: [wrong], env })).rejects.toThrow(
    `${address}: rejects the connection: WRONGPASS`,
  );
});

test('nodes share rooms on several servers, each with its own scheme, credentials and database', async () => {
  const [plain, secured] = await Promise.all([
    startRedis({ password: 'plain secret' }),
    startRedis({ tls, user: USER }),
  ]);
  const urls = [`${plain.url}/1`, `${secured.url}/2`];
  const nodes = await Promise.all([1, 2].map(() => startNode({ redis: urls, env })));
  const names = Array.from({ length: 20 }, (_, i) => `r${i}`);
  const rooms = [0, 1].map((shard) => names.find((room) => shardOf(room, 2) === shard) as string) as [string, string];
  for (const room of rooms) await meet(room, nodes);
  const counts = rooms.map((room) => Promise.all([stored(plain, room, 1), stored(secured, room, 2)]));
  expect(await Promise.all(counts)).toEqual([
    [2, 0],
    [0, 2],
  ]);
});

test('nodes and check-config find a primary by sentinels with TLS and a password of their own', async () => {
  const server = await startRedis({ tls, user: USER });
  const options = { tls, serverUser: USER.name, serverPassword: USER.password, password: 'sentinels only' };
  const sentinels = await Sentinels.start(server.port, 0, 1, options);
  onTestFinished(() => sentinels.stop());
  const address = new URL(sentinels.urls[0] as string).host;
  const url = `${server.url.replace(server.address, address)}/2`;
  const sentinel = ':sentinels only@main';
  const nodes = await Promise.all([1, 2].map(() => startNode({ redis: [url], sentinel, env })));
  await meet('r', nodes);
  expect(await stored(server, 'r', 2)).toBe(2);

  const inspect = (name: string) =>
    run(['check-config', '--engine', 'redis', '--redis', url, '--redis-sentinel', name], env);
  const { code, stdout } = await inspect(sentinel);
  expect(stdout).toContain(`1 of 1 sentinels answer: main is at ${server.address}\n`);
  expect(stdout).toContain('redisSentinel "(set)@main"');
  expect(stdout).not.toMatch(/sentinels only|p@ss|p%40ss/);
  expect(code).toBe(0);
  for (const name of ['main', ':wrong@main']) {
    const { code, stderr } = await inspect(name);
    expect([code, stderr]).toEqual([2, expect.stringMatching(`^pumphouse: ${address}: `)]);
  }
});
