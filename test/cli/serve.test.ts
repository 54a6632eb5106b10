import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { closes } from '../../src/protocol/close-codes.ts';
import { peer, sluggard, transports, until } from '../integration/server.ts';
import { built } from '../server.ts';
import { type Running, run, serving } from './command.ts';

const OFF = ['--publish-rate', 'off'];

describe.each(transports)('pumphouse serve on %s', (transport) => {
  let running: Running | undefined;
  afterEach(() => running?.process.kill('SIGKILL'));

  const start = async (...args: string[]) => {
    const server = await serving(['--transport', transport, ...args]);
    running = server.running;
    return server;
  };

  test.each<NodeJS.Signals>(['SIGINT', 'SIGTERM'])(
    '%s delivers accepted messages, closes clients with 1001, and exits with 0',
    async (signal) => {
      const { running, port } = await start(...OFF);
      const [ada, bob] = [await peer(port), await peer(port)];
      for (let i = 0; i < 500; i++) ada.socket.send(`message ${i}`);
      await until('the first message arrives', () => bob.messages().length > 0);
      const { code } = await running.end(signal);
      expect(await Promise.all([ada.closed, bob.closed])).toEqual(
        [1001, 1001].map((code) => ({ code, reason: closes.goingAway.reason })),
      );
      expect(code).toBe(0);
      expect(bob.messages()).toEqual(bob.messages().map((_, i) => `message ${i}`));
      expect(running.log.map(({ msg }) => msg)).toEqual(expect.arrayContaining(['shutting down', 'closed', 'stopped']));
    },
  );

  test('a client that stops reading delays the shutdown by at most the drain window', async () => {
    const { running, port } = await start(...OFF, '--drain-window', '1', '--log-level', 'debug');
    await sluggard(port);
    const ada = await peer(port);
    while (!running.log.some(({ msg }) => msg === 'lagging')) {
      const received = ada.messages().length;
      for (let i = 0; i < 2_000; i++) ada.socket.send('x'.repeat(500));
      await until('ada has received every message', () => ada.messages().length >= received + 2_000);
    }
    const stoppedAt = Date.now();
    const { code } = await running.end();
    expect(code).toBe(0);
    expect(Date.now() - stoppedAt).toBeLessThan(3_000);
    expect((await ada.closed).code).toBe(1001);
    expect(running.log.map(({ msg }) => msg)).toContain('stopped'); // the storage is closed first
  });

  test('reports the same close code in the frame, the log and the metric', async () => {
    const { running, port, url } = await start('--publish-rate', '1:2');
    const [oversized, flooding, polite] = [await peer(port), await peer(port), await peer(port)];
    oversized.socket.send('x'.repeat(513));
    for (let i = 0; i < 3; i++) flooding.socket.send('me');
    polite.socket.close(1000, 'bye');
    const codes = (await Promise.all([oversized.closed, flooding.closed, polite.closed])).map(({ code }) => code);
    expect(codes).toEqual([1009, closes.rateExceeded.code, 1000]);
    await until('every close is logged', () => running.log.filter(({ msg }) => msg === 'closed').length === 3);
    const logged = running.log.filter(({ msg }) => msg === 'closed');
    expect(logged.map(({ code, by }) => `${code} ${by}`).sort()).toEqual(['1000 peer', '1009 server', '4003 server']);
    const metrics = await (await fetch(`${url}/metrics`)).text();
    for (const [code, by] of [
      [1009, 'server'],
      [4003, 'server'],
      [1000, 'peer'],
    ]) {
      expect(metrics).toContain(`pumphouse_closes_total{code="${code}",by="${by}"} 1`);
    }
  });

  test('closes the storage even without a drain window', async () => {
    const { running, port } = await start(...OFF, '--drain-window', '0');
    await sluggard(port);
    const { code } = await running.end();
    expect(code).toBe(0);
    expect(running.log.map(({ msg }) => msg)).toContain('stopped');
  });

  test('exits at once on a second signal', async () => {
    const { running, port } = await start('--drain-window', '60');
    const tcp = await sluggard(port); // never answers the close frame
    running.process.kill('SIGTERM');
    await running.line('shutting down');
    const { code } = await running.end('SIGTERM');
    expect(code).toBe(143);
    tcp.destroy();
  });
});

