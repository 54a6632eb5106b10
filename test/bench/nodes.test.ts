import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, onTestFinished, test } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { startCluster } from '../../bench/cluster.ts';
import type { ServerNode } from '../../bench/contestant.ts';
import { Generator } from '../../bench/generator/generator.ts';
import type { GeneratorLink } from '../../bench/generator/remote.ts';
import { jobOf } from '../../bench/job.ts';
import { Load, type ServerControl } from '../../bench/load.ts';
import type { LoadSettings } from '../../bench/load-options.ts';
import { parseOptions } from '../../bench/options.ts';
import { peers } from '../../bench/peers/peers.ts';
import { pumphouse } from '../../bench/pumphouse.ts';
import { type RedisServer, redisVersion, startRedis } from '../../bench/redis.ts';
import { notices, ratesOf, sound } from '../../bench/report/rates.ts';
import { report } from '../../bench/report/text.ts';
import { runAll, trialsOf } from '../../bench/run.ts';
import { scenarioNamed } from '../../bench/scenarios.ts';
import { bench } from './program.ts';

const hasRedis = (() => {
  try {
    return redisVersion() !== '';
  } catch {
    return false;
  }
})();

let nodes: WebSocketServer[] = [];
/** How many clients each node has accepted. */
let accepted: number[] = [];
afterEach(() => {
  for (const node of nodes) {
    for (const socket of node.clients) socket.terminate();
    node.close();
  }
  nodes = [];
});

/** Delivers a message that a client of node `from` sent, with a function that sends to a node. */
type Relay = (toNode: (node: number) => void, from: number, count: number) => void;

/** Starts two nodes of a chat. */
async function twoNodes(relay: Relay): Promise<string[]> {
  let count = 0;
  accepted = [];
  nodes = [0, 1].map(() => new WebSocketServer({ port: 0, host: '127.0.0.1' }));
  const sendTo = (node: number, text: string) => {
    for (const socket of nodes[node]?.clients ?? []) (socket as WebSocket).send(text);
  };
  for (const [from, node] of nodes.entries()) {
    node.on('connection', (socket) => {
      accepted[from] = (accepted[from] ?? 0) + 1;
      socket.on('message', (message) => relay((to) => sendTo(to, String(message)), from, count++));
    });
  }
  await Promise.all(nodes.map((node) => once(node, 'listening')));
  return nodes.map((node) => `http://127.0.0.1:${(node.address() as AddressInfo).port}/ws`);
}

const settings: LoadSettings = {
  ...(parseOptions([]).jobs[0]?.load as LoadSettings),
  clients: 8,
  senders: 4,
  window: 2,
  bytes: 32,
  seconds: 0.3,
  warmUp: 0.05,
  audit: 8,
  patience: 0.5,
  nodes: 2,
};

async function runOn(relay: Relay, control: ServerControl = {}, overrides: Partial<LoadSettings> = {}) {
  return runAt(await twoNodes(relay), control, overrides);
}

async function runAt(urls: readonly string[], control: ServerControl, overrides: Partial<LoadSettings>) {
  const options = { ...settings, ...overrides, urls };
  const generator = (share: number): GeneratorLink => {
    const local = new Generator(options, share);
    return {
      call: async (method, ...args) => (local[method] as (...args: unknown[]) => unknown)(...args) as never,
      end() {},
    };
  };
  return new Load(options, control, generator).run();
}

const inOneOrder: Relay = (toNode) => {
  toNode(0);
  toNode(1);
};

/** Delivers to the sender's node at once, and to the other one later. */
const ownNodeFirst: Relay = (toNode, from) => {
  toNode(from);
  setTimeout(() => toNode(1 - from), 20);
};

test('finds one order on two nodes, and measures how long messages take to cross', async () => {
  const result = await runOn(inOneOrder);
  expect(sound(result)).toBe(true);
  expect(accepted).toEqual([4, 4]);
  expect(result.cluster?.order).toMatchObject({ promised: true, clients: 4, differing: 0, reordered: 0 });
  expect(result.cluster?.order.messages).toBeGreaterThan(100);
  expect(result.cluster?.crossing.p50).toBeGreaterThan(0);
  expect(result.cluster?.redis).toBeUndefined();
});

test('compares orders and crossings of several generators', async () => {
  const urls = await twoNodes(inOneOrder);
  const result = await new Load({ ...settings, generators: 2, urls }).run();
  expect(sound(result)).toBe(true);
  expect(result.cluster?.order).toMatchObject({ clients: 4, differing: 0 });
  expect(result.cluster?.crossing.p50).toBeGreaterThan(0);
});

