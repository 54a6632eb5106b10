import { EventEmitter, once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ReadStream, WriteStream } from 'node:tty';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Keys } from '../../src/auth/keys.ts';
import { quantile, ratesBetween } from '../../src/commands/top/rates.ts';
import { renderScreen, withoutStyles } from '../../src/commands/top/screen.ts';
import { Screen } from '../../src/commands/top/terminal.ts';
import { columnsOf, escapeControls, fitTo, formatCount, formatDuration } from '../../src/commands/top/text.ts';
import { addTopCommand } from '../../src/commands/top.ts';
import type { Eviction, HotRoom, Snapshot, ThreadSnapshot } from '../../src/protocol/snapshot.ts';
import { temporaryFolder } from '../deploy/proxies.ts';
import { Running, run } from './command.ts';
import { failureOf as failureOfCommand } from './failure.ts';

async function startServer(adminListen: string, ...flags: string[]) {
  const address = ['--host', '127.0.0.1', '--port', '0', '--admin-listen', adminListen];
  const running = new Running(['serve', '--engine', 'memory', ...address, ...flags]);
  const urlIn = async (message: string) =>
    /https?:\S+/.exec(String((await running.line(message))['msg']))?.[0] as string;
  return { running, admin: await urlIn('serves operators'), url: await urlIn('serves http') };
}

/** Runs the command in this process. @returns the line of its error. */
const failureOf = (args: readonly string[], env?: Record<string, string>) =>
  failureOfCommand(addTopCommand, ['top', ...args], env);

const running: Running[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((command) => command.end()));
});

describe('pumphouse top', () => {
  let server: Awaited<ReturnType<typeof startServer>>;
  beforeAll(async () => {
    server = await startServer('127.0.0.1:0');
  });
  afterAll(() => server.running.end());

  test('prints one screen with --once', async () => {
    await fetch(`${server.url}/publish?room=lobby`, { method: 'POST', body: '{"from":"ada","data":"hello"}' });
    const { code, stdout, stderr } = await run(['top', new URL(server.admin).host, '--once']);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^Pumphouse \S+ {2}serving\n/);
    expect(stdout).toMatch(/^rooms +1 +deliveries\/s +0 +turn mean +\S+/m);
    expect(stdout).not.toContain('\x1b');
  });

  test('prints snapshots as lines with --json', async () => {
    const { code, stdout } = await run(['top', server.admin, '--once', '--json']);
    expect(code).toBe(0);
    const snapshot = JSON.parse(stdout) as Snapshot;
    expect(snapshot).toMatchObject({ state: 'serving', engine: 'memory', threads: [{ worker: 0 }] });
  });

  test.each([
    [
      ['http://127.0.0.1:1025', '--once'],
      'http://127.0.0.1:1025 cannot be reached (ECONNREFUSED); is the server started with --admin-listen?',
    ],
    [['ftp://127.0.0.1'], '"ftp://127.0.0.1" is not a URL such as http://127.0.0.1:9090'],
  ])('fails with one line for %j', async (args, line) => {
    expect(await failureOf(args)).toBe(line);
  });

  test.each([
    [(_: string) => ['http://127.0.0.1:1025'], () => 'top: the output is not a terminal; use --once or --json'],
    [
      (url: string) => [url, '--once'],
      (url: string) => `${url} is not the admin listener of a Pumphouse server: see --admin-listen`,
    ],
  ])('prints the line of a failure, and exits with 2: case %#', async (args, line) => {
    const { code, stdout, stderr } = await run(['top', ...args(server.url)]);
    expect([code, stdout, stderr]).toEqual([2, '', `pumphouse: ${line(server.url)}\n`]);
  });
});

test('fails with one line for a server of another kind', async () => {
  const answers = new Map([
    ['absent', [404, 'Cannot GET /admin/v1/snapshot']],
    ['page', [200, '<!doctype html>']],
    ['broken', [200, '{"state":']],
    ['down', [502, 'Bad gateway']],
  ] as const);
  const listener = createServer((_request, response) => {
    const [status, body] = answers.get(kind) as readonly [number, string];
    response.writeHead(status, { 'content-type': kind === 'broken' ? 'application/json' : 'text/html' }).end(body);
  }).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const url = `http://127.0.0.1:${(listener.address() as AddressInfo).port}`;
  const other = `${url} is not the admin listener of a Pumphouse server: see --admin-listen`;
  const lines = [`${url}: Cannot GET /admin/v1/snapshot`, other, other, `${url} answers with 502`];
  let kind: 'absent' | 'page' | 'broken' | 'down' = 'absent';
  for (const [index, each] of [...answers.keys()].entries()) {
    kind = each;
    expect(await failureOf([url, '--once', '--json'])).toBe(lines[index]);
  }
  listener.close();
});

