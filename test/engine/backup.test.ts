import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  existsSync,
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
import fc from 'fast-check';
import { open as openLmdb } from 'lmdb';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { backup as backUp } from '../../src/engine/backup/backup.ts';
import { restore } from '../../src/engine/backup/restore.ts';
import { verify } from '../../src/engine/backup/verify.ts';
import { DataDir } from '../../src/engine/data-dir.ts';
import { lmdb } from '../../src/engine/lmdb.ts';
import type { Draft } from '../../src/hub/engine.ts';
import { Running, run } from '../cli/command.ts';
import { waitUntil } from '../redis/wait.ts';
import { built } from '../server.ts';

let folder: string;
let data: string;
let backup: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pumphouse-backup-'));
  data = join(folder, 'data');
  backup = join(folder, 'backup');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const { signal } = new AbortController();
const warnings: string[] = [];
const onWarning = (line: string) => warnings.push(line);
beforeEach(() => {
  warnings.length = 0;
});

const options = (to = backup, from = data) => ({
  data: from,
  to,
  rate: Number.POSITIVE_INFINITY,
  version: '1.2.3',
  signal,
  onWarning,
});
const take = (to?: string, from?: string) => backUp(options(to, from));
const bringBack = (to: string, from = backup, force = false) => restore({ from, data: to, force, signal });

const ignore = () => {};
const listener = { committed: ignore, decided: ignore, moved: ignore, skipped: ignore, changed: ignore };

function draftsOf(room: string, count: number, bytes = 100): Draft[] {
  return Array.from({ length: count }, (_, i) => ({
    room,
    from: 'a',
    sender: 's',
    id: `${i}`,
    data: 'é'.repeat(bytes / 2),
    bytes,
  }));
}

/** Opens the engine of a data directory, which is created if it is missing. */
async function open(at = data) {
  const dir = new DataDir(at);
  await dir.open();
  const secret = dir.secret();
  dir.close();
  const engine = lmdb({ path: at, retention: { ms: 1e12, bytes: 1e12 } });
  await engine.open(listener);
  return Object.assign(engine, { secret });
}

type Engine = Awaited<ReturnType<typeof open>>;

function append(engine: Engine, room: string, count: number, bytes?: number): void {
  engine.append(room, draftsOf(room, count, bytes));
}

/** Creates a data directory of several rooms, one of many blocks. */
async function fill(at = data) {
  const engine = await open(at);
  append(engine, 'many', 3_000);
  append(engine, 'few', 3);
  append(engine, 'ünï/ "cöde"', 1, 2_000);
  const positions = ['many', 'few', 'ünï/ "cöde"'].map((room) => engine.position(room));
  await engine.close();
  return positions;
}

test('a backup has the changes that only the journal has, and a restore continues after them', async () => {
  const first = await open();
  first.append('r', [...draftsOf('r', 3), { ...(draftsOf('r', 1)[0] as Draft), data: 'secret', bytes: 6 }]);
  await first.close();
  const second = await open();
  const change = (op: 'edit' | 'delete' | 'react', of: number, text: string): Draft => ({
    ...(draftsOf('r', 1)[0] as Draft),
    data: text,
    extra: { kind: 'change', op, of, byUser: false },
  });
  second.append('r', [change('delete', 4, ''), change('react', 1, 'x'), change('edit', 2, 'edited')]);
  await take();
  const expected = second.read('r', 0, 100);
  await second.close();
  expect(await verify(backup)).toMatchObject({ found: 0, messages: 7 });
  expect(readFileSync(join(backup, 'messages.jsonl'), 'utf8')).not.toContain('secret');
  const restored = join(folder, 'restored');
  await bringBack(restored);
  const third = await open(restored);
  expect(third.read('r', 0, 100)).toEqual(expected);
  expect(expected[3]).toMatchObject({ data: '', extra: { deleted: true } });
  third.append('r', [change('react', 1, 'y')]);
  expect(third.read('r', 0, 1)[0]).toMatchObject({
    extra: {
      changed: 8,
      reactions: [
        ['x', ['a']],
        ['y', ['a']],
      ],
    },
  });
  await third.close();
});

