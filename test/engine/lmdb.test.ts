import { execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { DataDir } from '../../src/engine/data-dir.ts';
import { lmdb } from '../../src/engine/lmdb.ts';
import type { RetentionOf } from '../../src/engine/retention.ts';
import type { Draft } from '../../src/hub/engine.ts';
import type { LogRecord } from '../../src/hub/log.ts';
import { until } from '../integration/server.ts';

let path: string;
beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), 'pumphouse-lmdb-'));
});
afterEach(() => rmSync(path, { recursive: true, force: true }));

const drafts = (count: number, bytes = 100): Draft[] =>
  Array.from({ length: count }, (_, i) => ({
    room: 'x',
    from: 'a',
    sender: 's',
    id: `${i}`,
    data: 'x'.repeat(bytes),
    bytes,
  }));

// Some drafts of this size are moved to the store at once, instead of a second later.
const BURST_BYTES = 200_000;

async function open(at = path, date?: () => number, ms = 1e9, retentionOf?: RetentionOf) {
  const records: LogRecord[] = [];
  const errors: Error[] = [];
  let failed = 0;
  const retention = retentionOf ?? { ms, bytes: 1e9 };
  const engine = lmdb({ path: at, retention, onError: (error) => errors.push(error), ...(date && { date }) });
  await engine.open({
    committed: (commit) => records.push(...commit.records),
    decided: ({ outcomes }) => {
      expect(new Set(outcomes.map(({ kind }) => kind))).toEqual(new Set(['failed']));
      failed += outcomes.length;
    },
    moved() {},
    skipped() {},
    changed() {},
  });
  return { engine, records, errors, failed: () => failed };
}

test('continues a room after a restart at the same seq and epoch', async () => {
  const first = await open();
  const { epoch } = first.engine.position('x');
  first.engine.append('x', drafts(1500));
  await first.engine.close();
  expect(first.records).toHaveLength(1500);
  const second = await open();
  expect(second.engine.position('x')).toEqual({ epoch, seq: 1500, first: 1 });
  expect(second.engine.read('x', 0, 2000)).toEqual(first.records);
  second.engine.append('x', drafts(2));
  second.engine.append('y', [{ ...(drafts(1)[0] as Draft), room: 'y' }]);
  await second.engine.close();
  expect(second.records.map(({ seq }) => seq)).toEqual([1501, 1502, 1]);
});

test('drops records past their age, but keeps the newest', async () => {
  let now = 1_000;
  const { engine, records } = await open(path, () => now, 100);
  engine.append('x', drafts(10));
  await until('the records are committed', () => records.length === 10);
  now += 90;
  engine.append('x', drafts(10));
  await until('the records are committed', () => records.length === 20);
  await engine.close();
  now += 50;
  const again = await open(path, () => now, 100);
  expect(again.engine.position('x')).toMatchObject({ seq: 20, first: 11 });
  now += 1000;
  again.engine.release('x');
  expect(again.engine.position('x')).toMatchObject({ seq: 20, first: 20 });
  await again.engine.close();
});

test('drops the records of each room by the bounds of that room', async () => {
  let now = 1_000;
  const bounds = { old: { ms: 100, bytes: 1e9 }, large: { ms: 1e9, bytes: 20_000 }, kept: { ms: 1e9, bytes: 1e9 } };
  const asked: string[] = [];
  const retentionOf: RetentionOf = (room) => {
    asked.push(room);
    return bounds[room as keyof typeof bounds];
  };
  const rooms = Object.keys(bounds);
  const firsts = ({ engine }: Pick<Awaited<ReturnType<typeof open>>, 'engine'>) =>
    rooms.map((room) => engine.position(room).first);
  const { engine } = await open(path, () => now, 0, retentionOf);
  for (let i = 0; i < 10; i++) for (const room of rooms) engine.append(room, drafts(50));
  expect(asked).toEqual(rooms);
  await engine.close();
  now += 200;
  const again = await open(path, () => now, 0, retentionOf);
  const [old, large, kept] = firsts(again);
  expect(old).toBe(500);
  expect(large).toBeGreaterThan(500 - (20_000 * (1 + 1 / 8)) / 100);
  expect(large).toBeLessThan(500 - (20_000 * (1 - 1 / 8)) / 100);
  expect(kept).toBe(1);
  expect(again.engine.read('large', 0, 1000)[0]?.seq).toBe(large);
  await again.engine.close();
});

