import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Link } from '../../src/engine/redis/link.ts';
import { systemScheduler } from '../../src/hub/time.ts';
import type { CursorListener, CursorStore, StoredCursor } from '../../src/webhooks/cursor.ts';
import { LocalCursors } from '../../src/webhooks/local-cursors.ts';
import { SharedCursors, type SharedServer } from '../../src/webhooks/shared-cursors.ts';
import { until } from '../integration/server.ts';
import { findRedis } from '../redis/install.ts';
import { RedisProcess } from '../redis/redis-process.ts';

interface Opened {
  readonly store: CursorStore;
  readonly events: string[];
}

const folder = mkdtempSync(join(tmpdir(), 'pumphouse-cursors-'));
const installed = await findRedis();
let redis: RedisProcess | undefined;
const links: Link[] = [];
const opened: CursorStore[] = [];
let files = 0;
let runs = 0;

beforeAll(async () => {
  if (installed.path) redis = await RedisProcess.start();
});
afterAll(async () => {
  await redis?.stop();
  rmSync(folder, { recursive: true });
});
afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
  for (const link of links.splice(0)) link.close();
  await redis?.command('FLUSHALL');
});

async function open(store: CursorStore): Promise<Opened> {
  const events: string[] = [];
  const listener: CursorListener = {
    acquired: (webhook) => events.push(`acquired ${webhook}`),
    lost: (webhook) => events.push(`lost ${webhook}`),
    replayed: (webhook, room) => events.push(`replayed ${webhook} ${room}`),
    marked: (rooms) => events.push(`marked ${rooms.join(' ')}`),
    failed: (error) => events.push(`failed ${error.message}`),
  };
  await store.open(listener);
  opened.push(store);
  return { store, events };
}

/** Opens the cursors of one of several processes. */
async function openShared(options: { leaseMs?: number } = {}): Promise<Opened & { readonly link: Link }> {
  const link = await Link.open((redis as RedisProcess).url, () => {});
  links.push(link);
  const server: SharedServer = {
    run: `run${++runs}`,
    database: 0,
    command: (args) => link.command(args),
    query: (args) => link.query(args),
    publish: (channel, message) => void link.command(['PUBLISH', channel, message]),
    subscribe: (channel, listener) => void link.subscribe(channel, listener),
  };
  const store = new SharedCursors({
    webhooks: ['a', 'b'],
    server,
    scheduler: systemScheduler,
    now: () => performance.now(),
    ...options,
  });
  return { ...(await open(store)), link };
}

const newFile = () => join(folder, `cursors-${++files}`);
const openFile = (path: string) => open(new LocalCursors({ webhooks: ['a', 'b'], path }));

async function listed(store: CursorStore, webhook: string): Promise<Record<string, StoredCursor>> {
  const all: (readonly [string, StoredCursor])[] = [];
  for await (const page of store.pages(webhook)) all.push(...page);
  return Object.fromEntries(all);
}

const kinds = [
  { name: 'memory', start: () => open(new LocalCursors({ webhooks: ['a', 'b'] })) },
  { name: 'a file', start: () => openFile(newFile()) },
  ...(installed.path ? [{ name: 'Redis', start: () => openShared() }] : []),
];

const batch = { kind: 'messages', id: 'msg_1', to: 9 } as const;
const gap = { kind: 'gap', id: 'msg_2', from: 8, to: 9, why: 'epoch', next: { epoch: 'f', seq: 7 } } as const;
const ROOM = 'orders: 👋 "1"';