/** Copies what a kill would leave of a data directory. */
function copyAsKilled(to: string): void {
  mkdirSync(to);
  for (const name of readdirSync(data).filter((name) => name.startsWith('journal-'))) {
    copyFileSync(join(data, name), join(to, name));
  }
  for (const name of ['data.mdb', 'pumphouse.json', 'secret']) copyFileSync(join(data, name), join(to, name));
}

describe('a backup', () => {
  test('brings every room back, with its messages and the secret, in a new epoch', async () => {
    const positions = await fill();
    const before = await open();
    const read = (engine: Engine) => ['many', 'few', 'ünï/ "cöde"'].map((room) => engine.read(room, 0, 5_000));
    const records = read(before);
    await before.close();
    expect(await take()).toEqual({ rooms: 3, messages: 3_004, bytes: 302_300 });
    expect(await verify(backup)).toMatchObject({ kind: 'backup', rooms: 3, messages: 3_004, problems: [] });
    const to = join(folder, 'restored');
    expect(await bringBack(to)).toMatchObject({ rooms: 3, messages: 3_004 });
    expect(await verify(to)).toMatchObject({ kind: 'data', rooms: 3, messages: 3_004, problems: [] });
    const engine = await open(to);
    expect(engine.secret).toEqual(before.secret);
    expect(read(engine)).toEqual(records);
    for (const [i, room] of ['many', 'few', 'ünï/ "cöde"'].entries()) {
      const { epoch, seq, first } = positions[i] as (typeof positions)[number];
      expect(engine.position(room)).toEqual({ epoch: expect.any(String), seq, first, earlier: [{ epoch, seq }] });
      expect(engine.position(room).epoch).not.toBe(epoch);
    }
    append(engine, 'few', 2);
    expect(engine.position('few')).toMatchObject({ seq: 5, earlier: [{ seq: 3 }] });
    await engine.close();
  });

  test('has the messages that only the journal has, at any moment of the store', async () => {
    const engine = await open();
    for (let i = 0; i < 12; i++) {
      append(engine, 'x', 7, i % 4 === 0 ? 200_000 : 100);
      append(engine, `y${i}`, 1);
      if (i % 3 === 0) await sleep(7);
      const killed = join(folder, `killed-${i}`);
      copyAsKilled(killed);
      await take(`${backup}-${i}`, killed);
      expect(await verify(`${backup}-${i}`)).toMatchObject({ rooms: i + 2, messages: 8 * (i + 1), problems: [] });
      await bringBack(`${killed}-restored`, `${backup}-${i}`);
      const again = await open(`${killed}-restored`);
      expect(again.read('x', 0, 1_000)).toEqual(engine.read('x', 0, 1_000));
      await again.close();
    }
    await engine.close();
  });

  test('ends each room before a partial line of the journal', async () => {
    const engine = await open();
    append(engine, 'x', 2);
    const killed = join(folder, 'killed');
    copyAsKilled(killed);
    const [journal = ''] = readdirSync(killed).filter(
      (name) => name.startsWith('journal-') && statSync(join(killed, name)).size,
    );
    append(engine, 'x', 1);
    copyFileSync(join(data, journal), join(killed, journal));
    truncateSync(join(killed, journal), statSync(join(data, journal)).size - 10);
    await take(backup, killed);
    expect(await verify(backup)).toMatchObject({ rooms: 1, messages: 2, problems: [] });
    expect(await verify(killed)).toMatchObject({ kind: 'data', rooms: 1, messages: 2, problems: [] });
    await engine.close();
  });

  test('keeps other files, other databases and the entries of unknown databases of the store', async () => {
    await fill();
    writeFileSync(join(data, 'cursors.json'), '{"a":1}', { mode: 0o640 });
    mkdirSync(join(data, 'sub'));
    const other = openLmdb({ path: join(data, 'other.mdb'), noSubdir: true });
    await other.put('key', { value: 1 });
    const root = openLmdb({ path: join(data, 'data.mdb'), noSubdir: true, maxDbs: 3 });
    const cursors = root.openDB({ name: 'cursors' });
    await cursors.put(['a', 1], { epoch: 'e', seq: 1 });
    await root.close();
    await take(); // while the other database is open
    await other.close();
    expect(warnings).toEqual([`${join(data, 'sub')} is not a file and is left out`]);
    expect(await verify(backup)).toMatchObject({ problems: [] });
    const to = join(folder, 'restored');
    await bringBack(to);
    expect(readFileSync(join(to, 'cursors.json'), 'utf8')).toBe('{"a":1}');
    expect(statSync(join(to, 'cursors.json')).mode & 0o777).toBe(0o640);
    const otherAgain = openLmdb({ path: join(to, 'other.mdb'), noSubdir: true });
    expect(otherAgain.get('key')).toEqual({ value: 1 });
    await otherAgain.close();
    const rootAgain = openLmdb({ path: join(to, 'data.mdb'), noSubdir: true, maxDbs: 3 });
    expect(rootAgain.openDB({ name: 'cursors' }).get(['a', 1])).toEqual({ epoch: 'e', seq: 1 });
    await rootAgain.close();
  });

  test('of a directory that has stored nothing is restored as one', async () => {
    const dir = new DataDir(data);
    await dir.open();
    dir.close();
    expect(await take()).toEqual({ rooms: 0, messages: 0, bytes: 0 });
    await bringBack(join(folder, 'restored'));
    expect(await verify(join(folder, 'restored'))).toMatchObject({ rooms: 0, problems: [] });
    await (await open(join(folder, 'restored'))).close();
  });

  test('warns of missing messages and keeps those after them', async () => {
    const engine = await open();
    for (let i = 0; i < 10; i++) append(engine, 'x', 1, 60_000);
    await engine.close();
    const root = openLmdb({ path: join(data, 'data.mdb'), noSubdir: true, maxDbs: 2 });
    const log = root.openDB<string, number[]>({ name: 'log', encoding: 'string' });
    const keys = [...log.getKeys()];
    await log.remove(keys[4] as number[]);
    await root.close();
    const problem = 'room "x": the messages 5 to 5 are missing';
    expect(await verify(data)).toMatchObject({ problems: [problem] });
    await take();
    expect(warnings).toEqual(['the messages 5 to 5 of the room "x" are missing; those before them are left out']);
    expect(await verify(backup)).toMatchObject({ messages: 5, problems: [] });
    await bringBack(join(folder, 'restored'));
    const again = await open(join(folder, 'restored'));
    expect(again.position('x')).toMatchObject({ seq: 10, first: 6 });
    await again.close();
  });
});

