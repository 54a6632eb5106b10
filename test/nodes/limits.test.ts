import { beforeEach, expect, test } from 'vitest';
import { keysOf } from '../../src/engine/redis/keys.ts';
import { findRedis } from '../redis/install.ts';
import type { RedisProcess } from '../redis/redis-process.ts';
import { waitUntil } from '../redis/wait.ts';
import { check } from './checker.ts';
import { startClient, startNode, startRedis } from './fixtures.ts';
import { startNodes } from './node-process.ts';
import type { RecordingClient } from './recording-client.ts';

const installed = await findRedis();
beforeEach((context) => context.skip(!installed.path, installed.reason));

const KILLS = Number(process.env['KILLS'] ?? 1);
// The log remembers this many terms.
const MAX_TERMS = 32;
const MiB = 1024 * 1024;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

// Reads all of a room at one moment: messages may be stored meanwhile.
const READ_ROOM = `
  local ids = {}
  for i = 3, #KEYS do ids[#ids + 1] = redis.call('HVALS', KEYS[i]) end
  return {
    redis.call('HMGET', KEYS[1], 'seq', 'bytes', 'first'),
    redis.call('XRANGE', KEYS[2], '-', '+'),
    ids,
  }`;

/** Asserts that records, ids and meta of a room in Redis belong together. */
async function expectWhole(server: RedisProcess, room: string): Promise<void> {
  const { meta, log, ids } = keysOf(room);
  const keys = [meta, log, ...ids];
  const [place, entries, known] = (await server.command('EVAL', READ_ROOM, keys.length, ...keys)) as [
    string[],
    [string, string[]][],
    string[][],
  ];
  const [seq, bytes, first] = place.map(Number);
  const stored = new Map<string, number>();
  let next = first;
  let total = 0;
  for (const [name, values] of entries) {
    const entry = Object.fromEntries(values.flatMap((value, i) => (i % 2 === 0 ? [[value, values[i + 1]]] : [])));
    const last = Number(name.split('-')[0]);
    expect(last - Number(entry['c']) + 1).toBe(next);
    next = last + 1;
    total = Number(entry['b']);
    for (const [i, line] of String(entry['p']).split('\n').entries())
      stored.set(line, last - Number(entry['c']) + 1 + i);
  }
  expect(next).toBe((seq ?? 0) + 1);
  expect(total).toBe(bytes);
  const seqs = known.flat().map(Number);
  expect(seqs.toSorted((a, b) => a - b)).toEqual([...stored.values()].toSorted((a, b) => a - b));
}

test(
  '11: stores records, ids and meta together or not at all when Redis is killed under load',
  async () => {
    const server = await startRedis({ appendFsync: 'always' });
    const nodes = await startNodes(2, { redis: [server.url] });
    const clients: RecordingClient[] = [];
    try {
      for (const [i, name] of ['ada', 'bob', 'eve', 'kim'].entries()) {
        clients.push(await startClient(name, [nodes[i % 2] as (typeof nodes)[0]]));
      }
      let isLoaded = true;
      const load = async () => {
        while (isLoaded) {
          for (const client of clients) if (client.pending < 40) for (let n = 0; n < 5; n++) client.send();
          await pause(2);
        }
      };
      const loading = load();
      for (let kill = 0; kill < KILLS; kill++) {
        await pause(150 + ((kill * 37) % 100));
        await server.kill();
        await pause(100);
        await server.restart();
        const sent = () => clients.reduce((sum, client) => sum + client.events('sent').length, 0);
        const before = sent();
        await waitUntil('messages are stored again', () => sent() > before + 20, 15_000);
      }
      isLoaded = false;
      await loading;
      await Promise.all(clients.map((client) => client.settled(15_000)));
      const head = Number(await server.command('HGET', keysOf('r').meta, 'seq'));
      await waitUntil('all have all', () => clients.every(({ place }) => place?.seq === head));
      await clients[0]?.readAll();
      expect(
        check(
          clients.map(({ history }) => history),
          { settled: true },
        ),
      ).toEqual([]);
      expect(clients.flatMap((client) => client.events('joined').filter(({ lost }) => lost))).toEqual([]);
      // Each start begins a term. A node that was still reconnecting at the next kill misses one.
      const terms = String(await server.command('HGET', keysOf('r').meta, 'terms')).split(',');
      expect(terms).toHaveLength(Math.min(KILLS + 1, MAX_TERMS));
      const epochs = new Set(clients.flatMap((client) => client.events('joined').map(({ epoch }) => epoch)));
      expect(epochs.size).toBeGreaterThan(1);
      await expectWhole(server, 'r');
    } finally {
      await Promise.all(nodes.map((node) => node.kill()));
    }
  },
  60_000 + KILLS * 5_000,
);