test('asks for a key where the listener does', async () => {
  const file = `${temporaryFolder()}/keys.json`;
  const keys = new Keys(file);
  const key = keys.add({ name: 'operator', scopes: ['admin'] });
  const other = keys.add({ name: 'backend', scopes: ['read'] });
  const { running: server, admin } = await startServer('0.0.0.0:0', '--keys', file);
  running.push(server);
  const url = admin.replace('0.0.0.0', '127.0.0.1');
  const once = [url, '--once', '--json'];
  expect(await failureOf(once)).toBe(
    `${url} asks for a key: set --key or PUMPHOUSE_ADMIN_KEY to one with the scope admin`,
  );
  expect(await failureOf([...once, '--key', `${key.slice(0, -1)}_`])).toBe(`${url} does not accept the key`);
  expect(await failureOf([...once, '--key', other])).toBe(`${url} refuses: the key lacks the scope admin`);
  const [right, fromEnv] = await Promise.all([
    run(['top', ...once, '--key', key]),
    run(['top', ...once], { PUMPHOUSE_ADMIN_KEY: key }),
  ]);
  expect([right, fromEnv].map(({ code }) => code)).toEqual([0, 0]);
});

test('goes on when the server is back', async () => {
  const first = await startServer('127.0.0.1:0');
  running.push(first.running);
  const top = new Running(['top', first.admin, '--json']);
  running.push(top);
  let [lines, errors] = ['', ''];
  const changed = new EventEmitter();
  top.process.stdout?.on('data', (data) => {
    lines += data;
    changed.emit('change');
  });
  top.process.stderr?.on('data', (data) => {
    errors += data;
    changed.emit('change');
  });
  const until = async (holds: () => boolean) => {
    while (!holds()) await new Promise((resolve) => changed.once('change', resolve));
  };
  await until(() => lines.includes('\n'));
  await first.running.end();
  await until(() => errors.includes('\n'));
  expect(errors).toBe('pumphouse: disconnected, retrying\n');
  const seen = lines.length;
  const second = await startServer(new URL(first.admin).host);
  running.push(second.running);
  await until(() => lines.slice(seen).includes('\n'));
  expect(errors).toBe('pumphouse: disconnected, retrying\n');
});

function thread(changes: Partial<ThreadSnapshot> = {}): ThreadSnapshot {
  const level = { posts: 0, capacity: 65_536 };
  return {
    worker: 0,
    connections: 10_234,
    rooms: 5_012,
    mailboxes: { register: level, unregister: level, broadcast: { posts: 50_000, capacity: 65_536 }, request: level },
    members: { inStep: 29_998, parked: 2, catchingUp: 0 },
    lag: { bounds: [0, 1, 10, 100, 1_000, 4_096, 10_000], counts: [29_990, 4, 0, 5, 0, 0, 0, 1] },
    turns: { bounds: [1, 2.5, 5], counts: [990, 8, 2, 0] },
    sends: { bounds: [1], counts: [1, 0] },
    load: { loop: 0.42, turn: 0.05, mailboxes: 0.76, journal: 0.95 },
    memory: { rss: 312 * 1024 * 1024, heap: 50 * 1024 * 1024 },
    totals: {
      turns: 1_000,
      turnMs: 420,
      messages: 5_000,
      batches: 900,
      frames: 40_000,
      deliveries: 451_230,
      connects: 1,
      closes: 1,
      evictions: 2,
      refusals: 0,
      overloads: 0,
    },
    ...changes,
  };
}

function snapshot(changes: Partial<Snapshot> = {}): Snapshot {
  return {
    at: 0,
    elapsed: 1_000,
    version: '1.2.3',
    state: 'serving',
    engine: 'lmdb',
    uptime: 273_906.5,
    missing: 0,
    threads: [thread()],
    shared: { rooms: 5_012, messages: 5_000, batches: 900 },
    hottest: Array.from({ length: 50 }, (_, i) => room(`room ${i}`)),
    evictions: [],
    ...changes,
  };
}

function room(name: string, changes: Partial<HotRoom> = {}): HotRoom {
  return { name, members: 1_234, messages: 3, seq: 123_456, parked: 0, catchingUp: 0, maxLag: 0, ...changes };
}

const eviction: Eviction = {
  id: 1,
  at: 0,
  session: 's-1',
  user: 'ada\x1b[2J',
  room: 'lobby',
  reason: 'too_far_behind',
  records: 5_000,
};