describe('a restored room', () => {
  /** Returns what a room of a data directory shares with an epoch. */
  async function sharedWith(at: string, epoch: string): Promise<number | undefined> {
    const engine = await open(at);
    const { earlier = [], epoch: current, seq } = engine.position('few');
    const listed = current === epoch ? seq : earlier.find((place) => place.epoch === epoch)?.seq;
    const end = listed ?? engine.divergedEnd?.('few', epoch);
    await engine.close();
    return end;
  }

  async function extend(at: string, count: number): Promise<string> {
    const engine = await open(at);
    append(engine, 'few', count);
    const { epoch } = engine.position('few');
    await engine.close();
    return epoch;
  }

  test('shares with any other life of it what their common backup has', async () => {
    await fill(); // 3 messages
    await take();
    const original = await extend(data, 10);
    const [one, two, three] = ['one', 'two', 'three'].map((name) => join(folder, name)) as [string, string, string];
    await bringBack(one);
    await bringBack(two);
    const first = await extend(one, 4); // at 7
    const second = await extend(two, 9);
    expect(new Set([original, first, second]).size).toBe(3);
    await take(`${backup}-2`, one);
    const end = await extend(one, 5); // at 12
    expect(end).toBe(first);
    await bringBack(three, `${backup}-2`);
    const third = await extend(three, 1); // at 8
    for (const [at, ends] of [
      [data, [13, 3, 3, 3]],
      [one, [3, 12, 3, 7]],
      [two, [3, 3, 12, 3]],
      [three, [3, 7, 3, 8]],
    ] as const) {
      for (const [i, epoch] of [original, first, second, third].entries()) {
        expect(await sharedWith(at, epoch), `${at} and the epoch ${i}`).toBe(ends[i]);
      }
    }
    expect(await sharedWith(data, 'another')).toBeUndefined();
    for (const epoch of [first, second, third]) expect(Buffer.byteLength(epoch)).toBeLessThanOrEqual(128);
  });
});

