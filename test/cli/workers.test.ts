import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import { SignJWT } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { sharedPortProblem } from '../../src/config/shared-ports.ts';
import { closes } from '../../src/protocol/close-codes.ts';
import { Peer } from '../conformance/server.ts';
import { peer, sluggard, transports, until } from '../integration/server.ts';
import { type Line, Running, run, serving } from './command.ts';

const able = transports.filter((transport) => sharedPortProblem(transport) === undefined);
if (able.length === 0) console.log('skipped: several workers, which cannot share a port here');

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pumphouse-workers-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Writes a hooks file whose second worker does something after a while. */
function hooksFile(name: string, deed: string): string {
  const path = join(folder, name);
  const source = `import { threadId } from 'node:worker_threads';
    export const join = () => true;
    if (threadId === 2) setTimeout(() => { ${deed} }, 1_500);`;
  writeFileSync(path, source);
  return path;
}

/** The number of the worker of each line with a message. */
const workersOf = (lines: readonly Line[], message: string) =>
  new Set(lines.filter(({ msg }) => msg === message).map(({ worker }) => worker));

/** Returns the samples of a metric, by labels. */
function samplesOf(page: string, name: string): Record<string, number> {
  const lines = page.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
  return Object.fromEntries(
    lines.map((line) => [line.slice(name.length, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]),
  );
}

const sum = (samples: Record<string, number>) => Object.values(samples).reduce((a, b) => a + b, 0);

test.runIf(able.length > 0)('npm start -- --workers 2 serves from the sources', { timeout: 60_000 }, async () => {
  const { start } = JSON.parse(readFileSync('package.json', 'utf8')).scripts;
  const [node, ...program] = start.split(' ');
  expect(node).toBe('node');
  const running = new Running(['--workers', '2', '--port', '0', '--engine', 'memory'], {}, program);
  const { msg, workers } = await running.line('serves http', 45_000);
  expect(workers).toBe(2);
  const page = await fetch(/https?:\S+/.exec(String(msg))?.[0] as string);
  expect(await page.text()).toContain('<title>');
  expect(await running.end()).toMatchObject({ code: 0, stderr: '' });
});

describe.each(able)('pumphouse serve --workers 2 on %s', (transport) => {
  let running: Running | undefined;
  afterEach(() => running?.process.kill('SIGKILL'));

  const start = async (...args: string[]) => {
    const server = await serving(['--transport', transport, '--workers', '2', ...args]);
    running = server.running;
    return server;
  };

  test('the settings of rooms apply in both workers, which share the limit of a user', async () => {
    const config = join(folder, `rooms-${transport}.json`);
    const publishRate = { perSecond: 1, burst: 4 };
    writeFileSync(config, JSON.stringify({ publishRate: 'off', rooms: { 'news:*': { publishRate } } }));
    const secret = 'x'.repeat(32);
    const { running, port } = await start('--config', config, '--auth', 'jwt', '--jwt-secret', secret);
    const jwt = new SignJWT({ sub: 'ada' }).setProtectedHeader({ alg: 'HS256' }).setExpirationTime('1h');
    const token = await jwt.sign(Buffer.from(secret));
    const peers = await Promise.all(Array.from({ length: 12 }, () => Peer.connect(port, `?token=${token}`)));
    const started = performance.now();
    const stored = await Promise.all(
      peers.map(async (peer) => {
        await peer.join('news:a');
        for (let i = 0; i < 6; i++) peer.send({ t: 'send', room: 'news:a', id: `${i}`, data: i });
        const decided = () => peer.got.filter(({ t }) => t === 'sent' || t === 'error');
        await until('every message is decided', () => decided().length === 6);
        return decided().filter(({ t }) => t === 'sent').length;
      }),
    );
    const total = stored.reduce((a, b) => a + b);
    const seconds = Math.ceil((performance.now() - started) / 1000);
    expect(Math.max(...stored)).toBeLessThanOrEqual(4 + seconds);
    expect(total).toBeGreaterThanOrEqual(8);
    expect(total).toBeLessThanOrEqual(8 + 2 * seconds);
    expect((await running.end()).code).toBe(0);
  });

  test('clients of both workers share rooms and resume sessions, and SIGTERM closes all of them', async () => {
    const { running, port } = await start('--publish-rate', 'off');
    const line = await running.line('serves');
    expect(line).toMatchObject({ workers: 2, transport, wire: 'auto', engine: 'memory' });
    expect(line).not.toHaveProperty('worker');
    const peers = await Promise.all(Array.from({ length: 200 }, () => peer(port)));
    // A client joins after its handshake, once its worker has the room.
    let sent = 0;
    while (!peers.every(({ messages }) => messages().length > 0)) {
      peers[0]?.socket.send(`ready ${sent++}`);
      await sleep(100);
    }
    for (const [i, { socket }] of peers.slice(0, 20).entries()) socket.send(`message ${i}`);
    sent += 20;
    const received = ({ messages }: (typeof peers)[number]) => messages().filter((text) => text.startsWith('message'));
    await until('every message arrives', () => peers.every((one) => received(one).length === 20));
    const [first, ...others] = peers.map(received);
    for (const messages of others) expect(messages).toEqual(first);

    const page = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    const connections = samplesOf(page, 'pumphouse_connections');
    expect(Object.keys(connections)).toEqual(['{worker="1"}', '{worker="2"}']);
    for (const count of Object.values(connections)) expect(count).toBeGreaterThan(50);
    const heapSpaces = samplesOf(page, 'nodejs_heap_space_size_total_bytes');
    // V8 itself would have let it grow to 16 MiB during the start.
    for (const worker of [1, 2])
      expect(heapSpaces[`{space="new",worker="${worker}"}`]).toBeLessThanOrEqual(8 * 2 ** 20);
    expect(sum(connections)).toBe(200);
    expect(samplesOf(page, 'pumphouse_connects_total')).toEqual({ '': 200 });
    expect(samplesOf(page, 'pumphouse_messages_total')).toEqual({ '': sent });
    expect(samplesOf(page, 'pumphouse_engine_ready')).toEqual({ '': 1 });
    expect(Object.keys(samplesOf(page, 'process_cpu_seconds_total'))).toEqual(['']);
    const threads = ['{worker="1"}', '{worker="2"}', '{worker="log"}'];
    for (const name of ['nodejs_heap_size_used_bytes', 'nodejs_eventloop_lag_p99_seconds']) {
      expect(Object.keys(samplesOf(page, name))).toEqual(threads);
    }
    expect(Object.keys(samplesOf(page, 'pumphouse_eventloop_utilization_ratio')).sort()).toEqual(threads);
    expect(Object.keys(samplesOf(page, 'pumphouse_ring_full_total'))).toEqual(threads.slice(0, 2));
    expect(Object.keys(samplesOf(page, 'pumphouse_ring_fill_ratio'))).toHaveLength(4);
    expect(page).not.toMatch(/unanswered_scrapes_total\{/);
    const names = page.split('\n').filter((text) => text.startsWith('# TYPE '));
    expect(new Set(names).size).toBe(names.length);

    // Each connection is on the worker that the kernel chooses.
    for (let i = 0; i < 4; i++) {
      const first = await Peer.connect(port);
      const { resume, session } = await first.next('welcome');
      const second = await Peer.connect(port, '', [`resume.${resume}`]);
      expect(await second.next('welcome')).toMatchObject({ session });
      expect(await second.join('r')).toMatchObject({ room: 'r' });
    }

    const { code, stderr } = await running.end();
    expect([code, stderr]).toEqual([0, '']);
    for (const { closed } of peers) expect(await closed).toEqual({ code: 1001, reason: closes.goingAway.reason });
    expect(workersOf(running.log, 'closed')).toEqual(new Set([1, 2]));
    expect(running.log.filter(({ msg }) => msg === 'closed')).toHaveLength(208);
    expect(workersOf(running.log, 'stopped')).toEqual(new Set([undefined]));
  });

  test('stores rooms on disk for the next process, and answers its probes', async () => {
    const args = ['--engine', 'lmdb', '--data', mkdtempSync(join(folder, 'data-'))];
    const { running, port: firstPort, url } = await start(...args);
    const probes = await Promise.all(['livez', 'readyz', 'healthz'].map((path) => fetch(`${url}/${path}`)));
    expect(probes.map(({ status }) => status)).toEqual([200, 200, 200]);
    const bob = await Peer.connect(firstPort, '?room=kept');
    for (const id of ['a', 'b', 'c']) bob.send({ t: 'send', room: 'kept', id, data: id });
    for (const seq of [1, 2, 3]) expect(await bob.next('sent')).toMatchObject({ seq });
    expect((await running.end()).code).toBe(0);
    const { running: next, port } = await start(...args);
    const ada = await Peer.connect(port, '?room=kept');
    expect(await ada.next('joined')).toMatchObject({ room: 'kept', seq: 3 });
    expect((await next.end('SIGINT')).code).toBe(0);
  });

  test('a second signal ends the process at once', async () => {
    const { running, port } = await start('--drain-window', '60');
    const tcp = await sluggard(port); // never answers the close frame
    running.process.kill('SIGTERM');
    await running.line('shutting down');
    const { code, stderr } = await running.end('SIGTERM');
    tcp.destroy();
    expect([code, stderr]).toEqual([143, '']);
  });

  test.each([
    ['throws.mjs', 'throw new Error("no database");', 'no database'],
    ['exits.mjs', 'process.exit(7);', 'the thread has ended with exit code 7'],
  ])('a worker that crashes ends the process with 1: %s', async (name, deed, message) => {
    const { running } = await start('--hooks', hooksFile(name, deed));
    const { code, stderr } = await running.ended;
    expect([code, stderr]).toEqual([1, '']);
    const lines = running.log.filter(({ level }) => level === 60);
    expect(lines).toMatchObject([{ worker: 2, msg: 'worker 2 crashed', err: { message } }]);
  });

  test('SIGHUP renews the certificates of all workers', async () => {
    const paths = ['--tls-cert', join(folder, 'cert.pem'), '--tls-key', join(folder, 'key.pem')];
    for (const name of ['one', 'two']) await run(['gen-cert', '--out', join(folder, name), '--host', `${name}.test`]);
    const install = (name: string) => {
      for (const file of ['cert.pem', 'key.pem']) copyFileSync(join(folder, name, file), join(folder, file));
    };
    const names = async (port: number) => {
      const sockets = Array.from({ length: 20 }, () => connect({ port, host: '127.0.0.1', rejectUnauthorized: false }));
      await Promise.all(sockets.map((socket) => once(socket, 'secureConnect')));
      const seen = sockets.map((socket) => socket.getPeerCertificate().subjectaltname);
      for (const socket of sockets) socket.destroy();
      return [...new Set(seen)];
    };
    install('one');
    const { running, port } = await start(...paths);
    expect(await names(port)).toEqual([expect.stringContaining('one.test')]);
    install('two');
    running.process.kill('SIGHUP');
    await running.line('certificates are read again');
    expect(await names(port)).toEqual([expect.stringContaining('two.test')]);
    writeFileSync(join(folder, 'cert.pem'), 'garbage');
    running.process.kill('SIGHUP');
    await running.line('the old ones stay');
    expect(running.log.filter(({ level }) => Number(level) >= 50)).toHaveLength(1);
    expect(await names(port)).toEqual([expect.stringContaining('two.test')]);
    expect((await running.end()).code).toBe(0);
  });

  test('prints one line and exits with 2 when it cannot start', async () => {
    const holder = createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    const { port } = holder.address() as { port: number };
    const free = join(folder, 'same.json');
    const bad = join(folder, 'bad.mjs');
    writeFileSync(free, JSON.stringify({ listeners: [{ port: 39_411 }, { port: 39_411 }] }));
    writeFileSync(bad, 'export const jion = () => true;');
    const serve = (...args: string[]) =>
      run(['serve', '--workers', '2', '--engine', 'memory', '--transport', transport, ...args]);
    const rans = await Promise.all([
      serve('--port', `${port}`),
      serve('--config', free),
      serve('--port', '0', '--hooks', bad),
      serve('--port', '0', '--auth', 'otp', '--users', join(folder, 'nobody.json')),
    ]);
    holder.close();
    expect(rans.map(({ code }) => code)).toEqual([2, 2, 2, 2]);
    expect(rans.map(({ stderr }) => stderr)).toEqual([
      `pumphouse: port ${port} on 127.0.0.1 is in use; choose another with --port\n`,
      'pumphouse: port 39411 on 127.0.0.1 is in use; choose another in "listeners"\n',
      `pumphouse: the hooks file ${bad} exports "jion", which is no hook; did you mean "join"?\n`,
      expect.stringMatching(/^pumphouse: .*nobody\.json.*; create it with pumphouse user add NAME --users .*\n$/),
    ]);
  });
});
