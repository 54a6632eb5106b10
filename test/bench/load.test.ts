import { execFile, spawn } from 'node:child_process';
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
import type { LoadResult } from '../../bench/result.ts';
import { run, serving } from '../cli/command.ts';
import { until } from '../integration/server.ts';

let server: WebSocketServer | undefined;
afterEach(() => {
  for (const socket of server?.clients ?? []) socket.terminate();
  server?.close();
});

/** What a server does with the `count`th delivery, to the `client`th client. */
type Delivery = (send: () => void, client: number, count: number, socket: WebSocket) => void;

/** A chat server that may do it wrong. */
async function faulty(deliver: Delivery): Promise<string> {
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

/** A load whose generator is in the process of the test: most need no other, which takes its time to start. */
function loading(options: LoadOptions): Load {
  const generator = (share: number): GeneratorLink => {
    const here = new Generator(options, share);
    return {
      call: async (method, ...args) => (here[method] as (...args: unknown[]) => unknown)(...args) as never,
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

test('a server that delivers everything is found sound, and what it delivered is counted', async () => {
  let deliveries = 0;
  const url = await faulty((send) => {
    deliveries++;
    send();
  });
  const result = await loading({ ...options, url }).run();
  expect(sound(result)).toBe(true);
  expect(result.audit.messages).toBe(deliveries);
  expect(result.deliveries).toBeGreaterThan(100);
  expect(result.deliveries).toBeLessThanOrEqual(deliveries);
  expect(result.server).toBeUndefined();
  expect(result.roundTrip.p50).toBeGreaterThan(0);
  expect(result.roundTrip.p50).toBeLessThanOrEqual(result.roundTrip.p99);
});

test('an open loop sends at its rate, however long a message takes', async () => {
  const url = await faulty((send) => void setTimeout(send, 100));
  const result = await loading({ ...options, url, rate: 200, seconds: 0.5, warmUp: 0.2 }).run();
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
      if (count === 100) socket.send('a word from elsewhere');
    },
  ],
])('a server with messages that are %s is caught', async (fault, deliver) => {
  const url = await faulty(deliver);
  const result = await loading({ ...options, url }).run();
  expect(sound(result)).toBe(false);
  expect(result.audit[fault]).toBeGreaterThan(0);
  expect(notices(result, ratesOf(result, 6))[0]).toMatch(/^NOT SOUND: .* First: client \d heard/);
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
])(
  'of a client that nobody audits it is known how many messages it heard: one that is %s is caught',
  async (fault, deliver) => {
    const url = await faulty(deliver);
    const result = await loading({ ...options, audit: 0, url }).run();
    expect(sound(result)).toBe(false);
    expect(result.audit).toMatchObject({ clients: 0, [fault]: 1 });
    expect(result.audit.first).toMatch(/^client \d heard .* messages where .* were sent$/);
  },
);

test('several generators are one load: what they send and hear is judged together', async () => {
  const url = await faulty((send) => send());
  const result = await new Load({ ...options, generators: 3, url }).run();
  expect(sound(result)).toBe(true);
  expect(result.audit.clients).toBe(6);
  expect(result.roundTrip.p50).toBeGreaterThan(0);
  server?.close();
  // Each client hears each sender's messages in order, but those of two senders the other way round than the others do.
  const held = new Map<number, () => void>();
  const turned = await faulty((send, client, count) => {
    const before = held.get(client);
    if (client === 5 && count > 60 && count < 67) held.set(client, send);
    else {
      send();
      before?.();
      held.delete(client);
    }
  });
  const unlike = await new Load({ ...options, window: 1, generators: 3, url: turned }).run();
  expect(unlike.audit.swapped).toBeGreaterThan(0);
});

test('a message that does not come back to its sender is noticed without an audit, and the others go on', async () => {
  const url = await faulty((send, client, count) => (client === 0 && count < 60 ? undefined : send()));
  const result = await loading({ ...options, url, audit: 0 }).run();
  expect(result.unreturned).toBeGreaterThan(0);
  expect(sound(result)).toBe(false);
  expect(result.deliveries).toBeGreaterThan(100);
});

test('clients that the server closes are told by code, and have lost nothing', async () => {
  const url = await faulty((send, client, count, socket) => {
    send();
    if (client === 5 && count > 60) socket.close(4000);
  });
  const result = await loading({ ...options, url }).run();
  expect(result.closes).toEqual({ 4000: 1 });
  expect(sound(result)).toBe(true);
  expect(notices(result, ratesOf(result, 6))).toContainEqual(expect.stringContaining('closed 1 clients'));
});

test('a generator without time left says that it was the bottleneck', async () => {
  const url = await faulty((send) => send());
  const result = await loading({ ...options, url }).run();
  const with_ = (busy: number) => ({ ...result, generator: { cpuSeconds: 1, busy } });
  const rates = ratesOf(result, 6);
  expect(notices(with_(0.5), { ...rates, serverBusy: 0.99 })).toEqual([]);
  expect(notices(with_(0.99), { ...rates, serverBusy: 0.5 })[0]).toMatch(/^The generator was the bottleneck.*50 %/);
  expect(notices(with_(0.99), { ...rates, serverBusy: 0.99 })[0]).toContain('both were busy');
});

test('what a client had on its way when the server closed it may be lost: it was not promised', async () => {
  const url = await faulty((send, _client, count, socket) => {
    if (count < 60) send();
    else if (count < 66) socket.close(4000);
  });
  const result = await loading({ ...options, url }).run();
  expect(result.closes).toEqual({ 4000: 6 });
  expect(sound(result)).toBe(true);
});

test('who comes and goes is counted, and checks what it hears meanwhile', async () => {
  const url = await faulty((send) => send());
  const result = await loading({ ...options, churn: 50, seconds: 0.5, url }).run();
  expect(result.came).toBeGreaterThan(15);
  expect(result.audit.clients).toBe(6 + result.came);
  expect(sound(result)).toBe(true);
  expect(result.churnCloses).toEqual({});
});

/** What a server does with the messages of one turn that it is about to tell a client. */
type Plant = (messages: string[], at: number) => void;

// One message in so many.
const RARE = 100_000;

/** A fast server that does it wrong with one message in 100,000, for one client or for all of them. */
async function planted(plant: Plant, everyone: boolean): Promise<{ url: string; faults: () => number }> {
  const wss = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false });
  server = wss;
  let turn: string[] = [];
  let told = 0;
  let faults = 0;
  let next = 1000 + Math.floor(Math.random() * 10_000);
  const flush = () => {
    const [said, first] = [turn, told];
    turn = [];
    told += said.length;
    const wrong = [...said];
    if (next < told - 1 && next >= first) {
      plant(wrong, next - first);
      next += RARE;
      faults++;
    } else if (next < told) next = told; // the last of a turn has none after it to change places with
    let client = 0;
    for (const socket of wss.clients) socket.send((everyone || client++ === 2 ? wrong : said).join('\n'));
  };
  wss.on('connection', (socket) => {
    socket.on('message', (message) => {
      if (turn.push(String(message)) === 1) setImmediate(flush);
    });
  });
  await once(wss, 'listening');
  return { url: `http://127.0.0.1:${(wss.address() as AddressInfo).port}/ws`, faults: () => faults };
}