describe.each(transports)('a server on %s', (transport) => {
  let server: Awaited<ReturnType<typeof serving>>;
  beforeAll(async () => {
    server = await serving(['--transport', transport]);
  });
  afterAll(async () => {
    expect((await server.running.end()).code).toBe(0);
  });

  test('logs JSON without a terminal: transport, wire, engine and address', async () => {
    const line = await server.running.line('serves');
    expect(line).toMatchObject({ level: 30, transport, wire: 'auto', engine: 'memory' });
  });

  test('reports its health, serves the page, and rejects requests that are not handshakes', async () => {
    const { url } = server;
    const [health, live, ready, page, plain, foreign] = await Promise.all([
      fetch(`${url}/healthz`),
      fetch(`${url}/livez`),
      fetch(`${url}/readyz`),
      fetch(url),
      fetch(`${url}/ws`),
      fetch(`${url}/elsewhere`, { method: 'POST', body: 'x' }),
    ]);
    expect([health, live, ready].map(({ status }) => status)).toEqual([200, 200, 200]);
    expect([page.status, plain.status, foreign.status]).toEqual([200, 400, 404]);
    expect(await (await fetch(`${url}/metrics`)).text()).toContain('pumphouse_engine_ready 1\n');
    expect(await page.text()).toContain('<title>Pumphouse</title>');
  });

  test('rejects handshakes from foreign origins', async () => {
    const { port } = server;
    const { WebSocket } = await import('ws');
    const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`, { origin: 'http://evil.example' });
    const [, response] = await once(socket, 'unexpected-response');
    expect(response.statusCode).toBe(403);
    response.destroy();
  });
});

test.each<NodeJS.Signals>(['SIGINT', 'SIGTERM'])('%s stops a server that has just reported ready', async (signal) => {
  const signalsWhenReady = `
    import fs from 'node:fs';
    import { syncBuiltinESMExports } from 'node:module';
    for (const name of ['write', 'writeSync']) {
      const write = fs[name];
      fs[name] = (fd, data, ...rest) => {
        if (String(data).includes('serves http')) process.kill(process.pid, '${signal}');
        return write(fd, data, ...rest);
      };
    }
    syncBuiltinESMExports();`;
  const preload = `--import=data:text/javascript,${encodeURIComponent(signalsWhenReady)}`;
  const ran = await run(['serve', '--port', '0', '--engine', 'memory'], { NODE_OPTIONS: preload });
  expect(ran).toMatchObject({ code: 0, stdout: expect.stringContaining('stopped') });
});

test('logs readable lines on a terminal', async (context) => {
  context.skip(!existsSync('/usr/bin/script'), 'no terminal available: /usr/bin/script is missing');
  const command = `timeout -s INT 15 ${process.execPath} ${built.join(' ')} serve --port 0 --engine memory`;
  const child = spawn('script', ['-qec', command, '/dev/null']);
  let stdout = '';
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  for (let i = 0; i < 1500 && !stdout.includes('serves'); i++) await new Promise((resolve) => setTimeout(resolve, 10));
  child.kill();
  expect(stdout).toMatch(/\[\d\d:\d\d:\d\d\.\d\d\d\].*INFO.*: .*pumphouse serves http:\/\/127\.0\.0\.1:\d+/);
  expect(stdout).not.toContain('{"level"');
});

test('batches messages of a room as configured in the file', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pumphouse-'));
  const config = join(folder, 'c.json');
  writeFileSync(config, '{ "publishRate": "off", "rooms": { "lobby": { "coalesce": { "maxDelayMs": 200 } } } }');
  const { running, port } = await serving(['--config', config]);
  const ada = await peer(port);
  for (let i = 0; i < 10; i++) {
    ada.socket.send(`${i}`);
    await new Promise((resolve) => setTimeout(resolve, 5)); // each in its own turn of the Hub
  }
  await until('every message arrives', () => ada.messages().length === 10);
  expect(ada.frames.length).toBeLessThan(4);
  await running.end();
  rmSync(folder, { recursive: true });
});
