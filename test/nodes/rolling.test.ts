import { Agent, get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findRedis } from '../redis/install.ts';
import { RedisProcess } from '../redis/redis-process.ts';
import { waitUntil } from '../redis/wait.ts';
import { Crowd } from './crowd.ts';
import { type NodeProcess, startNodes } from './node-process.ts';
import { RecordingClient } from './recording-client.ts';

const TIMEOUT_MS = 60_000;

const redis = await findRedis();
beforeEach((context) => context.skip(!redis.path, redis.reason));

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(count: number, ...flags: readonly string[]): Promise<[RedisProcess, ...NodeProcess[]]> {
  const server = await RedisProcess.start({ appendFsync: 'everysec' });
  cleanups.push(() => server.stop());
  const nodes = await startNodes(count, { redis: [server.url], ready: '/readyz', flags });
  cleanups.push(() => Promise.all(nodes.map((node) => node.kill())));
  return [server, ...nodes];
}

/** Returns what ended each connection that a client had: `drain 1001`, or the code alone. */
function endings({ history }: RecordingClient): string[] {
  const ended: string[] = [];
  let isOpen = false;
  let drained = '';
  for (const event of history.events) {
    if (event.kind === 'opened') isOpen = true;
    if (event.kind === 'drain') drained = 'drain ';
    if (event.kind !== 'closed') continue;
    if (isOpen) ended.push(`${drained}${event.code}`); // otherwise the node had refused it
    isOpen = false;
    drained = '';
  }
  return ended;
}

/** Requests paths on one connection, which a node that is draining still serves. */
class KeptConnection {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #port: number;

  constructor(port: number) {
    this.#port = port;
    cleanups.push(() => this.#agent.destroy());
  }

  /** Returns the status and the text; undefined without an answer. */
  get(path: string): Promise<string | undefined> {
    return new Promise((resolve) => {
      const request = get({ port: this.#port, host: '127.0.0.1', path, agent: this.#agent }, (response) => {
        let text = '';
        response.on('data', (chunk) => {
          text += chunk;
        });
        response.on('end', () => resolve(`${response.statusCode} ${text.trim()}`));
      });
      request.on('error', () => resolve(undefined));
    });
  }
}

test(
  'a rolling restart under load closes nobody without a drain, and loses and repeats no message',
  async () => {
    const [, ...nodes] = await start(3);
    const crowd = new Crowd({ ports: nodes.map(({ port }) => port) });
    cleanups.push(() => crowd.stop());
    await crowd.joined();
    crowd.start();
    for (const node of nodes) {
      await sleep(300);
      await node.restart('SIGTERM'); // waits for /readyz
    }
    await sleep(300);
    expect(await crowd.check()).toEqual([]);
    const ended = crowd.clients.flatMap(endings);
    expect(ended.length).toBeGreaterThanOrEqual(crowd.clients.length);
    expect(new Set(ended)).toEqual(new Set(['drain 1001']));
    for (const client of crowd.clients) {
      expect(client.events('joined').filter(({ recovered, lost }) => !recovered || lost)).toEqual([]);
      expect(client.events('gap')).toEqual([]);
      expect(new Set(client.events('welcome').map(({ session }) => session)).size).toBe(1);
    }
    expect(crowd.acknowledged).toBeGreaterThan(100);
  },
  TIMEOUT_MS,
);

test(
  'a draining node is alive and not ready, and takes in nobody',
  async () => {
    const [, node] = (await start(1, '--drain-window', '3')) as [RedisProcess, NodeProcess];
    // It does not answer the close frame, so that the drain lasts for its window.
    const stuck = new RecordingClient({ name: 'stuck', ports: [node.port], reconnects: false });
    cleanups.push(() => stuck.stop());
    await waitUntil('it has joined', () => stuck.joined);
    stuck.pauseReading();
    const probe = new KeptConnection(node.port);
    expect(await probe.get('/readyz')).toMatch(/^200/);
    const stopped = node.kill('SIGTERM');
    await waitUntil('the node drains', async () => (await probe.get('/readyz')) === '503 draining', 2_000);
    expect(await probe.get('/livez')).toMatch(/^200/);
    expect(await probe.get('/healthz')).toMatch(/^503/);
    const late = new RecordingClient({ name: 'late', ports: [node.port], reconnects: false });
    cleanups.push(() => late.stop());
    await waitUntil('the connection is refused', () => late.events('closed').length > 0);
    expect(late.events('welcome')).toEqual([]);
    await stopped;
    expect(node.exitCode).toBe(0);
  },
  TIMEOUT_MS,
);

test(
  'a node without its store is alive and not ready, and is ready again when the store is back',
  async () => {
    const [server, node] = (await start(1)) as [RedisProcess, NodeProcess];
    const probe = new KeptConnection(node.port);
    server.pause(); // its connections stay open
    await waitUntil('it is not ready', async () => (await probe.get('/readyz')) === '503 the engine is away');
    expect(await probe.get('/livez')).toMatch(/^200/);
    expect(await probe.get('/healthz')).toMatch(/^200/);
    server.resume();
    await waitUntil('it is ready', async () => /^200/.test((await probe.get('/readyz')) ?? ''));
    await server.kill();
    await waitUntil('it is not ready', async () => (await probe.get('/readyz')) === '503 the engine is away');
    expect(await node.status('/livez')).toBe(200);
    await server.restart();
    await waitUntil('it is ready', async () => (await node.status('/readyz')) === 200);
  },
  TIMEOUT_MS,
);
