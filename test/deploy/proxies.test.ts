import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type Hub } from 'pumphouse/client';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { freePort } from '../../bench/free-port.ts';
import { NodeProcess } from '../nodes/node-process.ts';
import { findRedis } from '../redis/install.ts';
import { RedisProcess } from '../redis/redis-process.ts';
import { waitUntil } from '../redis/wait.ts';
import { built } from '../server.ts';
import { findProgram } from './install.ts';
import { ProgramProcess } from './program-process.ts';
import { replace, type StartProxy, startCaddy, startNginx, temporaryFolder } from './proxies.ts';
import { Talkers } from './talkers.ts';

/** How much faster the time of the idle test passes. With LONG it is the real time. */
const SPEED = process.env['LONG'] ? 1 : 30;
const IDLE_MS = 150_000 / SPEED;
vi.setConfig({ testTimeout: IDLE_MS + 60_000 });

/** An address of this machine that is not the proxy's. */
const CLIENT = '127.0.0.2';
const FORGED = '203.0.113.9';

const redis = await findRedis();
const proxies: [string, StartProxy, Awaited<ReturnType<typeof findProgram>>][] = [
  ['caddy', startCaddy, await findProgram('caddy')],
  ['nginx', startNginx, await findProgram('nginx')],
];

/** Starts a node that trusts the proxies. */
function launchNode(...flags: readonly string[]): Promise<NodeProcess> {
  return NodeProcess.start({ flags: ['--trust-proxy', '127.0.0.1', ...flags] });
}

/** Starts a node that runs until the test ends. */
async function startNode(...flags: readonly string[]): Promise<NodeProcess> {
  const node = await launchNode(...flags);
  onTestFinished(() => node.kill());
  return node;
}

/** A server whose time passes faster. */
async function startFastServer() {
  const clock = `
    const [now, { setTimeout }] = [performance.now.bind(performance), globalThis];
    performance.now = () => now() * ${SPEED};
    globalThis.setTimeout = (work, ms, ...rest) => setTimeout(work, ms / ${SPEED}, ...rest);
  `;
  const port = await freePort();
  const flags = ['serve', '--engine', 'memory', '--port', String(port), '--log-level', 'warn'];
  const preload = `data:text/javascript,${encodeURIComponent(clock)}`;
  const serves = async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).ok;
  const server = await ProgramProcess.start(process.execPath, ['--import', preload, ...built, ...flags], serves);
  return { port, stop: () => server.stop() };
}

// The proxies and their tests share the servers that no test restarts. Only the tests of addresses
// connect to the node whose log they read.
let node: NodeProcess;
let logging: NodeProcess;
let fast: Awaited<ReturnType<typeof startFastServer>>;
beforeAll(async () => {
  if (!proxies.some(([, , { path }]) => path)) return;
  [node, logging, fast] = await Promise.all([launchNode(), launchNode('--log-level', 'info'), startFastServer()]);
});
afterAll(() => Promise.all([node?.kill(), logging?.kill(), fast?.stop()]));

