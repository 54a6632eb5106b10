import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { deduping } from '../../src/engine/deduping.ts';
import { beginningOf, erase } from '../../src/engine/eraser.ts';
import { lmdb } from '../../src/engine/lmdb.ts';
import { memory } from '../../src/engine/memory.ts';
import { redis } from '../../src/engine/redis/redis.ts';
import type { Draft, Engine, Outcome } from '../../src/hub/engine.ts';
import { findRedis } from '../redis/install.ts';
import { RedisProcess } from '../redis/redis-process.ts';
import { simulateChanges } from '../simulation/changes.ts';
import { workerOn } from '../threads/worker-pair.ts';

const folders: string[] = [];
const folder = () => {
  const path = mkdtempSync(join(tmpdir(), 'pumphouse-changes-'));
  folders.push(path);
  return path;
};
afterEach(() => {
  for (const path of folders.splice(0)) rmSync(path, { recursive: true, force: true });
});

const installation = await findRedis();
let server: RedisProcess | undefined;
beforeAll(async () => {
  if (installation.path) server = await RedisProcess.start();
});
afterAll(() => server?.stop());

const inMemory = () => memory({ retention: { records: 1500, bytes: 1e9 } });
const onDisk = (path = folder()) => lmdb({ path, retention: { ms: 1e9, bytes: 60_000 } });
const onRedis = () => redis({ url: (server as RedisProcess).url, retention: { ms: 1e9, bytes: 60_000 } });

const engines: [string, () => Engine, operations: number][] = [
  ['memory', inMemory, 20_000],
  ['lmdb', onDisk, 8_000],
  ['deduping memory', () => deduping(inMemory()), 8_000],
  ['worker on memory', () => workerOn(deduping(inMemory()), 16_384), 8_000],
  ['redis', onRedis, 4_000],
];

describe.each(engines)('changes on the %s engine', (name, make, operations) => {
  const needsRedis = name === 'redis';

  test('fold as the simple model does, for the log, a window and readers', async (context) => {
    context.skip(needsRedis && !installation.path, installation.reason);
    const path = name === 'lmdb' ? folder() : '';
    const engine = name === 'lmdb' ? onDisk(path) : make();
    const restart = name === 'lmdb' ? { restart: async () => onDisk(path) } : {};
    expect(await simulateChanges(engine, { seed: 7, operations, every: 1_000, ...restart })).toBeUndefined();
    if (needsRedis) await server?.command('FLUSHALL');
  });
});

const draft = (data: string, extra?: Draft['extra']): Draft => {
  const bytes = Buffer.byteLength(data);
  return { room: 'x', from: 'ada', sender: 's', id: '', data, json: false, bytes, ...(extra && { extra }) };
};
const remove = (of: number) => draft('', { kind: 'change', op: 'delete', of, byUser: false });
const edit = (of: number, data: string) => draft(data, { kind: 'change', op: 'edit', of, byUser: false });

/** Opens an engine. Its `append` resolves with the outcomes. */
async function open(engine: Engine) {
  const outcomes: Outcome[] = [];
  await engine.open({
    committed: ({ records, own }) => {
      if (own) for (const { seq } of records) outcomes.push({ kind: 'stored', seq });
    },
    decided: (decision) => void outcomes.push(...decision.outcomes),
    moved() {},
    skipped() {},
    changed() {},
  });
  await engine.attach('x');
  const append = async (...drafts: Draft[]) => {
    const before = outcomes.length;
    engine.append('x', drafts);
    while (outcomes.length < before + drafts.length) await new Promise((resolve) => setTimeout(resolve, 5));
    return outcomes.slice(before);
  };
  return append;
}

/** Returns the files of a folder that have a text. */
function filesWith(path: string, text: string): string[] {
  return readdirSync(path).filter((name) => readFileSync(join(path, name)).includes(text));
}