describe('verify', () => {
  /** The files of a backup, with their sizes. */
  const filesOf = (at: string) =>
    readdirSync(at, { recursive: true })
      .map((name) => ({ path: join(at, String(name)), size: statSync(join(at, String(name))).size }))
      .filter(({ path }) => statSync(path).isFile());

  test('finds any changed, missing or additional byte of a backup', async () => {
    await fill();
    writeFileSync(join(data, 'other'), 'content');
    await take();
    const files = filesOf(backup);
    expect(files.length).toBe(4);
    const kinds = fc.constantFrom('flip', 'cut', 'add', 'remove');
    await fc.assert(
      fc.asyncProperty(
        fc.nat(files.length - 1),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        fc.integer({ min: 1, max: 255 }),
        kinds,
        async (i, place, mask, kind) => {
          const { path, size } = files[i] as (typeof files)[number];
          const original = readFileSync(path);
          const at = Math.floor(place * size);
          const damaged = Buffer.from(original);
          if (kind === 'flip') damaged[at] = (damaged[at] as number) ^ mask;
          if (kind === 'remove') rmSync(path);
          else
            writeFileSync(
              path,
              kind === 'cut'
                ? damaged.subarray(0, at)
                : kind === 'add'
                  ? Buffer.concat([damaged, Buffer.from([mask])])
                  : damaged,
            );
          const { found } = await verify(backup).catch(() => ({ found: 1 }));
          writeFileSync(path, original);
          expect(found).toBeGreaterThan(0);
        },
      ),
      { numRuns: 150 },
    );
    expect((await verify(backup)).found).toBe(0);
  }, 60_000);

  test('never passes a backup whose manifest was made to fit a changed message', async () => {
    await fill();
    await take();
    const messages = join(backup, 'messages.jsonl');
    const lines = readFileSync(messages, 'utf8').split('\n');
    const swapped = lines.findIndex((line) => line.startsWith('[2'));
    [lines[swapped], lines[swapped + 1]] = [lines[swapped + 1] as string, lines[swapped] as string];
    writeFileSync(messages, lines.join('\n'));
    const { problems } = await verify(backup);
    expect(problems[0]).toMatch(/^room ".*": message \d+ has the number \d+$/);
    expect(problems.at(-1)).toBe(`${messages} has another SHA-256 than in the manifest`);
    await expect(bringBack(join(folder, 'restored'))).rejects.toThrow('the backup is damaged: room "');
    expect(existsSync(join(folder, 'restored'))).toBe(false);
  });

  test('ends with a line for a data directory with damaged pages, even if LMDB crashes', async () => {
    await fill();
    const store = join(data, 'data.mdb');
    const original = readFileSync(store);
    for (let i = 0; i < 3; i++) {
      const damaged = Buffer.from(original);
      // Whole pages of the tree, which begins after the two meta pages.
      for (let page = 2 + i; page * 4096 < damaged.byteLength; page += 3)
        damaged.fill(0x5a + i, page * 4096, page * 4096 + 4096);
      writeFileSync(store, damaged);
      const { code, stderr } = await run(['verify', data]);
      expect(code).toBe(1);
      expect(stderr).toMatch(/^pumphouse: .* is damaged: \d+ problems?$/m);
      const copy = await run(['backup', '--data', data, '--to', backup]);
      expect(copy.stderr).toMatch(/^pumphouse: /m);
      rmSync(backup, { recursive: true, force: true }); // what is left may be readable
      expect(readdirSync(folder)).toEqual(['data']);
    }
  }, 60_000);

  test('finds a damaged secret and a journal that is damaged before its end', async () => {
    const engine = await open();
    append(engine, 'x', 1);
    append(engine, 'x', 1);
    copyAsKilled(join(folder, 'killed'));
    await engine.close();
    const killed = join(folder, 'killed');
    const [journal = ''] = readdirSync(killed).filter(
      (name) => name.startsWith('journal-') && statSync(join(killed, name)).size,
    );
    writeFileSync(join(killed, journal), `nonsense\n${readFileSync(join(killed, journal), 'utf8')}`);
    chmodSync(join(killed, 'secret'), 0o600);
    writeFileSync(join(killed, 'secret'), 'abc');
    expect((await verify(killed)).problems).toEqual([
      `${join(killed, 'secret')} is damaged`,
      `${killed}: the journal is damaged before its end`,
    ]);
  });
});

