import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { keysOf } from '../../src/engine/redis/keys.ts';
import { findRedis } from '../redis/install.ts';
import { RedisProxy } from '../redis/proxy.ts';
import { type RedisOptions, RedisProcess } from '../redis/redis-process.ts';
import { type SentinelOptions, Sentinels } from '../redis/sentinel-process.ts';
import { LossyProxy, Node, until } from './redis-helper.ts';

const installed = await findRedis();
beforeEach((context) => context.skip(!installed.path, installed.reason));

const servers: { stop(): Promise<void> }[] = [];
const proxies: LossyProxy[] = [];
const nodes: Node[] = [];

afterEach(async () => {
  const breaches = nodes.flatMap((node) => node.breaches);
  await Promise.all(nodes.splice(0).map((node) => node.engine.close()));
  for (const proxy of proxies.splice(0)) proxy.close();
  for (const server of servers.splice(0)) await server.stop();
  expect(breaches).toEqual([]);
});

async function startServer(options?: RedisOptions): Promise<RedisProcess> {
  const server = await RedisProcess.start(options);
  servers.push(server);
  return server;
}

/** Starts a sentinel that fails over a primary with one replica within a few seconds. */
async function startSentinel(primary: RedisProcess, options: SentinelOptions): Promise<string> {
  const sentinels = await Sentinels.start(primary.port, 1, 1, {
    downAfterMs: 1_500,
    failoverTimeoutMs: 3_000,
    ...options,
  });
  servers.push(sentinels);
  return sentinels.urls[0] as string;
}

async function startProxy(target: RedisProcess): Promise<LossyProxy> {
  const proxy = await LossyProxy.start(target.port);
  proxies.push(proxy);
  return proxy;
}

async function startNode(
  url: string | readonly string[],
  options: Parameters<typeof Node.start>[1] = {},
): Promise<Node> {
  const node = await Node.start(url, options);
  nodes.push(node);
  return node;
}

/** A primary, a replica that has caught up with it, and a proxy that leads to the primary. */
async function startPair() {
  const primary = await startServer();
  const replica = await startServer({ replicaOf: primary.port });
  await replica.synchronized();
  const proxy = await startProxy(primary);
  const node = await startNode(proxy.url);
  await node.attach('x');
  return { primary, replica, proxy, node };
}

/** Waits until the replicas have all that the primary has. */
async function replicated(primary: RedisProcess): Promise<void> {
  const offsets = /offset=(\d+)/g;
  await until('the replicas have all', async () => {
    const info = String(await primary.command('INFO', 'replication'));
    const end = /master_repl_offset:(\d+)/.exec(info)?.[1];
    return [...info.matchAll(offsets)].every(([, offset]) => offset === end);
  });
}

const length = (server: RedisProcess) => server.command('XLEN', keysOf('x').log);