test('drops old records of rooms that are not in use, by the bounds of each', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  try {
    let now = 1_000;
    const retentionOf: RetentionOf = (room) => ({ ms: room === 'old' ? 100 : 1e9, bytes: 1e9 });
    const { engine } = await open(path, () => now, 0, retentionOf);
    const rooms = ['old', 'kept'];
    for (const room of rooms) for (let i = 0; i < 2; i++, now += 50) engine.append(room, drafts(5));
    await engine.close();
    const again = await open(path, () => now, 0, retentionOf);
    now += 200;
    vi.advanceTimersByTime(60_000);
    now -= 10_000; // nothing is old by this clock: what is gone, the sweep has dropped
    const firstOf = (room: string) => {
      again.engine.release(room);
      return again.engine.position(room).first;
    };
    await until('the removal is committed', () => firstOf('old') === 6);
    expect(firstOf('kept')).toBe(1);
    await again.engine.close();
  } finally {
    vi.useRealTimers();
  }
});

const journals = (at: string) => readdirSync(at).filter((name) => name.startsWith('journal-'));

test('reads committed records from the journal, from the store, and across both', async () => {
  const { engine, records } = await open();
  for (let i = 0; i < 60; i++) {
    engine.append('x', drafts(20, i % 10 === 0 ? BURST_BYTES : 100));
    expect(records).toHaveLength(20 * (i + 1));
    for (const [after, limit] of [
      [0, 5000],
      [Math.max(0, records.length - 30), 25],
      [10 * i, 30],
    ] as const)
      expect(engine.read('x', after, limit)).toEqual(records.slice(after, after + limit));
    if (i % 5 === 0) await sleep(10);
  }
  await engine.close();
  const again = await open();
  expect(again.engine.read('x', 0, 5000)).toEqual(records);
  await again.engine.close();
});

/** Copies a store between two transactions: a copy during one may have pages of both. */
function copyStore(from: string, to: string): void {
  const META_PAGES = 2 * 4096;
  const metaPages = (file: string) => readFileSync(file).subarray(0, META_PAGES);
  let before: Buffer;
  do {
    before = metaPages(from);
    copyFileSync(from, to);
  } while (!metaPages(from).equals(before));
}

test('recovers every committed record after a kill at any moment, and continues from there', async () => {
  const { engine, records } = await open();
  const { epoch } = engine.position('x');
  for (let i = 0; i < 20; i++) {
    engine.append('x', drafts(7, i % 4 === 0 ? BURST_BYTES : 100));
    if (i % 3 === 0) await sleep(7);
    const killed = join(path, `killed-${i}`);
    mkdirSync(killed);
    for (const name of journals(path)) copyFileSync(join(path, name), join(killed, name)); // as a kill would leave them now
    copyStore(join(path, 'data.mdb'), join(killed, 'data.mdb'));
    const again = await open(killed);
    expect(again.engine.position('x')).toEqual({ epoch, seq: records.length, first: 1 });
    expect(again.engine.read('x', 0, 5000)).toEqual(records);
    again.engine.append('x', drafts(1));
    expect(again.records[0]?.seq).toBe(records.length + 1);
    await again.engine.close();
  }
  await engine.close();
});

test('ignores partial journal lines and lines out of sequence', async () => {
  const first = await open();
  const { epoch } = first.engine.position('x');
  first.engine.append('x', drafts(2));
  await first.engine.close();
  const line = (room: string, lineEpoch: string, seq: number) =>
    `${JSON.stringify([room, lineEpoch, [seq, 1, 'a', 's', '', 'x', false, 1]])}\n`;
  writeFileSync(
    join(path, 'journal-900'),
    line('x', epoch, 2) + line('x', epoch, 3) + line('x', 'another', 4) + line('x', epoch, 9),
  );
  writeFileSync(join(path, 'journal-1000'), `${line('x', epoch, 4)}${line('x', epoch, 5).slice(0, -4)}`);
  writeFileSync(join(path, 'journal-1001'), Buffer.alloc(5000));
  const { engine } = await open();
  expect(engine.position('x').seq).toBe(4);
  expect(engine.read('x', 0, 10).map(({ seq }) => seq)).toEqual([1, 2, 3, 4]);
  expect(journals(path)).toHaveLength(1);
  await engine.close();
});

test('moves a burst of appends to the store and empties the journal', async () => {
  const { engine, records } = await open();
  for (let i = 0; i < 2000; i++) engine.append('x', drafts(1));
  expect(records.map(({ seq }) => seq)).toEqual(Array.from({ length: 2000 }, (_, i) => i + 1));
  const size = () => journals(path).reduce((sum, name) => sum + statSync(join(path, name)).size, 0);
  await until('the journal is empty', () => size() === 0 && journals(path).length <= 2);
  await engine.close();
});