test('counts different orders on two nodes as a fault, unless the server does not promise one', async () => {
  const promised = await runOn(ownNodeFirst);
  expect(sound(promised)).toBe(false);
  expect(promised.audit.swapped).toBe(4);
  expect(promised.audit.first).toMatch(/^clients of room 0 on two nodes received different orders$/);
  const unpromised = await runOn(ownNodeFirst, { promisesOrder: false });
  expect(sound(unpromised)).toBe(true);
  expect(unpromised.cluster?.order).toMatchObject({ promised: false, clients: 4, differing: 4 });
  expect(unpromised.cluster?.order.reordered).toBeGreaterThan(10);
  expect(notices(unpromised, ratesOf(unpromised, 8))[0]).toMatch(
    /^The clients of different nodes received .* in different orders \(in all 4 of 4 clients compared, [\d,]+ of/,
  );
  // The round trip stays on one node, and hides the delay.
  expect(unpromised.roundTrip.p50).toBeLessThan(15);
  expect(unpromised.cluster?.crossing.p50).toBeGreaterThan(18);
});

test.each<[string, Partial<LoadSettings>]>([
  ['auditing', {}],
  ['counting', { audit: 0 }],
])('detects on %s clients a message that does not cross to the other node', async (_, overrides) => {
  const loses: Relay = (toNode, from, count) => {
    toNode(from);
    if (count !== 100) toNode(1 - from);
  };
  const result = await runOn(loses, { promisesOrder: false }, overrides);
  expect(sound(result)).toBe(false);
  expect(result.audit.lost).toBe(4); // by each client of the other node
});

/** Starts two nodes that speak `pumphouse.v1`. Message 100 and the next swap places on node 1. */
async function numberedNodes(): Promise<string[]> {
  let seq = 0;
  let kept = '';
  nodes = [0, 1].map(() => new WebSocketServer({ port: 0, host: '127.0.0.1' }));
  const sendTo = (node: number, text: string) => {
    for (const socket of nodes[node]?.clients ?? []) socket.send(text);
  };
  const publish = (data: string) => {
    const text = JSON.stringify({ t: 'message', room: 'lobby', seq: ++seq, id: 'x', from: 'x', at: 1, data });
    sendTo(0, text);
    if (seq === 100) kept = text;
    else sendTo(1, text);
    if (seq === 101) sendTo(1, kept);
  };
  for (const node of nodes) {
    node.on('connection', (socket) => {
      socket.on('message', (message) => {
        const { t, data } = JSON.parse(String(message));
        if (t === 'send') publish(data);
        else socket.send(JSON.stringify({ t: 'joined', room: 'lobby', epoch: 'e', seq, recovered: true }));
      });
    });
  }
  await Promise.all(nodes.map((node) => once(node, 'listening')));
  return nodes.map((node) => `http://127.0.0.1:${(node.address() as AddressInfo).port}/ws`);
}

test('detects on counting clients of v1 a message whose number is not above the one before', async () => {
  const urls = await numberedNodes();
  const result = await runAt(urls, {}, { wire: 'v1', audit: 0 });
  expect(sound(result)).toBe(false);
  expect(result.audit.swapped).toBe(4); // by each client of node 1
  expect(result.audit.first).toMatch(/^client \d received messages out of sequence$/);
});

/** @returns the answer of Redis to a command. */
async function ask({ url }: RedisServer, command: string): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1', () => socket.write(`${command}\r\n`));
  const [answer] = await once(socket, 'data');
  socket.destroy();
  return String(answer);
}

const foldersOfRedis = () => readdirSync(tmpdir()).filter((name) => name.startsWith('pumphouse-bench-redis-'));

test.runIf(hasRedis)('starts a Redis without persistence on a free port, and removes its folder', async () => {
  const before = foldersOfRedis();
  const redis = await startRedis('off');
  onTestFinished(() => redis.stop());
  expect(new URL(redis.url).port).not.toBe('6379');
  expect(await ask(redis, 'CONFIG GET appendonly')).toContain('no');
  expect(await ask(redis, 'CONFIG GET save')).toMatch(/save\r\n\$0\r\n/);
  expect(await ask(redis, 'CONFIG GET bind')).toContain('127.0.0.1');
  await redis.stop();
  expect(existsSync(`/proc/${redis.pid}`)).toBe(false);
  expect(foldersOfRedis()).toEqual(before);
});

test.runIf(hasRedis)('starts a Redis with an append-only file', async () => {
  const redis = await startRedis('always');
  onTestFinished(() => redis.stop());
  expect(await ask(redis, 'CONFIG GET appendonly')).toContain('yes');
  expect(await ask(redis, 'CONFIG GET appendfsync')).toContain('always');
});