describe('a connection that is lost', () => {
  test('stores a batch once whose reply was lost, without ids', async () => {
    const server = await startServer();
    const proxy = await startProxy(server);
    const node = await startNode(proxy.url);
    await node.attach('x');
    proxy.dropsReplies = true;
    node.send('x', '1', '2');
    node.send('x', '3');
    await until('the batch is stored', async () => (await length(server)) === 1);
    proxy.dropsReplies = false;
    proxy.cut();
    await until('all are decided', () => node.decided('x').length === 3);
    expect(node.decided('x')).toEqual([1, 2, 3].map((seq) => ({ kind: 'stored', seq })));
    expect(node.texts('x')).toEqual(['1', '2', '3']);
    expect(await length(server)).toBe(2);
    await until('the engine is ready again', () => node.states.length === 2);
    expect(node.states).toEqual(['away', 'ready']);
    expect(node.moves).toEqual([]);
  });

  test('refuses the old bytes of a batch that was sent again, before and after a later batch', async () => {
    const server = await startServer();
    const proxy = await startProxy(server);
    const node = await startNode(proxy.url);
    await node.attach('x');
    proxy.holdsRequests = true;
    node.send('x', '1');
    await new Promise((resolve) => setTimeout(resolve, 50));
    proxy.cut();
    proxy.holdsRequests = false;
    await until('it is decided', () => node.decided('x').length === 1);
    expect(await node.append('x', '2')).toEqual([{ kind: 'stored', seq: 2 }]);
    proxy.deliver();
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(await length(server)).toBe(2);
    expect(await node.append('x', '3')).toEqual([{ kind: 'stored', seq: 3 }]);
    expect(node.texts('x')).toEqual(['1', '2', '3']);
  });

  test('misses nothing when Redis ends connections under load', async () => {
    const server = await startServer();
    const [a, b] = [await startNode(server.url), await startNode(server.url)];
    await Promise.all([a.attach('x'), b.attach('x')]);
    let sent = 0;
    for (let round = 0; round < 8; round++) {
      for (let i = 0; i < 40; i++) {
        for (const node of [a, b]) node.send('x', `${sent++}`);
        await new Promise(setImmediate);
        if (i === 20) await server.command('CLIENT', 'KILL', 'TYPE', round % 2 ? 'pubsub' : 'normal');
      }
    }
    await until('all are decided', () => a.decided('x').length + b.decided('x').length === sent, 15_000);
    for (const node of [a, b]) {
      expect(node.decided('x').every(({ kind }) => kind === 'stored')).toBe(true);
      await until('it has all', () => node.head('x') === sent);
      const numbers = node.texts('x').map(Number);
      expect(new Set(numbers).size).toBe(sent);
      expect(numbers.filter((number) => number % 2 === 0)).toEqual(Array.from({ length: sent / 2 }, (_, i) => 2 * i));
    }
    expect(a.records('x')).toEqual(b.records('x'));
  });

  test('decides what waits for longer than the patience: sent is unknown, the rest failed', async () => {
    const server = await startServer();
    const node = await startNode(server.url, { patienceMs: 4_000 });
    await node.attach('x');
    await node.append('x', '1');
    server.pause();
    node.send('x', '2');
    await new Promise((resolve) => setTimeout(resolve, 50));
    node.send('x', '3');
    await until('both are decided', () => node.decided('x').length === 3, 5_000);
    expect(node.decided('x').slice(1)).toEqual([{ kind: 'unknown' }, { kind: 'failed' }]);
    expect(node.states).toEqual(['away']);
    await expect(node.engine.read('x', 0, 1)).rejects.toThrow('Redis cannot be reached');
    await expect(node.attach('y')).rejects.toThrow('room "y": Redis cannot be reached');
    const late = node.attach('z');
    late.catch(() => {});
    server.resume();
    await until('it is back', () => node.states.length === 2);
    await until('the engine is ready again', () => node.states.length === 2);
    expect(node.states).toEqual(['away', 'ready']);
    expect(await node.append('x', '4')).toMatchObject([{ kind: 'stored' }]);
    expect(['1,4', '1,2,4']).toContain(node.texts('x').join());
    expect(node.texts('x').length).toBe(await length(server));
  });

  test('attaches when Redis is back within the patience', async () => {
    const server = await startServer();
    const node = await startNode(server.url);
    await server.kill();
    const attached = node.attach('x');
    await new Promise((resolve) => setTimeout(resolve, 300));
    await server.restart();
    expect(await attached).toMatchObject({ seq: 0 });
    expect(await node.append('x', '1')).toEqual([{ kind: 'stored', seq: 1 }]);
  });

  test('closes when what is in flight is decided', async () => {
    const server = await startServer();
    const node = await startNode(server.url);
    await node.attach('x');
    node.send('x', '1');
    node.send('x', '2');
    await node.engine.close();
    expect(node.decided('x').map(({ kind }) => kind)).toEqual(['stored', 'stored']);
  });
});