test('11: stores records, ids and meta together or not at all when Redis is out of memory', async () => {
  const server = await startRedis();
  const node = await startNode({ redis: [server.url] });
  const [ada, bob] = [await startClient('ada', [node]), await startClient('bob', [node])];
  await server.command('CONFIG', 'SET', 'maxmemory', Number(await server.info('used_memory')) + 2 * MiB);
  for (let i = 0; ada.events('error').length === 0 || bob.events('error').length === 0; i++) {
    for (const client of [ada, bob]) client.send(`${i} `.padEnd(8_000, '.'));
    if (i % 4 === 3) await pause(10);
    if (i > 2_000) throw new Error('Redis never refuses a message');
  }
  expect(new Set([...ada.events('error'), ...bob.events('error')].map(({ code }) => code))).toEqual(
    new Set(['unavailable']),
  );
  await waitUntil('all are decided', () => ada.events('error').length + bob.events('error').length > 2);
  await expectWhole(server, 'r');
  expect(await node.status('/readyz')).toBe(200);
  await server.command('CONFIG', 'SET', 'maxmemory', 0);
  await Promise.all([ada.settled(20_000), bob.settled(20_000)]);
  const head = Number(await server.command('HGET', keysOf('r').meta, 'seq'));
  await waitUntil('both have all', () => ada.place?.seq === head && bob.place?.seq === head);
  expect(check([ada.history, bob.history], { settled: true })).toEqual([]);
  await expectWhole(server, 'r');
}, 60_000);

test('12: names the exact gap to members of a node that Redis cut off, and that retention passed', async () => {
  const limit = ['client-output-buffer-limit', 'pubsub', '1mb', '1mb', 1] as const;
  const server = await startRedis({ config: [limit] });
  const options = { redis: [server.url], flags: ['--keep-megabytes', '1'] };
  const [near, far] = [await startNode(options), await startNode(options)];
  const [ada, bob] = [await startClient('ada', [near]), await startClient('bob', [far])];
  ada.send();
  await Promise.all([ada.settled(), waitUntil('he has it', () => bob.place?.seq === 1)]);
  const before = await far.memory();

  far.pause();
  const isCutOff = () => server.log.includes('overcoming of output buffer limits');
  for (let i = 0; i < 4_000 && !isCutOff(); i++) {
    ada.send(`${i} `.padEnd(14_000, '.'));
    if (ada.pending > 50) await waitUntil('the node keeps up', () => ada.pending < 25);
  }
  expect(isCutOff()).toBe(true);
  for (let i = 0; i < 200; i++) ada.send(`more ${i} `.padEnd(14_000, '.'));
  await ada.settled();
  const [head, first] = ((await server.command('HMGET', keysOf('r').meta, 'seq', 'first')) as string[]).map(Number);
  expect(first).toBeGreaterThan(300);
  far.resume();
  await waitUntil('he has the newest', () => bob.place?.seq === head, 15_000);

  const gaps = bob.events('gap');
  expect(gaps).toMatchObject([{ why: 'trimmed', to: (first ?? 0) - 1 }]);
  const shown = bob.events('message').map(({ seq }) => seq);
  const { from = 0, to = 0 } = gaps[0] ?? {};
  const expected = Array.from({ length: head ?? 0 }, (_, i) => i + 1).filter((seq) => seq < from || seq > to);
  expect(shown).toEqual(expected);
  expect(check([ada.history, bob.history], { settled: true })).toEqual([]);
  expect((await far.memory()) - before).toBeLessThan(64 * MiB);
}, 60_000);