test('a deleted text is in no file of the data directory after the next store', async () => {
  const path = folder();
  const first = lmdb({ path });
  let append = await open(first);
  const long = 'long-secret '.repeat(1000);
  await append(draft('short-secret'), draft(long), draft('kept'), draft('"quoted\\"-secret'));
  for (let i = 0; i < 300; i++) await append(draft(`another ${i}`));
  await first.close();
  expect(filesWith(path, 'short-secret')).toEqual(['data.mdb']);
  const second = lmdb({ path });
  append = await open(second);
  await append(edit(1, 'edited-secret'), edit(3, 'kept, too'), draft('young-secret'));
  await second.close();
  const third = lmdb({ path });
  append = await open(third);
  await append(edit(1, 'twice-secret'));
  // Deleted before it is stored: it is in the journal alone.
  const [stored] = await append(draft('never-stored-secret'));
  await append(remove((stored as { seq: number }).seq), remove(1), remove(2), remove(4));
  await append(remove(307));
  await third.close();
  expect(
    ['short', 'long', 'quoted', 'edited', 'twice', 'young', 'never-stored'].filter(
      (each) => filesWith(path, `${each}-secret`).length > 0,
    ),
  ).toEqual([]);
  expect(filesWith(path, 'quoted')).toEqual([]);
  expect(filesWith(path, 'kept, too')).toEqual(['data.mdb']);
  const fourth = lmdb({ path });
  await open(fourth);
  const records = fourth.read('x', 0, 1000);
  expect(records.slice(0, 5).map(({ data }) => data)).toEqual(['', '', 'kept, too', '', 'another 0']);
  await fourth.close();
});

test('a deleted text is in no file that a killed process has left while it stored the text', async () => {
  const path = folder();
  const first = lmdb({ path });
  const append = await open(first);
  await append(draft('kept'));
  const { epoch } = first.position('x');
  await first.close();
  const message = { seq: 2, at: 1, from: 'ada', sender: 's', id: 'm' };
  const fields = [2, 1, 'ada', 's', 'm', 'killed-secret', false, 13];
  const removal = [3, 1, 'ada', 's', 'd', '', false, 0, { kind: 'change', op: 'delete', of: 2 }];
  writeFileSync(join(path, 'journal-99'), `${JSON.stringify(['x', epoch, fields, removal])}\n`);
  // Pages of the transaction that did not end.
  const page = `${' '.repeat(100)}${beginningOf(message)}"killed-secret",false,13]`.padEnd(4096);
  appendFileSync(join(path, 'data.mdb'), page.repeat(100));
  const second = lmdb({ path });
  await open(second);
  await second.close();
  expect(filesWith(path, 'killed-secret')).toEqual([]);
});

test('a deleted text is overwritten up to the page that has been reused', async () => {
  const path = join(folder(), 'data.mdb');
  const beginning = beginningOf({ seq: 2, at: 1, from: 'ada', sender: 's', id: 'm' });
  const cut = `${beginning}"first-secret second-sec`;
  const reused = Buffer.alloc(4096);
  reused.writeUInt32LE(0x27);
  writeFileSync(path, Buffer.concat([Buffer.from(cut.padStart(4096)), reused]));
  await erase(path, [beginning], (work) => work());
  const after = readFileSync(path);
  expect(after.subarray(0, 4096).toString()).toBe(`${beginning}"${' '.repeat(23)}`.padStart(4096));
  expect(after.subarray(4096)).toEqual(reused);
});

test('a deleted text is in no key of Redis, also after edits', async (context) => {
  context.skip(!installation.path, installation.reason);
  const { command } = server as RedisProcess;
  const run = command.bind(server);
  await run('CONFIG', 'SET', 'rdbcompression', 'no');
  const engine = onRedis();
  const append = await open(engine);
  for (let i = 0; i < 150; i++) await append(draft(`before ${i}`));
  await append(draft('first-secret'), draft('in-one-entry'));
  await append(draft('second-secret'));
  for (let i = 0; i < 150; i++) await append(draft(`after ${i}`));
  await append(edit(151, 'edited-secret'));
  await append(draft('last-secret'), edit(153, 'twice-secret'));
  await append(edit(153, 'thrice-secret'));
  const dumps = async () => {
    const keys = (await run('KEYS', '*')) as string[];
    const all = await Promise.all(keys.map(async (key) => String(await run('DUMP', key))));
    return all.join();
  };
  expect(await append(remove(151), remove(153), remove(305))).toMatchObject([{}, {}, { kind: 'stored' }]);
  const text = await dumps();
  for (const each of ['first', 'second', 'edited', 'last', 'twice', 'thrice'])
    expect(text).not.toContain(`${each}-secret`);
  expect(text).toContain('in-one-entry');
  const records = await engine.read('x', 0, 1000);
  expect(records.map(({ seq }) => seq)).toEqual(records.map((_, i) => i + 1));
  expect(records.filter(({ data }) => data.includes('secret'))).toEqual([]);
  expect(records.slice(149, 154).map(({ data }) => data)).toEqual(['before 149', '', 'in-one-entry', '', 'after 0']);
  await engine.close();
  await run('FLUSHALL');
});