describe('a restart of Redis', () => {
  test('begins a term with the same end when the log is kept, and stores what is in flight once', async () => {
    const server = await startServer({ appendFsync: 'always' });
    const [a, b] = [await startNode(server.url), await startNode(server.url)];
    await Promise.all([a.attach('x'), b.attach('x')]);
    await a.append('x', '1', '2');
    const { epoch } = a.engine.position('x');
    for (let i = 3; i <= 50; i++) {
      a.send('x', `${i}`);
      if (i % 7 === 0) await new Promise(setImmediate);
    }
    await server.kill();
    await server.restart();
    await until('all are decided', () => a.decided('x').length === 50);
    await until('all arrive', () => a.head('x') === 50 && b.head('x') === 50);
    for (const node of [a, b]) {
      expect(node.texts('x')).toEqual(Array.from({ length: 50 }, (_, i) => `${i + 1}`));
      const position = node.engine.position('x');
      expect(position.epoch).not.toBe(epoch);
      expect(position.epoch.split('-')[0]).toBe(epoch.split('-')[0]);
      const [move] = node.moves;
      expect(node.moves).toEqual([{ room: 'x', epoch: position.epoch, seq: move?.seq }]);
      expect(position.earlier).toMatchObject([{ epoch }]);
      expect(position.earlier?.[0]?.seq).toBeGreaterThanOrEqual(move?.seq as number);
    }
    expect(a.engine.position('x')).toEqual(b.engine.position('x'));
  });

  test('begins another log when it has none', async () => {
    const server = await startServer();
    const node = await startNode(server.url);
    await node.attach('x');
    await node.append('x', '1', '2');
    const { epoch } = node.engine.position('x');
    await server.kill();
    await server.restart();
    expect(await node.append('x', '3')).toEqual([{ kind: 'stored', seq: 1 }]);
    const position = node.engine.position('x');
    expect(position).toMatchObject({ seq: 1, first: 1, earlier: [] });
    expect(position.epoch.split('-')[0]).not.toBe(epoch.split('-')[0]);
    expect(node.moves).toEqual([{ room: 'x', epoch: position.epoch, seq: 0 }]);
    expect(node.texts('x')).toEqual(['3']);
  });

  test('moves to another log after FLUSHALL, by the next append of any node', async () => {
    const server = await startServer();
    const [a, b] = [await startNode(server.url), await startNode(server.url)];
    await Promise.all([a.attach('x'), b.attach('x')]);
    await a.append('x', ['1', 'id'], '2');
    await until('both have it', () => b.head('x') === 2);
    await server.command('FLUSHALL');
    expect(await a.append('x', ['1', 'id'])).toEqual([{ kind: 'stored', seq: 1 }]);
    await until('both have moved', () => b.moves.length === 1 && b.head('x') === 1);
    expect(a.moves).toEqual(b.moves);
    expect(a.moves).toMatchObject([{ room: 'x', seq: 0 }]);
  });

  test('says what was lost when the end of the append-only file is', async () => {
    const server = await startServer({ appendFsync: 'always' });
    const node = await startNode(server.url);
    await node.attach('x');
    for (const text of ['1', '2', '3']) await node.append('x', text);
    const { epoch } = node.engine.position('x');
    await server.kill();
    server.truncate(20);
    await server.restart();
    expect(await node.append('x', "3'")).toEqual([{ kind: 'stored', seq: 3 }]);
    const position = node.engine.position('x');
    expect(node.moves).toEqual([{ room: 'x', epoch: position.epoch, seq: 2 }]);
    expect(position.earlier).toEqual([{ epoch, seq: 2 }]);
    expect(node.texts('x')).toEqual(['1', '2', "3'"]);
  });
});

test('a term begins in the append when the replication id changes on an open connection', async () => {
  const server = await startServer();
  const [a, b] = [await startNode(server.url), await startNode(server.url)];
  await Promise.all([a.attach('x'), b.attach('x')]);
  await a.append('x', '1');
  const { epoch } = a.engine.position('x');
  // As a primary does for its first replica. No beat comes between this and the append.
  await server.command('DEBUG', 'CHANGE-REPL-ID');
  expect(await a.append('x', '2')).toEqual([{ kind: 'stored', seq: 2 }]);
  await until('both have it', () => b.head('x') === 2);
  for (const node of [a, b]) {
    expect(node.moves).toEqual([{ room: 'x', epoch: a.engine.position('x').epoch, seq: 1 }]);
    expect(node.engine.position('x').earlier).toEqual([{ epoch, seq: 1 }]);
  }
  expect(a.states).toEqual([]);
});

