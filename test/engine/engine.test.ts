import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { lmdb } from '../../src/engine/lmdb.ts';
import { memory } from '../../src/engine/memory.ts';
import { redis } from '../../src/engine/redis/redis.ts';
import type { Commit, Draft, Engine } from '../../src/hub/engine.ts';
import type { LogRecord } from '../../src/hub/log.ts';
import { until } from '../integration/server.ts';
import { findRedis } from '../redis/install.ts';
import { RedisProcess } from '../redis/redis-process.ts';

const BYTES = 1000;
const folders: string[] = [];
const folder = () => {
  const path = mkdtempSync(join(tmpdir(), 'pumphouse-engine-'));
  folders.push(path);
  return path;
};

const installation = await findRedis();
let server: RedisProcess | undefined;
beforeAll(async () => {
  if (installation.path) server = await RedisProcess.start();
});
afterAll(() => server?.stop());

/** Each engine retains about `BYTES` of each room. Those of one process stamp records with 1234. */
const engines: [string, () => Engine][] = [
  ['memory', () => memory({ retention: { records: 1e6, bytes: BYTES }, date: () => 1234 })],
  ['lmdb', () => lmdb({ path: folder(), retention: { ms: 1e9, bytes: BYTES }, date: () => 1234 })],
  ['redis', () => redis({ url: (server as RedisProcess).url, retention: { ms: 1e9, bytes: BYTES } })],
];

/** A listener that does nothing. */
const ignored = { committed() {}, decided() {}, moved() {}, skipped() {}, changed() {} };

const draft = (room: string, data: string, id = ''): Draft => ({
  room,
  from: 'a',
  sender: 's',
  id,
  data,
  json: true,
  bytes: Buffer.byteLength(data),
});

async function openEngine(make: () => Engine) {
  const engine = make();
  const commits: Commit[] = [];
  let appended = 0;
  await engine.open({ ...ignored, committed: (commit) => commits.push(commit) });
  const records = (room?: string) =>
    commits.filter((commit) => room === undefined || commit.room === room).flatMap((commit) => commit.records);
  /** Appends, then waits until every draft so far is committed. */
  const append = async (room: string, texts: readonly string[]) => {
    if (texts.length > 0)
      engine.append(
        room,
        texts.map((text) => draft(room, text)),
      );
    appended += texts.length;
    await until('every draft is committed', () => records().length === appended);
  };
  return { engine, records, append };
}

describe.each(engines)('the %s engine', (name, make) => {
  let engine: Engine | undefined;
  beforeEach((context) => context.skip(name === 'redis' && !installation.path, installation.reason));
  afterEach(async () => {
    await engine?.close();
    if (name === 'redis') await server?.command('FLUSHALL');
    for (const path of folders.splice(0)) rmSync(path, { recursive: true, force: true });
  });

  const start = async () => {
    const opened = await openEngine(make);
    engine = opened.engine;
    for (const room of ['x', 'y']) await engine.attach(room);
    return opened;
  };

  test('assigns contiguous seqs in the order of the drafts and commits each draft once', async () => {
    const { engine, records } = await start();
    const sent: Record<string, string[]> = { x: [], y: [] };
    const batches = fc.array(
      fc.tuple(fc.constantFrom('x', 'y'), fc.array(fc.string({ maxLength: 5 }), { minLength: 1, maxLength: 20 })),
    );
    for (const script of fc.sample(batches, 30)) {
      for (const [room, texts] of script) {
        engine.append(
          room,
          texts.map((text) => draft(room, text)),
        );
        sent[room]?.push(...texts);
      }
      if (script.length % 2 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    for (const room of ['x', 'y']) {
      const all = sent[room] as string[];
      await until('every draft is committed', () => records(room).length === all.length);
      expect(records(room).map(({ data }) => data)).toEqual(all);
      expect(records(room).map(({ seq }) => seq)).toEqual(all.map((_, i) => i + 1));
      expect(engine.position(room).seq).toBe(all.length);
    }
  });

  test('reads retained records after any seq, up to the limit', async () => {
    const { engine, records, append } = await start();
    const texts = Array.from({ length: 300 }, (_, i) => `${i} 👋`);
    for (let i = 0; i < 300; i += 50) await append('x', texts.slice(i, i + 50));
    const all = records() as LogRecord[];
    const at = name === 'redis' ? expect.any(Number) : 1234;
    expect(all[7]).toEqual({ seq: 8, at, from: 'a', sender: 's', id: '', data: '7 👋', json: true, bytes: 6 });
    const tail = await engine.read('x', 0, 1000);
    expect(tail.length).toBeGreaterThan(50);
    expect(tail).toEqual(all.slice(-tail.length));
    expect(await engine.read('x', 290, 5)).toEqual(all.slice(290, 295));
    expect(await engine.read('x', 300, 5)).toEqual([]);
    expect(await engine.read('x', 290, 0)).toEqual([]);
    expect(await engine.read('nowhere', 0, 5)).toEqual([]);
  });

  test('drops records past its retention, reports the first, and keeps the newest', async () => {
    const { engine, append } = await start();
    for (let i = 0; i < 100; i++) await append('x', ['x'.repeat(i % 90), 'x'.repeat(i % 7)]);
    const retainedBytes = async () => (await engine.read('x', 0, 1000)).reduce((sum, { bytes }) => sum + bytes, 0);
    await expect.poll(retainedBytes).toBeLessThanOrEqual(BYTES * 1.125);
    expect(await retainedBytes()).toBeGreaterThan(BYTES / 2);
    const retained = await engine.read('x', 0, 1000);
    expect(engine.position('x')).toMatchObject({ seq: 200, first: retained[0]?.seq });
    await append('x', ['y'.repeat(5000)]);
    expect((await engine.read('x', 0, 1000)).at(-1)?.bytes).toBe(5000);
  });

  test('keeps the epoch of a room, and gives each room another', async () => {
    const { engine, append } = await start();
    const { epoch } = engine.position('x');
    expect(engine.position('x')).toMatchObject({ epoch, seq: 0, first: 1 });
    await append('x', ['one']);
    expect(engine.position('x')).toMatchObject({ epoch, seq: 1, first: 1 });
    expect(engine.position('y').epoch).not.toBe(epoch);
  });
});

test('the memory engine forgets a released room and creates it anew with another epoch', async () => {
  const { engine, append } = await openEngine(() => memory());
  await engine.attach('x');
  await append('x', ['one']);
  const { epoch } = engine.position('x');
  engine.release('x');
  expect(engine.position('x').seq).toBe(0);
  expect(engine.position('x').epoch).not.toBe(epoch);
  await engine.close();
});