describe.each(proxies)('behind %s', (name, startProxy, { path = '', reason }) => {
  beforeEach((context) => context.skip(!path, reason));

  test('clients chat', async () => {
    const talkers = await Talkers.join(await startProxy(path, [node.port]), 2, `talk-${name}`);
    for (const talker of talkers.all) talker.send();
    expect(await talkers.finish()).toEqual({
      sent: [1, 2],
      received: [
        [1, 2],
        [1, 2],
      ],
      gaps: [],
    });
  });

  test('the server sees the addresses of clients, which they cannot forge', async () => {
    const proxy = await startProxy(path, [logging.port]);
    for (const forged of [FORGED, `${FORGED}, 127.0.0.1`, '']) {
      const logged = logging.log.length;
      const headers = forged ? { 'X-Forwarded-For': forged, 'X-Real-IP': forged, Forwarded: `for=${forged}` } : {};
      const socket = proxy.connect({ localAddress: CLIENT, headers });
      await once(socket, 'open');
      socket.close();
      const lines = () => logging.log.slice(logged).match(/.*"msg":"closed"/g) ?? [];
      await waitUntil('the end of the connection is logged', () => lines().length > 0);
      expect(lines()).toEqual([expect.stringContaining(`"remoteAddress":"${CLIENT}"`)]);
    }
    expect(logging.log).not.toContain(FORGED);
  });

  test('probes and metrics are not reachable from outside', async () => {
    const proxy = await startProxy(path, [node.port]);
    const outside = { localAddress: CLIENT };
    expect(await proxy.status('/', outside)).toBe(200);
    for (const probe of ['/metrics', '/livez', '/readyz', '/healthz']) {
      expect(await proxy.status(probe, outside)).toBe(name === 'caddy' ? 404 : 403);
    }
  });

  test('clients without a WebSocket chat over HTTP, as fast as messages arrive', async () => {
    // As older sites of nginx are, which neither pass upgrades on nor turn the buffering off.
    const withoutUpgrades = (site: string) =>
      name === 'caddy'
        ? replace(site, 'lb_policy least_conn', 'lb_policy least_conn\n\t\theader_up -Upgrade')
        : [
            'proxy_set_header Upgrade $http_upgrade;',
            'proxy_set_header Connection $pumphouse_connection;',
            'proxy_buffering off;',
          ].reduce((text, line) => replace(text, line, ''), site);
    const proxy = await startProxy(path, [node.port], withoutUpgrades);
    const { WebSocket, fetch } = proxy;
    const [ada, bob] = ['ada', 'bob'].map((user) => connect(proxy.url, { user, WebSocket, fetch })) as [Hub, Hub];
    onTestFinished(() => {
      ada.close();
      bob.close();
    });
    const [from, to] = [ada.join<number>(`http-${name}`), bob.join<number>(`http-${name}`)];
    const delays: number[] = [];
    to.on('message', ({ data }) => delays.push(Date.now() - data));
    await waitUntil('both are members', () => from.count === 2 && to.count === 2);
    expect([ada.state, bob.state]).toMatchObject([{ transport: 'http' }, { transport: 'http' }]);
    for (let i = 0; i < 20; i++) await from.send(Date.now());
    await waitUntil('all have arrived', () => delays.length === 20);
    expect(Math.max(...delays)).toBeLessThan(1_000);
  });

  test('an idle connection stays open', async () => {
    const scaled = (site: string) => replace(site, ' 90s;', ` ${90 / SPEED}s;`);
    const proxy = await startProxy(path, [fast.port], name === 'nginx' ? scaled : undefined);
    const socket = proxy.connect();
    onTestFinished(() => socket.terminate());
    let [pings, isClosed] = [0, false];
    socket.on('ping', () => pings++);
    socket.on('close', () => {
      isClosed = true;
    });
    await once(socket, 'open');
    await sleep(IDLE_MS);
    expect(isClosed).toBe(false);
    expect(pings).toBeGreaterThanOrEqual(2);
  });

  test('a restart of a single node loses no message', async () => {
    const node = await startNode('--engine', 'lmdb', '--data', temporaryFolder());
    const talkers = await Talkers.join(await startProxy(path, [node.port]), 3);
    talkers.start();
    await sleep(500);
    await node.restart('SIGTERM');
    await sleep(500);
    const { sent, received, gaps } = await talkers.finish();
    expect(gaps).toEqual([]);
    expect(sent.length).toBeGreaterThan(40);
    expect(sent).toEqual(sent.map((_, i) => i + 1));
    expect(received).toEqual(talkers.all.map(() => sent));
  });

  test('a rolling restart of two nodes loses no message', async (context) => {
    context.skip(!redis.path, redis.reason);
    const server = await RedisProcess.start({ appendFsync: 'everysec' });
    onTestFinished(() => server.stop());
    const nodes = await Promise.all([1, 2].map(() => startNode('--engine', 'redis', '--redis', server.url)));
    const ports = nodes.map(({ port }) => port);
    const talkers = await Talkers.join(await startProxy(path, ports), 4);
    talkers.start();
    for (const node of nodes) {
      await sleep(500);
      await node.restart('SIGTERM');
    }
    await sleep(500);
    const { sent, received, gaps } = await talkers.finish();
    expect(gaps).toEqual([]);
    expect(sent.length).toBeGreaterThan(60);
    expect(sent).toEqual(sent.map((_, i) => i + 1));
    expect(received).toEqual(talkers.all.map(() => sent));
  });
});
