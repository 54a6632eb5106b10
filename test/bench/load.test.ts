import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { Generator } from '../../bench/generator/generator.ts';
import type { GeneratorLink } from '../../bench/generator/remote.ts';
import { Load } from '../../bench/load.ts';
import type { LoadOptions, LoadSettings } from '../../bench/load-options.ts';
import { parseOptions } from '../../bench/options.ts';
import { notices, ratesOf, sound } from '../../bench/report/rates.ts';
import { report } from '../../bench/report/text.ts';
import type { LoadResult } from '../../bench/result.ts';
import { run, serving } from '../cli/command.ts';
import { until } from '../integration/server.ts';
import { bench, pumphouseBench } from './program.ts';

let server: WebSocketServer | undefined;
afterEach(() => {
  for (const socket of server?.clients ?? []) socket.terminate();
  server?.close();
});

/** How a server handles delivery number `count`, to client number `client`. */
type Delivery = (send: () => void, client: number, count: number, socket: WebSocket) => void;

/** Starts a chat server with the given, possibly faulty, delivery. */
async function chatServer(deliver: Delivery): Promise<string> {
  const wss = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  server = wss;
  let count = 0;
  wss.on('connection', (socket) => {
    socket.on('message', (message) => {
      [...wss.clients].forEach((to, client) => {
        deliver(() => to.send(String(message)), client, count++, to);
      });
    });
  });
  await once(wss, 'listening');
  return `http://127.0.0.1:${(wss.address() as AddressInfo).port}/ws`;
}

/**
 * @returns a load with its generator in this process, which starts faster than a process per
 * generator.
 */
function loadInProcess(options: LoadOptions): Load {
  const generator = (share: number): GeneratorLink => {
    const local = new Generator(options, share);
    return {
      call: async (method, ...args) => (local[method] as (...args: unknown[]) => unknown)(...args) as never,
      end() {},
    };
  };
  return new Load(options, {}, generator);
}

const options: LoadSettings = {
  ...(parseOptions([]).jobs[0]?.load as LoadSettings),
  clients: 6,
  senders: 3,
  window: 4,
  bytes: 32,
  seconds: 0.2,
  warmUp: 0.05,
  audit: 6,
  patience: 0.5,
};

test('counts all deliveries of a correct server and finds no fault', async () => {
  let deliveries = 0;
  const url = await chatServer((send) => {
    deliveries++;
    send();
  });
  const result = await loadInProcess({ ...options, urls: [url] }).run();
  expect(sound(result)).toBe(true);
  expect(result.audit.messages).toBe(deliveries);
  expect(result.deliveries).toBeGreaterThan(100);
  expect(result.deliveries).toBeLessThanOrEqual(deliveries);
  expect(result.server).toBeUndefined();
  expect(result.roundTrip.p50).toBeGreaterThan(0);
  expect(result.roundTrip.p50).toBeLessThanOrEqual(result.roundTrip.p99);
});

test('sends at the rate of an open loop whatever the latency', async () => {
  const url = await chatServer((send) => void setTimeout(send, 100));
  const result = await loadInProcess({ ...options, urls: [url], rate: 200, seconds: 0.5, warmUp: 0.2 }).run();
  expect(sound(result)).toBe(true);
  expect(result.messages / result.seconds).toBeGreaterThan(150);
  expect(result.messages / result.seconds).toBeLessThan(250);
  expect(result.roundTrip.p50).toBeGreaterThan(98);
});

test.each<[keyof LoadResult['audit'], Delivery]>([
  ['lost', (send, client, count) => (client === 5 && count > 60 && count < 70 ? undefined : send())],
  [
    'repeated',
    (send, _client, count) => {
      send();
      if (count === 100) send();
    },
  ],
  ['swapped', (send, client, count) => (client === 4 && count > 60 && count < 90 ? void setTimeout(send, 5) : send())],
  [
    'unknown',
    (send, _client, count, socket) => {
      send();
      if (count === 100) socket.send('a foreign message');
    },
  ],
])('detects messages that are %s', async (fault, deliver) => {
  const url = await chatServer(deliver);
  const result = await loadInProcess({ ...options, urls: [url] }).run();
  expect(sound(result)).toBe(false);
  expect(result.audit[fault]).toBeGreaterThan(0);
  expect(notices(result, ratesOf(result, 6))[0]).toMatch(/^NOT SOUND: .* First: client \d received/);
});