describe.each(kinds)('cursors in $name', ({ start }) => {
  test('deliver all webhooks of a process that is alone', async () => {
    const { store, events } = await start();
    expect(events.sort()).toEqual(['acquired a', 'acquired b']);
    expect([store.owns('a'), store.owns('b')]).toEqual([true, true]);
  });

  test('keep what was created first, by webhook and room', async () => {
    const { store } = await start();
    await store.create('a', ROOM, { epoch: 'e', seq: 7 });
    await store.create('a', ROOM, { epoch: 'other', seq: 8 });
    expect(await store.find('a', ROOM)).toEqual({ version: 0, epoch: 'e', seq: 7 });
    expect(await store.find('b', ROOM)).toBeUndefined();
    expect(await store.find('a', 'other')).toBeUndefined();
  });

  test('keep a batch, a gap and the heads of earlier epochs', async () => {
    const { store } = await start();
    for (const cursor of [
      { version: 0, epoch: 'e', seq: 7, batch },
      { version: 0, epoch: 'e', seq: 7, batch: gap, heads: { e: 9, d: 3 } },
      { version: 0, epoch: 'f', seq: 7, heads: { d: 3 } },
      { version: 0, epoch: 'f', seq: 7 },
    ] as const) {
      expect(await store.save('a', ROOM, cursor, true)).toBe(true);
      expect(await store.find('a', ROOM)).toEqual(cursor);
    }
  });

  test('refuse to save over a replay, which is passed on', async () => {
    const { store, events } = await start();
    await store.create('a', ROOM, { epoch: 'e', seq: 7 });
    await store.replay('a', new Map([[ROOM, { epoch: 'e', seq: 2 }]]));
    expect(await store.find('a', ROOM)).toEqual({ version: 1, epoch: 'e', seq: 2 });
    expect(await store.save('a', ROOM, { version: 0, epoch: 'e', seq: 8 }, true)).toBe(false);
    expect(await store.save('a', ROOM, { version: 1, epoch: 'e', seq: 3 }, false)).toBe(true);
    expect(await store.find('a', ROOM)).toEqual({ version: 1, epoch: 'e', seq: 3 });
    expect(await store.replays('a')).toBe(1);
    await until('the replay is passed on', () => events.includes(`replayed a ${ROOM}`));
    await store.replay('a', new Map([1, 2].map((room) => [`${room}`, { epoch: 'e', seq: 2 }])));
    await until('the replay is passed on', () => events.includes('replayed a undefined'));
  });

  test('remove a cursor of the same version', async () => {
    const { store } = await start();
    await store.create('a', ROOM, { epoch: 'e', seq: 7 });
    await store.remove('a', ROOM, 3);
    expect(await store.find('a', ROOM)).toBeDefined();
    await store.remove('a', ROOM, 0);
    expect(await store.find('a', ROOM)).toBeUndefined();
  });

  test('list many', async () => {
    const { store } = await start();
    for (let i = 0; i < 1_500; i++) await store.create('a', `r${i}`, { epoch: 'e', seq: i });
    const all = await listed(store, 'a');
    expect(Object.keys(all)).toHaveLength(1_500);
    expect(all['r77']).toEqual({ version: 0, epoch: 'e', seq: 77 });
    expect(await listed(store, 'b')).toEqual({});
  });

  test('keep the state of a webhook', async () => {
    const { store } = await start();
    expect(await store.state('a')).toEqual({});
    store.saveState('a', { failingSince: 1, lastStatus: '500', lastAt: 2 });
    await expect.poll(() => store.state('a')).toMatchObject({ lastStatus: '500', failingSince: 1 });
  });
});