describe('a failover', () => {
  test('that loses nothing moves on at the same end', async () => {
    const { primary, replica, proxy, node } = await startPair();
    await node.append('x', '1', '2');
    const { epoch } = node.engine.position('x');
    await replicated(primary);
    await replica.promote();
    proxy.target = replica.port;
    await primary.kill();
    expect(await node.append('x', '3')).toEqual([{ kind: 'stored', seq: 3 }]);
    expect(node.moves).toMatchObject([{ seq: 2 }]);
    expect(node.engine.position('x').earlier).toEqual([{ epoch, seq: 2 }]);
    expect(node.texts('x')).toEqual(['1', '2', '3']);
  });

  test('that loses a tail says where, though another node has appended over it', async () => {
    const { primary, replica, proxy, node } = await startPair();
    await node.append('x', ['1', 'a'], ['2', 'b']);
    const { epoch } = node.engine.position('x');
    await replicated(primary);
    await replica.promote();
    await node.append('x', ['3', 'c'], '4');
    const other = await startNode(replica.url);
    await other.attach('x');
    await other.append('x', "3'", "4'", "5'");
    proxy.target = replica.port;
    await primary.kill();
    await until('the node has moved', () => node.head('x') === 5);
    expect(node.moves).toEqual([{ room: 'x', epoch: other.engine.position('x').epoch, seq: 2 }]);
    expect(node.texts('x')).toEqual(['1', '2', "3'", "4'", "5'"]);
    expect(node.engine.position('x').earlier).toEqual([{ epoch, seq: 2 }]);
    // The id was lost with the record, so a resend is new.
    expect(await node.append('x', ['2', 'b'], ['3', 'c'])).toEqual([
      { kind: 'duplicate', seq: 2 },
      { kind: 'stored', seq: 6 },
    ]);
  });

  test('after another says where the last common term ended', async () => {
    const { primary, replica, proxy, node } = await startPair();
    await node.append('x', '1');
    await replicated(primary);
    // A second replica misses the term of the first one.
    const third = await startServer({ replicaOf: primary.port });
    await third.synchronized();
    await replicated(primary);
    await replica.promote();
    await third.promote();
    proxy.target = replica.port;
    await primary.kill();
    await node.append('x', '2', '3');
    proxy.target = third.port;
    await replica.kill();
    expect(await node.append('x', "2'")).toEqual([{ kind: 'stored', seq: 2 }]);
    expect(node.moves.map(({ seq }) => seq)).toEqual([1, 1]);
    expect(node.texts('x')).toEqual(['1', "2'"]);
  });

  test('is noticed within 3 seconds though the old primary keeps the connection', async () => {
    const { primary, replica, proxy, node } = await startPair();
    await node.append('x', '1');
    await replicated(primary);
    await replica.promote();
    const other = await startNode(replica.url);
    await other.attach('x');
    await node.append('x', 'lost');
    await primary.replicate(replica.port);
    proxy.target = replica.port;
    await other.append('x', '2', '3');
    await until('it is heard again', () => node.texts('x').join() === '1,2,3', 3_000);
    expect(node.moves.at(-1)).toMatchObject({ seq: 1 });
    expect(await node.append('x', '4')).toEqual([{ kind: 'stored', seq: 4 }]);
  });

  test('is noticed within 3 seconds in a quiet room, too', async () => {
    const { primary, replica, proxy, node } = await startPair();
    await replica.promote();
    await primary.replicate(replica.port);
    proxy.target = replica.port;
    await until('it is ready again', () => node.states.join() === 'away,ready', 3_000);
    expect(node.errors.join()).toContain('the server is a replica, not the primary');
  });

  test('is followed to the new primary that the sentinels name, with the password of the URL', async () => {
    const primary = await startServer({ password: 'secret' });
    const replica = await startServer({ password: 'secret', replicaOf: primary.port });
    await replica.synchronized();
    const sentinel = await startSentinel(primary, { serverPassword: 'secret' });
    const url = sentinel.replace('//', '//:secret@');
    const node = await startNode(['redis://127.0.0.1:1', url], { sentinel: 'main', patienceMs: 20_000 });
    expect(node.warnings.join()).toContain('set min-replicas-to-write 1');
    await node.attach('x');
    await node.append('x', '1', '2');
    await until('it is replicated', async () => (await replica.command('HGET', keysOf('x').meta, 'seq')) === '2');
    await primary.kill();
    node.send('x', '3');
    await until('it is stored', () => node.decided('x').length === 3, 20_000);
    expect(node.decided('x')[2]).toEqual({ kind: 'stored', seq: 3 });
    expect(node.moves).toMatchObject([{ seq: 2 }]);
    expect(node.texts('x')).toEqual(['1', '2', '3']);
    expect(node.errors.join()).not.toContain('secret');
  });

  test('by hand is followed at once, though the old primary goes on and keeps the connection', async () => {
    const primary = await startServer();
    const replica = await startServer({ replicaOf: primary.port });
    await replica.synchronized();
    const sentinels = await Sentinels.start(primary.port, 1, 1);
    servers.push(sentinels);
    const proxy = await RedisProxy.listen(sentinels.processes[0]?.port as number);
    try {
      const node = await startNode(proxy.url, { sentinel: 'main' });
      await node.attach('x');
      await node.append('x', '1');
      proxy.cut();
      const before = proxy.accepted;
      // The sentinel will be asked again in three seconds.
      await until('the sentinel is asked, and subscribed to', () => proxy.accepted === before + 2);
      await sentinels.failover();
      await sentinels.failedOver(primary.port);
      const start = performance.now();
      await until('the node is away', () => node.states.includes('away'));
      expect(performance.now() - start).toBeLessThan(800);
      expect(await node.append('x', '2')).toEqual([{ kind: 'stored', seq: 2 }]);
      expect(await length(replica)).toBe(2);
    } finally {
      proxy.close();
    }
  });
});