function render(changes: Partial<Snapshot>, columns = 80, rows = 40, colours = false): readonly string[] {
  return renderScreen(
    { url: 'http://127.0.0.1:9090', snapshot: snapshot(changes), rates: undefined },
    { columns, rows },
    colours,
  );
}

describe('the screen', () => {
  test.each([
    [80, 24],
    [80, 60],
    [100, 30],
    [211, 51],
    [40, 10],
    [1, 1],
  ])('fits %i columns and %i rows', (columns, rows) => {
    const names = ['日本語の部屋'.repeat(20), '👩‍👩‍👧 family'.repeat(9), 'e\u0301'.repeat(90)].map((name) =>
      room(name),
    );
    for (const colours of [false, true]) {
      const lines = render(
        { hottest: [...names, ...snapshot().hottest], evictions: Array(50).fill(eviction) },
        columns,
        rows,
        colours,
      );
      expect(lines.length).toBeLessThanOrEqual(rows);
      for (const line of lines) expect(columnsOf(withoutStyles(line))).toBeLessThanOrEqual(columns);
      if (columns >= 80) expect(lines).toHaveLength(rows);
    }
  });

  test('shows rates, bars, members, rooms and evictions', () => {
    const before = snapshot();
    const { totals } = thread();
    const after = snapshot({
      uptime: before.uptime + 2,
      shared: { rooms: 5_012, messages: 7_468, batches: 1_000 },
      threads: [
        thread({
          turns: { bounds: [1, 2.5, 5], counts: [1_980, 20, 4, 0] },
          totals: { ...totals, turns: 2_004, turnMs: 922, frames: 48_246, deliveries: 541_476 },
        }),
      ],
      hottest: [room('lobby', { messages: 512, maxLag: 7, parked: 1 })],
      evictions: [eviction],
    });
    const view = { url: 'http://127.0.0.1:9090', snapshot: after, rates: ratesBetween(before, after) };
    const page = renderScreen(view, { columns: 80, rows: 40 }, false).join('\n');
    expect(page).toContain('Pumphouse 1.2.3  serving\nup 3d 04:05:08   engine lmdb   http://127.0.0.1:9090');
    expect(page).toMatch(/connections +10,234 +messages\/s +1,234 +turns\/s +502/);
    expect(page).toMatch(/rooms +5,012 +deliveries\/s 45,123 +turn mean +0\.50 ms/);
    expect(page).toMatch(/frames\/s +4,123 +turn p99 +≤ 2\.5 ms/);
    expect(page).toMatch(/broadcast +\[\|{12} {4}\] +50,000 {2}mailboxes +\[\|{12} {4}\] +76 %/);
    expect(page).toMatch(/MEMBERS +in step 29,998 +parked 2 +catching up 0/);
    expect(page).toMatch(/LAG +0: 29,990 {2}1: 4 {2}11-100: 5 {2}>10k: 1/);
    expect(page).toMatch(/^lobby +1,234 +512 +1 +0 +7 +123,456$/m);
    expect(page).toMatch(/^\d\d:\d\d:\d\d {2}ada\\x1b\[2J +lobby +too far behind +5,000 behind {2}s-1$/m);
  });

  test('shows the workers, and those that do not answer', () => {
    const idle = { loop: 0.01, turn: 0, mailboxes: 0, journal: 0 };
    const lines = render({ missing: 1, threads: [thread({ worker: 1, load: idle }), thread({ worker: 3 })] }, 100);
    expect(lines[0]).toBe('Pumphouse 1.2.3  serving  1 not answering');
    expect(lines[1]).toContain('3 workers');
    expect(lines.join('\n')).toMatch(/loop .* 42 % {2}w3$/m);
    expect(lines.join('\n')).toMatch(/connections +20,468/);
  });

  test('shows a server that drains, has lost its store or is away', () => {
    expect(render({ state: 'draining' })[0]).toBe('Pumphouse 1.2.3  draining');
    expect(render({ state: 'engine_away' }, 80, 40, true)[0]).toContain('\x1b[31mengine away\x1b[0m');
    const view = { url: '', snapshot: snapshot(), rates: undefined, problem: 'disconnected, retrying' };
    expect(renderScreen(view, { columns: 80, rows: 24 }, false)[0]).toBe('Pumphouse 1.2.3  disconnected, retrying');
  });

  test('escapes what would control the terminal', () => {
    const name = 'a\x1b]0;title\x07\u009b2J\u202ebidi\u2028\n';
    const page = render({ hottest: [room(name)] }, 120).join('\n');
    expect(page).toContain('a\\x1b]0;title\\x07\\x9b2J\\u{202e}bidi');
    expect(page.replaceAll('\n', '')).not.toMatch(/\p{Cc}|\p{Cf}/u);
  });

  test('shows a server without rooms', () => {
    const page = render({ hottest: [], threads: [thread({ lag: { bounds: [0], counts: [0, 0] } })] }).join('\n');
    expect(page).toContain('no room had a message');
    expect(page).toContain('no members');
  });
});

describe('rates', () => {
  test('leave out a thread that is missing, and a server that was restarted', () => {
    const before = snapshot({ threads: [thread({ worker: 1 }), thread({ worker: 2 })] });
    const { totals } = thread();
    const after = snapshot({
      uptime: before.uptime + 1,
      threads: [thread({ worker: 2, totals: { ...totals, frames: totals.frames + 5 } }), thread({ worker: 3 })],
    });
    expect(ratesBetween(before, after)).toMatchObject({ frames: 5, turns: 0, turnMean: undefined, turnP99: undefined });
    expect(ratesBetween(after, before)).toBeUndefined();
    const restarted = { ...after, shared: { rooms: 0, messages: 0, batches: 0 } };
    expect(ratesBetween(before, restarted)).toBeUndefined();
  });

  test('have quantiles by the bounds of buckets', () => {
    const bounds = [1, 10];
    expect(quantile({ bounds, counts: [0, 0, 0] }, 0.99)).toBeUndefined();
    expect(quantile({ bounds, counts: [99, 1, 0] }, 0.99)).toBe(1);
    expect(quantile({ bounds, counts: [98, 2, 0] }, 0.99)).toBe(10);
    expect(quantile({ bounds, counts: [0, 0, 1] }, 0.99)).toBe(Number.POSITIVE_INFINITY);
  });
});

test('texts are fitted to columns', () => {
  expect(fitTo('lobby', 8)).toBe('lobby   ');
  expect(fitTo('12', 4, 'right')).toBe('  12');
  expect(fitTo('a long name', 6)).toBe('a lon…');
  expect(fitTo('日本語', 4)).toBe('日… ');
  expect(fitTo('anything', 0)).toBe('');
  expect(columnsOf('日本 e\u0301')).toBe(6);
  expect(escapeControls('a\tb\u{e0001}')).toBe('a\\x09b\\u{e0001}');
  expect([12, 999_999, 1_234_567, 5e9, 2e15].map(formatCount)).toEqual(['12', '999,999', '1,235k', '5,000M', '2,000T']);
  expect(formatDuration(59.9)).toBe('00:00:59');
});

class FakeTerminal extends EventEmitter {
  readonly isTTY = true;
  readonly columns = 4;
  readonly rows = 3;
  writableNeedDrain = false;
  written: string[] = [];
  raw = false;
  paused = true;

  write(text: string): void {
    this.written.push(text);
  }

  setRawMode(raw: boolean): void {
    this.raw = raw;
  }

  resume(): void {
    this.paused = false;
  }

  pause(): void {
    this.paused = true;
  }
}

describe('the terminal', () => {
  function open() {
    const [input, output] = [new FakeTerminal(), new FakeTerminal()];
    const events: string[] = [];
    const screen = new Screen(
      input as unknown as ReadStream,
      output as unknown as WriteStream,
      () => events.push('quit'),
      () => events.push('resize'),
    );
    return { input, output, screen, events };
  }

  test('is drawn over in one write each time, and restored', () => {
    const { input, output, screen } = open();
    expect([input.raw, input.paused]).toEqual([true, false]);
    screen.draw(['ab', '\x1b[31mabcd\x1b[0m']);
    screen.draw(['a', 'b', 'abcd']);
    output.writableNeedDrain = true;
    screen.draw(['left out']);
    screen.close();
    screen.close();
    screen.draw(['closed']);
    expect(output.written).toEqual([
      '\x1b[?1049h\x1b[?25l',
      '\x1b[Hab\x1b[K\r\n\x1b[31mabcd\x1b[0m\r\n\x1b[J',
      '\x1b[Ha\x1b[K\r\nb\x1b[K\r\nabcd',
      '\x1b[?25h\x1b[?1049l',
    ]);
    expect([input.raw, input.paused, input.listenerCount('data'), output.listenerCount('resize')]).toEqual([
      false,
      true,
      0,
      0,
    ]);
  });

  test('reports q, Ctrl+C and changes of its size', () => {
    const { input, output, events } = open();
    for (const keys of ['x', '\x1bOQ', 'q', '\x03']) input.emit('data', Buffer.from(keys));
    output.emit('resize');
    expect(events).toEqual(['quit', 'quit', 'resize']);
  });
});