describe('cursors in a file', () => {
  test('survive the process, without a line that was never written whole', async () => {
    const path = newFile();
    const { store } = await openFile(path);
    await store.create('a', 'r', { epoch: 'e', seq: 7 });
    await store.save('a', 'r', { version: 0, epoch: 'e', seq: 7, batch }, true);
    await store.create('b', 's', { epoch: 'e', seq: 1 });
    await store.create('b', 'gone', { epoch: 'e', seq: 1 });
    await store.remove('b', 'gone', 0);
    appendFileSync(path, '["a","r",0,"e",9'); // the process was killed here
    const { store: next } = await openFile(path);
    expect(await listed(next, 'a')).toEqual({ r: { version: 0, epoch: 'e', seq: 7, batch } });
    expect(await listed(next, 'b')).toEqual({ s: { version: 0, epoch: 'e', seq: 1 } });
    await next.save('a', 'r', { version: 0, epoch: 'e', seq: 9 }, true);
    expect(await listed((await openFile(path)).store, 'a')).toEqual({ r: { version: 0, epoch: 'e', seq: 9 } });
  });

  test('are copied without the lines that are no longer in force, while they are written', async () => {
    const path = newFile();
    const { store, events } = await openFile(path);
    const rooms = Array.from({ length: 3_000 }, (_, i) => `r${i}`);
    for (const room of rooms) await store.create('a', room, { epoch: 'e', seq: 0 });
    for (let seq = 1; seq <= 20; seq++) {
      for (const room of rooms) await store.save('a', room, { version: 0, epoch: 'e', seq }, false);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await store.close();
    opened.splice(0);
    expect(readFileSync(path, 'utf8').split('\n').length).toBeLessThan(40_000);
    const all = await listed((await openFile(path)).store, 'a');
    expect(Object.keys(all)).toHaveLength(3_000);
    expect(new Set(Object.values(all).map(({ seq }) => seq))).toEqual(new Set([20]));
    expect(events.filter((event) => event.startsWith('failed'))).toEqual([]);
  });

  test('are readable by their owner only, and a damaged line is named', async () => {
    const path = newFile();
    await openFile(path);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    writeFileSync(path, '["a","r",0,"e",1,null]\nnonsense\n["a","r",0,"e",2,null]\n');
    await expect(openFile(path)).rejects.toThrow(`${path} is damaged at line 2; remove the line`);
  });
});

describe.skipIf(!installed.path)('cursors in Redis', () => {
  test('are saved by one process at a time, and by another soon after its end', async () => {
    const [first, second] = [await openShared({ leaseMs: 800 }), await openShared({ leaseMs: 800 })];
    expect([first.store.owns('a'), second.store.owns('a')]).toEqual([true, false]);
    const cursor = { version: 0, epoch: 'e', seq: 3 };
    expect(await second.store.save('a', 'r', cursor, true)).toBe(false);
    expect(await first.store.save('a', 'r', cursor, true)).toBe(true);
    first.link.close(); // as a process that has ended, or is cut off
    const ended = performance.now();
    await until('the second takes over', () => second.store.owns('a') && second.store.owns('b'));
    expect(performance.now() - ended).toBeLessThan(2_000);
    expect(first.store.owns('a')).toBe(false);
    expect(second.events).toContain('acquired a');
    expect(await second.store.find('a', 'r')).toEqual(cursor);
    expect(await second.store.save('a', 'r', { ...cursor, seq: 4 }, true)).toBe(true);
  });

  test('are left at once by a process that closes', async () => {
    const [first, second] = [await openShared({ leaseMs: 4_000 }), await openShared({ leaseMs: 4_000 })];
    await first.store.close();
    const closed = performance.now();
    await until('the second takes over', () => second.store.owns('a'));
    expect(performance.now() - closed).toBeLessThan(2_000);
  });

  test('are lost by a process whose lease another one has', async () => {
    const { store, events } = await openShared({ leaseMs: 400 });
    await (redis as RedisProcess).command('SET', 'ph:w:{a}:lease', 'another');
    await until('the lease is lost', () => events.includes('lost a'));
    expect([store.owns('a'), store.owns('b')]).toEqual([false, true]);
    expect(await store.save('a', 'r', { version: 0, epoch: 'e', seq: 3 }, true)).toBe(false);
  });

  test('pass marks and replays to the other processes', async () => {
    const [first, second] = [await openShared(), await openShared()];
    second.store.mark('x');
    second.store.mark('y');
    await until('the marks arrive', () => first.events.includes('marked x y'));
    await second.store.replay('a', new Map([['x', { epoch: 'e', seq: 1 }]]));
    await until('the replay arrives', () => first.events.includes('replayed a x'));
    expect(await first.store.find('a', 'x')).toEqual({ version: 1, epoch: 'e', seq: 1 });
  });
});