const canMount = process.getuid?.() === 0 && process.platform === 'linux' && mounts();
if (!canMount) console.log('skipped: the tests with a full and a read-only disk, which need to mount a file system');

function mounts(): boolean {
  const at = mkdtempSync(join(tmpdir(), 'pumphouse-mount-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', at], { stdio: 'ignore' });
    execFileSync('umount', [at], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  } finally {
    rmSync(at, { recursive: true, force: true });
  }
}

test.skipIf(!canMount)(
  'reports a full disk, serves only committed records, and continues once there is space',
  async () => {
    const small = join(path, 'small');
    mkdirSync(small);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', small]);
    try {
      const { engine, records, errors, failed } = await open(small);
      for (let i = 0; failed() === 0; i++) {
        engine.append('x', drafts(100));
        await until('every draft is committed or failed', () => records.length + failed() === 100 * (i + 1));
      }
      expect(errors[0]?.message).toMatch(/^the disk of .* is full$/);
      const stored = records.length;
      expect(engine.position('x').seq).toBe(stored);
      expect(engine.read('x', 0, 1e6)).toHaveLength(stored);
      execFileSync('mount', ['-o', 'remount,size=16m', small]);
      engine.append('x', drafts(3));
      await until('the records are committed', () => records.length === stored + 3);
      expect(records.at(-1)?.seq).toBe(stored + 3);
      await engine.close();
      const again = await open(small);
      expect(again.engine.position('x').seq).toBe(stored + 3);
      await again.engine.close();
    } finally {
      execFileSync('umount', ['-l', small]);
    }
  },
);

describe('DataDir', () => {
  const openDir = async (at = path) => {
    const dir = new DataDir(at);
    await dir.open();
    return dir;
  };

  test('creates a missing directory, keeps its secret, and admits one process at a time', async () => {
    const at = join(path, 'a', 'b');
    const dir = await openDir(at);
    const secret = dir.secret();
    expect(secret).toHaveLength(32);
    await expect(openDir(at)).rejects.toThrow(`the data directory ${at} is in use by another server`);
    dir.close();
    const again = await openDir(at);
    expect(again.secret()).toEqual(secret);
    again.close();
  });

  test('takes over the lock of a killed process', async () => {
    const holder = fork('test/engine/holder.ts', [path], { execArgv: ['--import', 'tsx'], stdio: 'inherit' });
    await once(holder, 'message');
    await expect(openDir()).rejects.toThrow('is in use by another server');
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    (await openDir()).close();
  });

  test('locks a directory whose path is too long for a socket', async () => {
    const dir = await openDir(join(path, 'x'.repeat(150)));
    await expect(openDir(dir.path)).rejects.toThrow('is in use by another server');
    dir.close();
  });

  test.each<[string, string, () => void]>([
    [
      'contains other files',
      'contains other files; choose an empty directory',
      () => writeFileSync(join(path, 'letter.txt'), 'Dear'),
    ],
    [
      'has another format',
      'has an unknown format; choose another directory',
      () => writeFileSync(join(path, 'pumphouse.json'), '{"format":99}'),
    ],
    [
      'has a corrupt marker',
      'has an unknown format; choose another directory',
      () => writeFileSync(join(path, 'pumphouse.json'), 'x'),
    ],
    [
      'is a file',
      'cannot be used (EEXIST)',
      () => {
        rmSync(path, { recursive: true });
        writeFileSync(path, '');
      },
    ],
  ])('rejects a directory that %s', async (_, message, prepare) => {
    prepare();
    await expect(openDir()).rejects.toThrow(message);
  });

  test('rejects a garbage or truncated log before LMDB maps it', async () => {
    (await openDir()).close();
    const file = join(path, 'data.mdb');
    for (const garbage of [Buffer.alloc(100_000, 7), Buffer.from('short'), Buffer.alloc(8192)]) {
      writeFileSync(file, garbage);
      await expect(openDir()).rejects.toThrow(`${file} is not a Pumphouse log`);
    }
    rmSync(file);
    const { engine } = await open();
    engine.append('x', drafts(5000));
    await engine.close();
    (await openDir()).close();
    truncateSync(file, readFileSync(file).length >> 1);
    await expect(openDir()).rejects.toThrow(`${file} is truncated`);
  });

  test.skipIf(!canMount)('rejects a read-only directory', async () => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'ro', 'tmpfs', path]);
    try {
      await expect(openDir()).rejects.toThrow(/cannot be (used|written|locked) \(EROFS\)/);
    } finally {
      execFileSync('umount', [path]);
    }
  });
});
