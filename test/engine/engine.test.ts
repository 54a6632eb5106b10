import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { lmdb } from '../../src/engine/lmdb.ts';
import { memory } from '../../src/engine/memory.ts';
import type { Commit, Draft, LocalEngine } from '../../src/hub/engine.ts';
import type { LogRecord } from '../../src/hub/log.ts';
import { until } from '../integration/server.ts';

const BYTES = 1000;
const folders: string[] = [];
const folder = () => {
  const path = mkdtempSync(join(tmpdir(), 'pumphouse-engine-'));
  folders.push(path);
  return path;
};

/** Each engine retains about `BYTES` of each room and stamps records with 1234. */
const engines: [string, () => LocalEngine][] = [
  ['memory', () => memory({ retention: { records: 1e6, bytes: BYTES }, date: () => 1234 })],
  ['lmdb', () => lmdb({ path: folder(), retention: { ms: 1e9, bytes: BYTES }, date: () => 1234 })],
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

async function openEngine(make: () => LocalEngine) {
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

describe.each(engines)('the %s engine', (_name, make) => {
  let engine: LocalEngine | undefined;
  afterEach(async () => {
    await engine?.close();
    for (const path of folders.splice(0)) rmSync(path, { recursive: true, force: true });
  });

  const start = async () => {
    const opened = await openEngine(make);
    engine = opened.engine;
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
    expect(all[7]).toEqual({ seq: 8, at: 1234, from: 'a', sender: 's', id: '', data: '7 👋', json: true, bytes: 6 });
    const tail = engine.read('x', 0, 1000);
    expect(tail.length).toBeGreaterThan(50);
    expect(tail).toEqual(all.slice(-tail.length));
    expect(engine.read('x', 290, 5)).toEqual(all.slice(290, 295));
    expect(engine.read('x', 300, 5)).toEqual([]);
    expect(engine.read('x', 290, 0)).toEqual([]);
    expect(engine.read('nowhere', 0, 5)).toEqual([]);
  });

  test('drops records past its retention, reports the first, and keeps the newest', async () => {
    const { engine, append } = await start();
    for (let i = 0; i < 100; i++) await append('x', ['x'.repeat(i % 90), 'x'.repeat(i % 7)]);
    const retainedBytes = () => engine.read('x', 0, 1000).reduce((sum, { bytes }) => sum + bytes, 0);
    await until('the excess is dropped', () => retainedBytes() <= BYTES * 1.125);
    expect(retainedBytes()).toBeGreaterThan(BYTES / 2);
    const retained = engine.read('x', 0, 1000);
    expect(engine.position('x')).toMatchObject({ seq: 200, first: retained[0]?.seq });
    await append('x', ['y'.repeat(5000)]);
    expect(engine.read('x', 0, 1000).at(-1)?.bytes).toBe(5000);
  });

  test('keeps the epoch of a room, and gives each room another', async () => {
    const { engine, append } = await start();
    const { epoch } = engine.position('x');
    expect(engine.position('x')).toEqual({ epoch, seq: 0, first: 1 });
    await append('x', ['one']);
    expect(engine.position('x')).toEqual({ epoch, seq: 1, first: 1 });
    expect(engine.position('y').epoch).not.toBe(epoch);
  });
});

test('the memory engine forgets a released room and creates it anew with another epoch', async () => {
  const { engine, append } = await openEngine(() => memory());
  await append('x', ['one']);
  const { epoch } = engine.position('x');
  engine.release('x');
  expect(engine.position('x').seq).toBe(0);
  expect(engine.position('x').epoch).not.toBe(epoch);
  await engine.close();
});
