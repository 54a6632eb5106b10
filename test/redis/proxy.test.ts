import { afterEach, beforeEach, expect, test } from 'vitest';
import { RedisConnection } from './connection.ts';
import { findRedis } from './install.ts';
import { RedisProxy } from './proxy.ts';
import { RedisProcess } from './redis-process.ts';
import type { Reply } from './resp.ts';
import { waitUntil } from './wait.ts';

const redis = await findRedis();
let server: RedisProcess;
let proxy: RedisProxy;
const connections: RedisConnection[] = [];
beforeEach(async (context) => {
  context.skip(!redis.path, redis.reason);
  server = await RedisProcess.start();
  proxy = await RedisProxy.listen(server.port);
});
afterEach(async () => {
  for (const connection of connections.splice(0)) connection.close();
  proxy?.close();
  await server?.stop();
});

/** Connects through the proxy with RESP3. */
async function connect(): Promise<RedisConnection> {
  const connection = new RedisConnection(proxy.port);
  connections.push(connection);
  await connection.command('HELLO', '3');
  return connection;
}

/** Connects and subscribes to the channel `news`. @returns the payloads it receives, too. */
async function subscribe(): Promise<{ connection: RedisConnection; payloads: Reply[] }> {
  const connection = await connect();
  const payloads: Reply[] = [];
  let subscribed = false;
  connection.onPush = (push) => {
    const [kind, , payload] = push as [string, string, Reply];
    if (kind === 'subscribe') subscribed = true;
    else payloads.push(payload);
  };
  connection.subscribe('news');
  await waitUntil('the subscription is confirmed', () => subscribed);
  return { connection, payloads };
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const get = (key: string) => server.command('GET', key);

test('forwards large values and pipelines unchanged', async () => {
  const client = await connect();
  const large = 'x'.repeat(3 << 20);
  const replies = [client.command('SET', 'large', large), client.command('GET', 'large'), client.command('PING')];
  expect(await Promise.all(replies)).toEqual(['OK', large, 'PONG']);
});

test('delays each direction', async () => {
  const client = await connect();
  proxy.delay('requests', 60);
  proxy.delay('replies', 60);
  const start = performance.now();
  expect(await client.command('PING')).toBe('PONG');
  expect(performance.now() - start).toBeGreaterThanOrEqual(119);
});

test('cuts, refuses and accepts connections', async () => {
  const client = await connect();
  proxy.cut();
  await expect(client.command('PING')).rejects.toThrow('closed');
  await connect();
  proxy.refuse();
  await expect(connect()).rejects.toThrow('closed');
  expect(proxy.open).toBe(0);
  proxy.accept();
  expect(await (await connect()).command('PING')).toBe('PONG');
  expect(proxy.accepted).toBe(3);
});

test('holds replies while Redis executes, and delivers them later', async () => {
  const client = await connect();
  proxy.hold('replies');
  let reply: Reply | undefined;
  const stored = client.command('SET', 'key', 'value').then((result) => {
    reply = result;
  });
  await waitUntil('Redis has executed the command', async () => (await get('key')) === 'value');
  await pause(50);
  expect(reply).toBeUndefined();
  proxy.release();
  await stored;
  expect(reply).toBe('OK');
});

test('keeps a held connection open when Redis dies', async () => {
  const client = await connect();
  proxy.hold();
  void client.command('SET', 'key', 'value').catch(() => {});
  await pause(50);
  expect(await get('key')).toBe(null);
  await server.kill();
  await pause(50);
  expect(client.closed).toBe(false);
  proxy.release();
  await waitUntil('the client sees the end', () => client.closed);
});

test('loses the reply of one command and delivers those before it', async () => {
  const client = await connect();
  const lost = proxy.loseReply('incrby');
  const replies = [client.command('SET', 'key', '1'), client.command('INCRBY', 'key', '5'), client.command('PING')];
  const outcomes = await Promise.allSettled(replies);
  await lost;
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected']);
  expect(await get('key')).toBe('6');
  expect(await (await connect()).command('INCRBY', 'key', '5')).toBe(11);
});

test('loses the reply of a command, and its pushes', async () => {
  const { connection, payloads } = await subscribe();
  await connection.command('PUBLISH', 'news', 'one');
  await waitUntil('the first message is pushed', () => payloads.length === 1);
  const lost = proxy.loseReply((words) => words[0] === 'PUBLISH' && words[2] === 'two', { pushes: true });
  await expect(connection.command('PUBLISH', 'news', 'two')).rejects.toThrow('closed');
  await lost;
  expect(payloads).toEqual(['one']);
});

test('loses a command before Redis gets it', async () => {
  const client = await connect();
  const lost = proxy.loseRequest('SET');
  await expect(client.command('SET', 'key', 'value')).rejects.toThrow('closed');
  await lost;
  expect(await get('key')).toBe(null);
});

test('holds the reply of one command and drops it', async () => {
  const client = await connect();
  const held = proxy.holdReply('INCR');
  const reply = client.command('INCR', 'key');
  await held;
  expect(await get('key')).toBe('1');
  proxy.cut();
  await expect(reply).rejects.toThrow('closed');
});

test('has Redis execute old bytes after the client has come back', async () => {
  const client = await connect();
  const stalling = proxy.stall((words) => words[1] === 'list');
  const replies = [client.command('RPUSH', 'list', 'old'), client.command('RPUSH', 'list', 'older')];
  for (const outcome of await Promise.allSettled(replies)) expect(outcome.status).toBe('rejected');
  const stalled = await stalling;
  const again = await connect();
  expect(await again.command('RPUSH', 'list', 'new')).toBe(1);
  expect(await stalled.deliver()).toEqual([2, 3]);
  expect(await again.command('LRANGE', 'list', '0', '-1')).toEqual(['new', 'old', 'older']);
});

test('drops one push and leaves the connection open', async () => {
  const { connection, payloads } = await subscribe();
  const lost = proxy.losePush((push) => push[2] === 'two');
  for (const payload of ['one', 'two', 'three']) await connection.command('PUBLISH', 'news', payload);
  await lost;
  expect(payloads).toEqual(['one', 'three']);
});

test('cuts a connection in the middle of a command', async () => {
  const client = await connect();
  proxy.cutAfter('requests', 20);
  await expect(client.command('SET', 'key', 'value')).rejects.toThrow('closed');
  expect(await get('key')).toBe(null);
  expect(await (await connect()).command('PING')).toBe('PONG');
});

test('connects later connections to another server', async () => {
  const other = await RedisProcess.start();
  try {
    await other.command('SET', 'name', 'other');
    const before = await connect();
    proxy.retarget(other.port);
    expect(await before.command('GET', 'name')).toBe(null);
    expect(await (await connect()).command('GET', 'name')).toBe('other');
  } finally {
    await other.stop();
  }
});

test('stops reading from Redis while replies are held, so that Redis cuts the slow client off', async () => {
  await server.command('CONFIG', 'SET', 'client-output-buffer-limit', 'pubsub 1mb 1mb 1');
  await subscribe();
  proxy.hold('replies');
  const payload = 'x'.repeat(1 << 20);
  const connected = async () => Number(await server.command('PUBLISH', 'news', payload)) > 0;
  for (let i = 0; i < 100 && (await connected()); i++);
  expect(await connected()).toBe(false);
});