test.runIf(hasRedis)('stops Redis and the other nodes if one does not start', async () => {
  const before = foldersOfRedis();
  let stopped = 0;
  let started = 0;
  const startNode = async (): Promise<ServerNode> => {
    if (started++ > 0) throw new Error('no node for you');
    return { url: new URL('http://127.0.0.1'), pid: undefined, stop: async () => void stopped++ };
  };
  await expect(startCluster({ nodes: 2, aof: 'off' }, startNode)).rejects.toThrow('no node for you');
  expect(stopped).toBe(1);
  expect(foldersOfRedis()).toEqual(before);
});

test('leaves out the scenarios of several nodes without Redis, with one line', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pumphouse-empty-'));
  try {
    const few = ['--clients', '10', '--senders', '2', '--seconds', '0.2', '--warm-up', '0'];
    const line = 'are left out: redis-server is not installed (Debian: apt-get install redis-server)';
    expect(await bench(['nodes', 'nodes-rooms'], { PATH: folder })).toEqual({
      code: 0,
      stdout: '',
      stderr: `bench: nodes and nodes-rooms ${line}\n`,
    });
    const { code, stdout, stderr } = await bench(['nodes', 'chat', ...few], { PATH: folder });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^load +10 clients/);
    expect(stderr).toBe(`bench: nodes ${line.replace('are', 'is')}\n`);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

const small = { clients: 20, senders: 4, audit: 10, seconds: 0.5, warmUp: 0.2, patience: 2 };
const smallFlags = ['--clients', '20', '--senders', '4', '--audit', '10', '--seconds', '0.5', '--warm-up', '0.2'];

test.runIf(hasRedis).each([
  ['nodes', []],
  ['nodes-rooms', ['--room-size', '4']],
] as const)('finds every message once and in one order at %s', async (name, flags) => {
  const { code, stdout, stderr } = await bench([name, ...smallFlags, '--patience', '2', ...flags, '--json']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const [{ notices, result }] = JSON.parse(stdout).runs;
  expect(notices.filter((notice: string) => notice.startsWith('NOT SOUND'))).toEqual([]);
  expect(result.cluster).toMatchObject({
    nodeCpuSeconds: [expect.any(Number), expect.any(Number)],
    redis: { cpuSeconds: expect.any(Number) },
    order: { promised: true, clients: 5, differing: 0 },
  });
  expect(result.closes).toEqual({});
});

const onRedis = peers.filter(({ contestant }) => contestant.topology === 'cluster');
const hasPeers = hasRedis && existsSync('bench/peers/node_modules/@socket.io/redis-adapter');

test.runIf(hasPeers).each(onRedis.map(({ contestant }) => contestant))(
  'runs two nodes of $name',
  async (contestant) => {
    for (const name of ['nodes', 'nodes-rooms']) {
      const roomSize = name === 'nodes-rooms' ? { roomSize: 4 } : {};
      const trials = trialsOf([jobOf(scenarioNamed(name), { ...small, ...roomSize })], [contestant]);
      const [run] = await runAll({ trials, repeat: 1 }, (load) => load.run());
      expect(run?.sound).toBe(true);
      expect(run?.result.deliveries).toBeGreaterThan(100);
      expect(run?.result.cluster?.order).toMatchObject({ promised: false, clients: 5 });
      expect(run?.result.cluster?.crossing.p50).toBeGreaterThan(0);
      expect(run && report(run)).toMatch(/^Redis +(< )?\d+ % of a core, \d+ MiB; version \S+, without persistence$/m);
    }
  },
  30_000,
);

test('pairs servers of one node and of several with their scenarios', () => {
  const jobs = ['chat', 'nodes'].map((name) => jobOf(scenarioNamed(name)));
  const paired = trialsOf(jobs, [pumphouse(), ...peers.map(({ contestant }) => contestant)]);
  const names = (scenario: string) =>
    paired.filter(({ job }) => job.scenario?.name === scenario).map(({ contestant }) => contestant.name);
  expect(names('nodes')).toEqual(['pumphouse', 'socket.io pub/sub', 'socket.io streams']);
  expect(names('chat')).toContain('ws');
  expect(names('chat')).not.toContain('socket.io streams');
  const versions = JSON.parse(readFileSync('bench/peers/package.json', 'utf8')).dependencies;
  expect(Object.keys(versions)).toEqual(
    expect.arrayContaining(['@socket.io/redis-adapter', '@socket.io/redis-streams-adapter', 'redis']),
  );
});