test.each<[keyof LoadResult['audit'], Plant]>([
  ['lost', (messages, at) => void messages.splice(at, 1)],
  ['repeated', (messages, at) => void messages.splice(at, 0, messages[at] as string)],
  ['swapped', (messages, at) => void messages.splice(at, 2, messages[at + 1] as string, messages[at] as string)],
])(
  'one message in 100,000 that is %s is caught each time, for everyone or for one client of many',
  async (fault, plant) => {
    for (const everyone of [true, false]) {
      const { url, faults } = await planted(plant, everyone);
      const many = { clients: 6, senders: 3, audit: 6, window: 400, seconds: 0.4, warmUp: 0.1 };
      const result = await loading({ ...options, ...many, url }).run();
      expect(faults()).toBeGreaterThan(0);
      expect(sound(result)).toBe(false);
      const { lost, repeated, swapped, unknown } = result.audit;
      const told = fault === 'swapped' ? swapped : { lost, repeated }[fault as 'lost' | 'repeated'];
      expect(told + result.unreturned).toBeGreaterThan(0);
      expect(unknown).toBe(0);
      server?.close();
      for (const socket of server?.clients ?? []) socket.terminate();
    }
  },
);

const bench = (...args: string[]) =>
  new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    execFile(process.execPath, ['dist/cli.js', 'bench', ...args], (error, stdout, stderr) => {
      resolve({ code: Number(error?.code ?? 0), stdout, stderr });
    });
  });