// A command takes seconds to start on a busy machine.
describe('the commands', { timeout: 60_000 }, () => {
  const failsWith = async (args: readonly string[], line: string | RegExp, code = 1) => {
    const ran = await run(args);
    expect(ran.stderr).toMatch(line);
    expect(ran.stderr.trim().split('\n')).toHaveLength(1);
    expect(ran.code).toBe(code);
  };

  test('print what they have done, and JSON', async () => {
    await fill();
    expect((await run(['backup', '--data', data, '--to', backup])).stdout).toMatch(
      /^backed up 3 rooms and 3,004 messages \(0\.3 MB\) to .*backup in [\d.]+ s\n$/,
    );
    expect((await run(['verify', backup])).stdout).toMatch(/: no damage found\n$/);
    const { stdout } = await run(['verify', '--json', backup]);
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, kind: 'backup', rooms: 3, found: 0, problems: [] });
    expect(JSON.parse((await run(['verify', '--json', data])).stdout)).toMatchObject({ ok: true, kind: 'data' });
    const restored = join(folder, 'restored');
    expect((await run(['restore', backup, '--data', restored])).stdout).toMatch(
      /^restored 3 rooms .* to .*restored\n$/,
    );
    await failsWith(['restore', backup, '--data', restored], 'is not empty; choose another directory');
    const { stdout: forced } = await run(['restore', backup, '--data', restored, '--force']);
    const [, aside = ''] = /^the earlier data is in (.*)$/m.exec(forced) ?? [];
    expect(await verify(aside)).toMatchObject({ kind: 'data', rooms: 3, problems: [] });
    expect(await verify(restored)).toMatchObject({ kind: 'data', rooms: 3, problems: [] });
  });

  test('reject what they cannot use, with one line', async () => {
    await fill();
    const [missing, empty] = [join(folder, 'missing'), join(folder, 'empty')];
    mkdirSync(empty);
    await failsWith(['backup', '--data', data], '--to', 2);
    await failsWith(['backup', '--data', data, '--to', backup, '--rate', 'fast'], '--rate: "fast" is not a number', 2);
    await failsWith(['backup', '--data', missing, '--to', backup], `the data directory ${missing} does not exist`);
    await expect(take(backup, empty)).rejects.toThrow(`${empty} is not a data directory: it has no pumphouse.json`);
    await expect(take(empty)).rejects.toThrow(`${empty} exists; choose a name that does not`);
    await expect(verify(missing)).rejects.toThrow(`${missing} does not exist`);
    await expect(verify(empty)).rejects.toThrow('is neither a data directory nor a complete backup');
    await expect(bringBack(missing, empty)).rejects.toThrow('is not a complete backup: it has no manifest.json');
    await take();
    const manifest = join(backup, 'manifest.json');
    writeFileSync(manifest, readFileSync(manifest, 'utf8').replace('"format": 1', '"format": 9'));
    await expect(bringBack(missing)).rejects.toThrow('has the format 9, of a newer version');
    expect(existsSync(missing)).toBe(false);
    writeFileSync(join(data, 'pumphouse.json'), '{"format":9}');
    await expect(take(`${backup}-2`)).rejects.toThrow('has the format 9, of a newer version');
    expect(readdirSync(folder).sort()).toEqual(['backup', 'data', 'empty']);
  });

  test('leave a data directory alone that a server uses', async () => {
    await fill();
    await take();
    const dir = new DataDir(data);
    await dir.open();
    await failsWith(['verify', data], 'is in use by another server');
    await failsWith(['restore', backup, '--data', data, '--force'], 'is in use by another server');
    dir.close();
    expect(await verify(data)).toMatchObject({ rooms: 3, problems: [] });
  });

  test.each(['SIGINT', 'SIGTERM'] as const)('backup removes its output on %s', async (name) => {
    await fill();
    const running = new Running(['backup', '--data', data, '--to', backup, '--rate', '0.01']);
    await waitUntil('it writes', () => existsSync(join(`${backup}.incomplete`, 'messages.jsonl')));
    expect(await running.end(name)).toMatchObject({ code: name === 'SIGINT' ? 130 : 143, stdout: '' });
    expect(readdirSync(folder)).toEqual(['data']);
  });

  test.skipIf(process.platform !== 'linux').each(['the command', 'its process'])(
    'backup leaves nothing when %s is killed',
    async (which) => {
      await fill();
      const running = spawn(process.execPath, [...built, 'backup', '--data', data, '--to', backup, '--rate', '0.01'], {
        stdio: 'ignore',
      });
      await waitUntil('it writes', () => existsSync(join(`${backup}.incomplete`, 'messages.jsonl')));
      const { pid } = running;
      const child = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim());
      process.kill(which === 'the command' ? (pid as number) : child, 'SIGKILL');
      await once(running, 'exit');
      await waitUntil('the output is removed', () => readdirSync(folder).join() === 'data');
      expect(await take()).toMatchObject({ rooms: 3 });
    },
  );

  const isRoot = process.getuid?.() === 0 && process.platform === 'linux';

  test.skipIf(!isRoot)('name a directory that may not be read', async () => {
    await fill();
    chmodSync(folder, 0o755);
    chmodSync(data, 0o700);
    const args = [...built, 'backup', '--data', data, '--to', join(tmpdir(), 'never')];
    const running = spawn(process.execPath, args, { uid: 65534, gid: 65534, stdio: ['ignore', 'ignore', 'pipe'] });
    let stderr = '';
    running.stderr?.on('data', (chunk) => {
      stderr += chunk;
    });
    const [code] = await once(running, 'close');
    expect(stderr).toMatch(/^pumphouse: the data directory .* cannot be read \(EACCES\)\n$/);
    expect(code).toBe(1);
  });

  test.skipIf(!isRoot || !mounts())('report a full disk, and leave nothing on it', async () => {
    await fill();
    const engine = await open();
    append(engine, 'x', 1_000, 4_000);
    await engine.close();
    await take();
    const small = join(folder, 'small');
    mkdirSync(small);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', small]);
    try {
      await failsWith(['backup', '--data', data, '--to', join(small, 'b'), '--rate', 'off'], /the disk of .* is full/);
      await failsWith(['restore', backup, '--data', join(small, 'd')], /the disk of .* is full/);
      expect(readdirSync(small)).toEqual(['d']);
      expect(readdirSync(join(small, 'd'))).toEqual([]);
      // The root of a file system cannot be renamed.
      writeFileSync(join(small, 'old'), 'old');
      rmSync(join(small, 'd'), { recursive: true });
      execFileSync('mount', ['-o', 'remount,size=64m', small]);
      const { aside = '' } = await bringBack(small, backup, true);
      expect(aside.startsWith(join(small, 'before-restore-'))).toBe(true);
      expect(readFileSync(join(aside, 'old'), 'utf8')).toBe('old');
      expect(await verify(small)).toMatchObject({ rooms: 4, problems: [] });
    } finally {
      execFileSync('umount', ['-l', small]);
    }
  });
});

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