test.each<[keyof LoadResult['audit'], Delivery]>([
  ['lost', (send, client, count) => (client === 5 && count > 60 && count < 70 ? undefined : send())],
  [
    'repeated',
    (send, client, count) => {
      send();
      if (client === 5 && count > 60 && count < 67) send();
    },
  ],
])('detects by count a message that is %s on a client without audit', async (fault, deliver) => {
  const url = await chatServer(deliver);
  const result = await loadInProcess({ ...options, audit: 0, urls: [url] }).run();
  expect(sound(result)).toBe(false);
  expect(result.audit).toMatchObject({ clients: 0, [fault]: 1 });
  expect(result.audit.first).toMatch(/^client \d received .* messages, expected .*$/);
});

test('judges the messages of several generators as one load', async () => {
  const url = await chatServer((send) => send());
  const result = await new Load({ ...options, generators: 3, urls: [url] }).run();
  expect(sound(result)).toBe(true);
  expect(result.audit.clients).toBe(6);
  expect(result.roundTrip.p50).toBeGreaterThan(0);
  server?.close();
  // Client 5 receives each sender's messages in order, but those of two senders in the opposite
  // order of other clients.
  const delayed = new Map<number, () => void>();
  const reordering = await chatServer((send, client, count) => {
    const earlier = delayed.get(client);
    if (client === 5 && count > 60 && count < 67) delayed.set(client, send);
    else {
      send();
      earlier?.();
      delayed.delete(client);
    }
  });
  const reordered = await loadInProcess({ ...options, window: 1, generators: 3, urls: [reordering] }).run();
  expect(reordered.audit.swapped).toBeGreaterThan(0);
});

test('detects without an audit a message that does not come back to its sender, and continues', async () => {
  const url = await chatServer((send, client, count) => (client === 0 && count < 60 ? undefined : send()));
  const result = await loadInProcess({ ...options, urls: [url], audit: 0 }).run();
  expect(result.unreturned).toBeGreaterThan(0);
  expect(sound(result)).toBe(false);
  expect(result.deliveries).toBeGreaterThan(100);
});

test('counts clients closed by the server by code, without counting losses', async () => {
  const url = await chatServer((send, client, count, socket) => {
    send();
    if (client === 5 && count > 60) socket.close(4000);
  });
  const result = await loadInProcess({ ...options, urls: [url] }).run();
  expect(result.closes).toEqual({ 4000: 1 });
  expect(sound(result)).toBe(true);
  expect(notices(result, ratesOf(result, 6))).toContainEqual(expect.stringContaining('closed 1 clients'));
});

test('counts slow clients that the server closed, beside those that stay', async () => {
  const url = await chatServer((send, client, count, socket) => {
    send();
    if (client === 6 && count > 60) socket.close(4008); // the first of the clients that never read
  });
  const result = await loadInProcess({ ...options, slow: 2, urls: [url] }).run();
  expect(result.slowCloses).toEqual({ 4008: 1 });
  expect(result.closes).toEqual({});
  expect(sound(result)).toBe(true);
});

test('reports a saturated generator as the bottleneck', async () => {
  const url = await chatServer((send) => send());
  const result = await loadInProcess({ ...options, urls: [url] }).run();
  const withBusy = (busy: number) => ({ ...result, generator: { cpuSeconds: 1, busy } });
  const rates = ratesOf(result, 6);
  expect(notices(withBusy(0.5), { ...rates, serverBusy: 0.99 })).toEqual([]);
  expect(notices(withBusy(0.99), { ...rates, serverBusy: 0.5 })[0]).toMatch(/^The generator was the bottleneck.*50 %/);
  expect(notices(withBusy(0.99), { ...rates, serverBusy: 0.99 })[0]).toContain('both saturated');
});

test('does not count as lost the messages in flight of a client that the server closes', async () => {
  const url = await chatServer((send, _client, count, socket) => {
    if (count < 60) send();
    else if (count < 66) socket.close(4000);
  });
  const result = await loadInProcess({ ...options, urls: [url] }).run();
  expect(result.closes).toEqual({ 4000: 6 });
  expect(sound(result)).toBe(true);
});

test('counts churning clients, which audit what they receive', async () => {
  const url = await chatServer((send) => send());
  const result = await loadInProcess({ ...options, churn: 50, seconds: 0.5, urls: [url] }).run();
  expect(result.came).toBeGreaterThan(15);
  expect(result.audit.clients).toBe(6 + result.came);
  expect(sound(result)).toBe(true);
  expect(result.churnCloses).toEqual({});
});

/** Injects a fault into the messages of one turn. */
type Inject = (messages: string[], at: number) => void;

/** The number of messages from one fault to the next. */
const FAULT_INTERVAL = 100_000;

/**
 * Starts a fast server with a fault in one of 100,000 messages, for one client or for all of them.
 */
