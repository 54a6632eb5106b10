import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { deduping } from '../../src/engine/deduping.ts';
import { lmdb } from '../../src/engine/lmdb.ts';
import { memory } from '../../src/engine/memory.ts';
import { redis } from '../../src/engine/redis/redis.ts';
import type { Commit, Draft, Engine, Outcome } from '../../src/hub/engine.ts';
import type { LogRecord } from '../../src/hub/log.ts';
import { until } from '../integration/server.ts';
import { findRedis } from '../redis/install.ts';
import { RedisProcess } from '../redis/redis-process.ts';
import { workerOn } from '../threads/worker-pair.ts';

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

const inMemory = () => memory({ retention: { records: 1e6, bytes: BYTES }, date: () => 1234 });
const onDisk = (path: string) => lmdb({ path, retention: { ms: 1e9, bytes: BYTES }, date: () => 1234 });
const onRedis = () => redis({ url: (server as RedisProcess).url, retention: { ms: 1e9, bytes: BYTES } });
const clock = { now: () => performance.now(), date: () => 1234 };

type MakeEngine = (path: string) => Engine;

/** Each engine retains about `BYTES` of each room. Those of one process stamp records with 1234. */
const dedupingEngines: [string, MakeEngine][] = [
  ['deduping memory', () => deduping(inMemory(), { clock })],
  ['deduping lmdb', (path) => deduping(onDisk(path), { clock })],
  ['redis', onRedis],
  ['worker on memory', () => workerOn(deduping(inMemory(), { clock }))],
  // Its ring is so small that many commits do not fit.
  ['worker on lmdb', (path) => workerOn(deduping(onDisk(path), { clock }), 16_384)],
  ['worker on redis', () => workerOn(onRedis())],
];
const engines: [string, MakeEngine][] = [['memory', inMemory], ['lmdb', onDisk], ...dedupingEngines];

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
  beforeEach((context) => context.skip(name.endsWith('redis') && !installation.path, installation.reason));
  afterEach(async () => {
    await engine?.close();
    if (name.endsWith('redis')) await server?.command('FLUSHALL');
    for (const path of folders.splice(0)) rmSync(path, { recursive: true, force: true });
  });

  const start = async () => {
    const opened = await openEngine(() => make(folder()));
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
    const at = name.endsWith('redis') ? expect.any(Number) : 1234;
    expect(all[7]).toEqual({ seq: 8, at, from: 'a', sender: 's', id: '', data: '7 👋', json: true, bytes: 6 });
    const tail = await engine.read('x', 0, 1000);
    expect(tail.length).toBeGreaterThan(50);
    expect(tail).toEqual(all.slice(-tail.length));
    expect(await engine.read('x', 290, 5)).toEqual(all.slice(290, 295));
    expect(await engine.read('x', 300, 5)).toEqual([]);
    expect(await engine.read('x', 290, 0)).toEqual([]);
    if (!name.startsWith('worker')) expect(await engine.read('nowhere', 0, 5)).toEqual([]);
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

describe.each(dedupingEngines)('the %s engine, which recognizes retries,', (name, make) => {
  const isMemory = name.endsWith(' memory');
  const opened: Engine[] = [];
  let path: string;
  beforeEach((context) => {
    context.skip(name.endsWith('redis') && !installation.path, installation.reason);
    path = folder();
  });
  afterEach(async () => {
    for (const engine of opened.splice(0)) await engine.close();
    if (name.endsWith('redis')) await server?.command('FLUSHALL');
    for (const path of folders.splice(0)) rmSync(path, { recursive: true, force: true });
  });

  /** Opens the engine and attaches the room `x`. */
  const start = async () => {
    const engine = make(path);
    opened.push(engine);
    const texts: string[] = [];
    const outcomes: Outcome[] = [];
    let head = 0;
    await engine.open({
      ...ignored,
      committed({ records, own }) {
        expect(own).toBe(false);
        texts.push(...records.map(({ data }) => data));
        head = records.at(-1)?.seq ?? head;
      },
      decided(decision) {
        for (const outcome of decision.outcomes) if ('seq' in outcome) expect(outcome.seq).toBeLessThanOrEqual(head);
        outcomes.push(...decision.outcomes);
      },
    });
    const attach = async () => {
      head = (await engine.attach('x')).seq;
    };
    await attach();
    /** Appends one batch and waits until all drafts are decided. @returns the batch's outcomes. */
    const append = async (...drafts: Draft[]) => {
      const before = outcomes.length;
      engine.append('x', drafts);
      await until('the drafts are decided', () => outcomes.length === before + drafts.length);
      return outcomes.slice(before);
    };
    return { engine, texts, outcomes, attach, append };
  };
  const stored = (seq: number) => ({ kind: 'stored', seq });
  const duplicate = (seq: number) => ({ kind: 'duplicate', seq });

  test('has the seq of the first message for a retry in its batch and in a later one', async () => {
    const { engine, texts, append } = await start();
    expect(engine.dedupes).toBe(true);
    const [one, two, three] = [draft('x', 'one', '1'), draft('x', 'two', '2'), draft('x', 'three', '3')];
    const again = draft('x', 'again', '1');
    expect(await append(one, again, draft('x', 'no id'), draft('x', 'no id'), two)).toEqual([
      stored(1),
      duplicate(1),
      stored(2),
      stored(3),
      stored(4),
    ]);
    expect(await append(two, one)).toEqual([duplicate(4), duplicate(1)]);
    expect(await append(one, three)).toEqual([duplicate(1), stored(5)]);
    expect(texts).toEqual(['one', 'no id', 'no id', 'two', 'three']);
    expect(engine.position('x').seq).toBe(5);
    expect((await engine.read('x', 0, 9)).map(({ data }) => data)).toEqual(texts);
  });

  test('separates senders, and stores each message without a sender', async () => {
    const { append } = await start();
    const one = draft('x', 'one', '1');
    const { sender, ...anonymous } = one;
    expect(await append(one, { ...one, sender: 't' }, anonymous, anonymous, { ...one, sender: '' })).toEqual(
      [1, 2, 3, 4, 5].map(stored),
    );
    expect(await append(anonymous, { ...one, sender: 't' }, one)).toEqual([stored(6), duplicate(2), duplicate(1)]);
  });

  test('separates rooms', async () => {
    const { engine, append, outcomes } = await start();
    await append(draft('x', 'two', '2'), draft('x', 'one', '1'));
    await engine.attach('y');
    engine.append('y', [draft('y', 'one', '1')]);
    await until('the draft is decided', () => outcomes.length === 3);
    expect(outcomes[2]).toEqual(stored(1));
  });

  test('decides batches in order, the retries of an undecided message among them', async () => {
    const { engine, outcomes, texts } = await start();
    for (const ids of [['1'], ['1', '2'], ['2', '', '1'], ['3', '1', '3']]) {
      engine.append(
        'x',
        ids.map((id) => draft('x', `id ${id}`, id)),
      );
    }
    await until('the drafts are decided', () => outcomes.length === 9);
    const [first, second, third] = [duplicate(1), duplicate(2), duplicate(4)];
    expect(outcomes).toEqual([stored(1), first, stored(2), second, stored(3), first, stored(4), first, third]);
    expect(texts).toEqual(['id 1', 'id 2', 'id ', 'id 3']);
  });

  test(`${isMemory ? 'forgets' : 'recognizes'} the messages of a room after its release`, async () => {
    const { engine, attach, append } = await start();
    const [one, two, three] = [draft('x', 'one', '1'), draft('x', 'two', '2'), draft('x', 'three', '3')];
    await append(one, draft('x', 'no id'), two);
    engine.release('x');
    await attach();
    const expected = isMemory ? [stored(1), stored(2), stored(3)] : [duplicate(3), duplicate(1), stored(4)];
    expect(await append(two, one, three)).toEqual(expected);
  });

  test.skipIf(isMemory)('recognizes the messages of a room after it is closed and opened again', async () => {
    const first = await start();
    const [one, two, three] = [draft('x', 'one', '1'), draft('x', 'two', '2'), draft('x', 'three', '3')];
    await first.append(one, draft('x', 'no id'), two);
    await first.engine.close();
    opened.pop();
    const second = await start();
    expect(await second.append(two, one, three)).toEqual([duplicate(3), duplicate(1), stored(4)]);
    expect(second.texts).toEqual(['three']);
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