test('the command starts a server, loads it, finds it sound, and ends it', async () => {
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
  const { code, stdout, stderr } = await bench(...small, '--json');
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

test.runIf(process.platform === 'linux')('who interrupts it is left with no server and no process', async () => {
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
  await until('it loads its server', () => {
    const [program = 0] = children(bench.pid as number);
    started = program ? [program, ...children(program)] : [];
    return started.length >= 3; // itself, a server, a generator
  });
  bench.kill('SIGTERM');
  expect((await once(bench, 'exit'))[0]).toBe(143);
  await until('all are gone', () => !started.some((pid) => existsSync(`/proc/${pid}`)));
});

test('several scenarios, several times each, are one table; each has a server of its own', async () => {
  const small = ['--clients', '30', '--senders', '5', '--seconds', '0.3', '--warm-up', '0.1', '--repeat', '2'];
  const { code, stdout } = await bench('durable', 'coalescing-20', ...small);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^durable .* sound .*$/m);
  expect(stdout).toMatch(/^coalescing-20 .* sound .*$/m);
  expect(stdout).toMatch(/cores of .*, Node v/);
}, 60_000);

test('a server behind TLS is loaded like any other', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pumphouse-bench-'));
  try {
    expect((await run(['gen-cert', '--out', folder])).code).toBe(0);
    const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
    const { running, port } = await serving(['--tls-cert', cert, '--tls-key', key, '--publish-rate', 'off']);
    const few = ['--clients', '6', '--senders', '3', '--seconds', '0.3', '--warm-up', '0', '--wire', 'v1'];
    const args = ['bench', '--url', `wss://localhost:${port}`, ...few, '--json'];
    const { code, stdout, stderr } = await run(args, { NODE_EXTRA_CA_CERTS: cert });
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(JSON.parse(stdout).runs[0].result.deliveries).toBeGreaterThan(10);
    const distrusting = await run(args);
    expect(distrusting).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^bench: cannot connect .*certificate/),
    });
    await running.end('SIGKILL');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a loss makes the command exit 1, and the report says so', async () => {
  const url = await faulty((send, client, count) => (client === 5 && count > 60 && count < 67 ? undefined : send()));
  const few = ['--clients', '6', '--senders', '3', '--seconds', '0.2', '--warm-up', '0', '--patience', '0.5'];
  const { code, stdout } = await bench('--url', url, ...few);
  expect(stdout).toContain('NOT SOUND');
  expect(stdout).toContain('1 lost');
  expect(code).toBe(1);
}, 30_000);

test('nobody there is one line and exit 1; an option that cannot be used, exit 2', async () => {
  const [nobody, unusable] = await Promise.all([bench('--url', 'ws://127.0.0.1:1'), bench('--clients', 'x')]);
  expect(nobody).toMatchObject({ code: 1, stdout: '' });
  expect(nobody.stderr).toMatch(/^bench: cannot connect to .*ECONNREFUSED.*\n$/);
  expect(unusable).toMatchObject({ code: 2, stdout: '' });
  expect(unusable.stderr).toMatch(/^bench: option '--clients <N>' argument 'x' is invalid.*\n$/);
});