async function rarelyFaultyServer(inject: Inject, allClients: boolean): Promise<{ url: string; faults: () => number }> {
  const wss = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false });
  server = wss;
  let turn: string[] = [];
  let flushed = 0;
  let faults = 0;
  let next = 1000 + Math.floor(Math.random() * 10_000);
  const flush = () => {
    const [messages, first] = [turn, flushed];
    turn = [];
    flushed += messages.length;
    const altered = [...messages];
    if (next < flushed - 1 && next >= first) {
      inject(altered, next - first);
      next += FAULT_INTERVAL;
      faults++;
    } else if (next < flushed) next = flushed; // the last message of a turn has no successor to swap with
    let client = 0;
    for (const socket of wss.clients) socket.send((allClients || client++ === 2 ? altered : messages).join('\n'));
  };
  wss.on('connection', (socket) => {
    socket.on('message', (message) => {
      if (turn.push(String(message)) === 1) setImmediate(flush);
    });
  });
  await once(wss, 'listening');
  return { url: `http://127.0.0.1:${(wss.address() as AddressInfo).port}/ws`, faults: () => faults };
}

test.each<[keyof LoadResult['audit'], Inject]>([
  ['lost', (messages, at) => void messages.splice(at, 1)],
  ['repeated', (messages, at) => void messages.splice(at, 0, messages[at] as string)],
  ['swapped', (messages, at) => void messages.splice(at, 2, messages[at + 1] as string, messages[at] as string)],
])('detects one message in 100,000 that is %s, for all clients or for one of them', async (fault, inject) => {
  for (const allClients of [true, false]) {
    const { url, faults } = await rarelyFaultyServer(inject, allClients);
    const many = { clients: 6, senders: 3, audit: 6, window: 400, seconds: 0.4, warmUp: 0.1 };
    const result = await loadInProcess({ ...options, ...many, urls: [url] }).run();
    expect(faults()).toBeGreaterThan(0);
    expect(sound(result)).toBe(false);
    const { lost, repeated, swapped, unknown } = result.audit;
    const detected = fault === 'swapped' ? swapped : { lost, repeated }[fault as 'lost' | 'repeated'];
    expect(detected + result.unreturned).toBeGreaterThan(0);
    expect(unknown).toBe(0);
    server?.close();
    for (const socket of server?.clients ?? []) socket.terminate();
  }
});

test('starts a server, loads it, finds no fault, and stops it', async () => {
  const small = [
    '--clients',
    '30',
    '--senders',
    '10',
    '--window',
    '4',
    '--seconds',
    '0.5',
    '--warm-up',
    '0.2',
    '--slow',
    '2',
  ];
  const { code, stdout, stderr } = await pumphouseBench([...small, '--json']);
  expect(stderr).toBe('');
  expect(code).toBe(0);
  const { conditions, runs } = JSON.parse(stdout);
  expect(conditions).toMatchObject({ node: process.version, cores: expect.any(Number), kernel: expect.any(String) });
  expect(runs).toMatchObject([
    {
      sound: true,
      load: { clients: 30, senders: 10 },
      result: { audit: { clients: 10, lost: 0, repeated: 0, swapped: 0, unknown: 0 }, closes: {}, unreturned: 0 },
    },
  ]);
  expect(runs[0].rates.deliveriesPerCpuSecond).toBeGreaterThan(1000);
  expect(runs[0].rates.bytesPerConnection).toBeTypeOf('number');
});

test.runIf(existsSync('/proc/self/stat'))('runs the ordinary load on disk and reports user CPU time', async () => {
  const { code, stdout, stderr } = await bench(['ordinary', '--seconds', '1', '--warm-up', '0.2', '--json']);
  expect(stderr).toBe('');
  expect(code).toBe(0);
  const [{ load, result, rates, sound }] = JSON.parse(stdout).runs;
  expect(sound).toBe(true);
  expect(load).toMatchObject({ wire: 'v1', clients: 100, senders: 10, rate: 1000, bytes: 64 });
  expect(rates.messagesPerSecond).toBeGreaterThan(700);
  expect(result.server.userCpuSeconds).toBeGreaterThan(0);
  expect(result.server.userCpuSeconds).toBeLessThanOrEqual(result.server.cpuSeconds);
  expect(rates.serverUserBusy).toBeCloseTo(result.server.userCpuSeconds / result.seconds);
});

