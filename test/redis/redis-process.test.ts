import { generate } from 'selfsigned';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { RedisConnection } from './connection.ts';
import { findRedis } from './install.ts';
import { type RedisOptions, RedisProcess } from './redis-process.ts';
import { waitUntil } from './wait.ts';

const redis = await findRedis();
const servers: RedisProcess[] = [];
beforeEach((context) => context.skip(!redis.path, redis.reason));
afterEach(async () => {
  vi.unstubAllEnvs();
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

async function start(options?: RedisOptions): Promise<RedisProcess> {
  const server = await RedisProcess.start(options);
  servers.push(server);
  return server;
}

test('keeps what an append-only file has across a kill, on the same port', async () => {
  const server = await start({ appendFsync: 'always' });
  const { port } = server;
  await server.command('SET', 'key', 'value');
  await server.kill();
  expect(server.running).toBe(false);
  await expect(server.command('GET', 'key')).rejects.toThrow('the connection to Redis was closed');
  await server.restart();
  expect(server.port).toBe(port);
  expect(await server.command('GET', 'key')).toBe('value');
});

test('is empty after a kill without persistence', async () => {
  const server = await start();
  await server.command('SET', 'key', 'value');
  await server.restart();
  expect(await server.command('GET', 'key')).toBe(null);
});

test('applies a password and further directives', async () => {
  const server = await start({ password: 'se cret', config: [['maxmemory', '5mb']] });
  expect(await server.command('CONFIG', 'GET', 'maxmemory')).toEqual(['maxmemory', '5242880']);
  const stranger = new RedisConnection(server.port);
  await expect(stranger.command('GET', 'key')).rejects.toThrow('NOAUTH');
  stranger.close();
  expect(server.url).toBe(`redis://:se%20cret@127.0.0.1:${server.port}`);
});

test('accepts only TLS if it has a certificate', async () => {
  const { cert, private: key } = await generate([{ name: 'commonName', value: '127.0.0.1' }]);
  const server = await start({ tls: { cert, key } });
  expect(server.url).toBe(`rediss://127.0.0.1:${server.port}`);
  await server.command('SET', 'key', 'value');
  expect(await server.command('GET', 'key')).toBe('value');
  const plain = new RedisConnection(server.port);
  await expect(plain.command('PING')).rejects.toThrow('closed');
});

test('is silent while paused', async () => {
  const server = await start();
  await server.command('PING');
  server.pause();
  let replied = false;
  const reply = server.command('PING').then(() => {
    replied = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(replied).toBe(false);
  server.resume();
  await reply;
});

test('loses the tail that its replicas were kept from', async () => {
  const primary = await start();
  const replica = await start({ replicaOf: primary.port });
  await replica.synchronized();
  await primary.command('SET', 'shared', 'yes');
  await waitUntil('the write is replicated', async () => (await replica.command('GET', 'shared')) === 'yes');
  const before = await primary.info('master_replid');
  await primary.rejectReplicas();
  await primary.command('SET', 'tail', 'lost');
  await primary.kill();
  await replica.promote();
  expect(await replica.info('master_replid')).not.toBe(before);
  expect(await replica.command('MGET', 'shared', 'tail')).toEqual(['yes', null]);
});

test('runs on the executable that TEST_REDIS_SERVER names, and on no other', async () => {
  const path = '/nowhere/valkey-server';
  vi.stubEnv('TEST_REDIS_SERVER', path);
  expect(await findRedis()).toEqual({ reason: `no Redis: these tests need ${path}, version 7 or newer` });
  vi.stubEnv('TEST_REDIS_SERVER', redis.path);
  expect(await findRedis()).toEqual(redis);
});