test('reports as not measured what depends on the process of a server without one', async () => {
  const url = await chatServer((send) => send());
  const few = ['--url', url, '--clients', '6', '--senders', '3', '--seconds', '0.2', '--warm-up', '0'];
  const [run] = JSON.parse((await bench([...few, '--json'])).stdout).runs;
  const text = report(run);
  expect(text).toMatch(/^server CPU +not measured: /m);
  expect(text).toMatch(/^server memory +not measured: /m);
  expect(text).not.toContain('KiB');
  const { result, rates } = run;
  expect(result).not.toHaveProperty('server');
  const derived = ['serverBusy', 'serverUserBusy', 'deliveriesPerCpuSecond', 'microsPerDelivery', 'bytesPerConnection'];
  expect(derived.filter((name) => name in rates)).toEqual([]);
}, 30_000);

test('measures the CPU time of a running Pumphouse by its metrics, but no growth of its memory', async () => {
  const { running, port } = await serving(['--publish-rate', 'off']);
  const few = ['--clients', '6', '--senders', '3', '--seconds', '0.3', '--warm-up', '0'];
  const { code, stdout } = await bench(['--url', `ws://127.0.0.1:${port}`, ...few, '--json']);
  await running.end('SIGKILL');
  expect(code).toBe(0);
  const [{ result, rates }] = JSON.parse(stdout).runs;
  expect(rates.serverBusy).toBeGreaterThan(0);
  expect(result.server.memory.most).toBeGreaterThan(0);
  // The server was running before: memory that earlier clients left would count as negative growth.
  expect(result.server.memory).not.toHaveProperty('before');
  expect(rates).not.toHaveProperty('bytesPerConnection');
});

test.runIf(process.platform === 'linux')('leaves no server and no process after an interrupt', async () => {
  const bench = spawn(process.execPath, [
    'dist/cli.js',
    'bench',
    '--clients',
    '10',
    '--senders',
    '1',
    '--seconds',
    '60',
  ]);
  const children = (pid: number) =>
    readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number);
  let started: number[] = [];
  await until('the load has started', () => {
    const [program = 0] = children(bench.pid as number);
    started = program ? [program, ...children(program)] : [];
    return started.length >= 3; // bench, a server, a generator
  });
  bench.kill('SIGTERM');
  expect((await once(bench, 'exit'))[0]).toBe(143);
  await until('all processes have exited', () => !started.some((pid) => existsSync(`/proc/${pid}`)));
});

test('prints one table for several scenarios and runs, each on its own server', async () => {
  const small = ['--clients', '30', '--senders', '5', '--seconds', '0.3', '--warm-up', '0.1', '--repeat', '2'];
  const { code, stdout } = await bench(['durable', 'coalescing-20', ...small]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^durable .* sound$/m);
  expect(stdout).toMatch(/^coalescing-20 .* sound$/m);
  expect(stdout).toMatch(/cores of .*, Node v/);
}, 60_000);

test('loads a server behind TLS', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pumphouse-bench-'));
  try {
    expect((await run(['gen-cert', '--out', folder])).code).toBe(0);
    const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
    const { running, port } = await serving(['--tls-cert', cert, '--tls-key', key, '--publish-rate', 'off']);
    const few = ['--clients', '6', '--senders', '3', '--seconds', '0.3', '--warm-up', '0', '--wire', 'v1'];
    const args = ['--url', `wss://localhost:${port}`, ...few, '--json'];
    const { code, stdout, stderr } = await bench(args, { NODE_EXTRA_CA_CERTS: cert });
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(JSON.parse(stdout).runs[0].result.deliveries).toBeGreaterThan(10);
    const distrusting = await bench(args);
    expect(distrusting).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^bench: cannot connect .*certificate/),
    });
    await running.end('SIGKILL');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('exits with 1 after a loss and reports it', async () => {
  const url = await chatServer((send, client, count) =>
    client === 5 && count > 60 && count < 67 ? undefined : send(),
  );
  const few = ['--clients', '6', '--senders', '3', '--seconds', '0.2', '--warm-up', '0', '--patience', '0.5'];
  const { code, stdout } = await bench(['--url', url, ...few]);
  expect(stdout).toContain('NOT SOUND');
  expect(stdout).toContain('1 lost');
  expect(code).toBe(1);
}, 30_000);

test('prints one line and exits with 1 without a server, and with 2 for an invalid option', async () => {
  const [unreachable, invalid] = await Promise.all([
    pumphouseBench(['--url', 'ws://127.0.0.1:1']),
    pumphouseBench(['--clients', 'x']),
  ]);
  expect(unreachable).toMatchObject({ code: 1, stdout: '' });
  expect(unreachable.stderr).toMatch(/^bench: cannot connect to .*ECONNREFUSED.*\n$/);
  expect(invalid).toMatchObject({ code: 2, stdout: '' });
  expect(invalid.stderr).toMatch(/^bench: option '--clients <N>' argument 'x' is invalid.*\n$/);
});
