import { readFileSync, statSync, truncateSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { keysOf } from '../../src/engine/redis/keys.ts';
import { findRedis } from '../redis/install.ts';
import { RedisProcess } from '../redis/redis-process.ts';
import { waitUntil } from '../redis/wait.ts';
import { Node } from './redis-helper.ts';

const installed = await findRedis();
beforeEach((context) => context.skip(!installed.path, installed.reason));

let server: RedisProcess;
let rooms = 0;
const nodes: Node[] = [];
beforeAll(async () => {
  if (installed.path) server = await RedisProcess.start();
});
afterAll(() => server?.stop());
afterEach(async () => {
  const breaches = nodes.flatMap((node) => node.breaches);
  await Promise.all(nodes.splice(0).map((node) => node.engine.close()));
  expect(breaches).toEqual([]);
});

/** Starts nodes that have attached a room. */
async function inRoom(count: number, room = `room ${++rooms}`) {
  const started: Node[] = [];
  for (let i = 0; i < count; i++) {
    const node = await Node.start(server.url, { patienceMs: 3_000 });
    nodes.push(node);
    await node.attach(room);
    started.push(node);
  }
  return { room, keys: keysOf(room), nodes: started as [Node, Node] };
}

/** Has the log begin a term at its next use, as after a restart. */
const restart = () => server.command('DEBUG', 'CHANGE-REPL-ID');

/** Returns the last token of a room's terms. */
async function tokenOf(room: string): Promise<string> {
  const terms = String(await server.command('HGET', keysOf(room).meta, 'terms'));
  return terms.split(',').at(-1)?.split(':')[0] as string;
}

/** Writes an entry as the append script does. */
async function write(room: string, last: number, term: string, ...texts: string[]): Promise<void> {
  const lines = texts.map((text) => JSON.stringify(['a', 's', '', text, text.length, 1])).join(',\n');
  const fields = ['c', texts.length, 't', 1234, 'e', term, 'b', 100, 'p', lines];
  await server.command('XADD', keysOf(room).log, `${last}-0`, ...fields);
}

const damage = (room: string, loss: string) =>
  `room ${JSON.stringify(room)}: mended its log after Redis loaded a torn append-only file; ${loss}; after a kill of Redis run redis-check-aof --fix before its start`;

describe('a log that Redis has restored in part', () => {
  test('loses an entry that its meta does not know, which nobody was shown', async () => {
    const { room, keys, nodes } = await inRoom(2);
    const [a, b] = nodes;
    await a.append(room, ['1', 'one']);
    await write(room, 4, await tokenOf(room), 'torn', 'torn', 'torn');
    for (const key of keys.ids) await server.command('HSET', key, 'torn id', 4);
    await restart();
    expect(await a.append(room, '2', '3')).toEqual([
      { kind: 'stored', seq: 2 },
      { kind: 'stored', seq: 3 },
    ]);
    await waitUntil('the other has them', () => b.head(room) === 3);
    expect([a.texts(room), b.texts(room)]).toEqual([
      ['1', '2', '3'],
      ['1', '2', '3'],
    ]);
    expect((await b.engine.read(room, 0, 9)).map(({ data }) => data)).toEqual(['1', '2', '3']);
    expect([...a.errors, ...b.errors]).toEqual([damage(room, 'no message is lost')]);
    expect(a.moves).toMatchObject([{ seq: 1 }]);
    expect(await a.append(room, ['1', 'one'])).toEqual([{ kind: 'duplicate', seq: 1 }]);
    for (const key of keys.ids) expect(await server.command('HEXISTS', key, 'torn id')).toBe(0);
  });

  test('names the messages that its meta counts and that its stream lacks', async () => {
    const { room, keys, nodes } = await inRoom(2);
    const [a, b] = nodes;
    for (const text of ['1', '2', '3']) await a.append(room, [text, text]);
    await waitUntil('the other has them', () => b.head(room) === 3);
    const { epoch } = a.engine.position(room);
    await server.command('XDEL', keys.log, '2-0', '3-0');
    await restart();
    expect(await b.append(room, ['3', '3'], ['1', '1'])).toEqual([
      { kind: 'stored', seq: 2 },
      { kind: 'duplicate', seq: 1 },
    ]);
    await waitUntil('both have it', () => [a, b].every((node) => node.texts(room).join() === '1,3'));
    expect([...a.errors, ...b.errors]).toEqual([damage(room, 'lost messages 2 to 3')]);
    for (const node of [a, b]) {
      expect(node.moves).toMatchObject([{ seq: 1 }]);
      expect(node.engine.position(room).earlier).toEqual([{ epoch, seq: 1 }]);
    }
  });

  test('names a stored message that one of an earlier term has replaced, and goes on', async () => {
    const { room, keys, nodes } = await inRoom(1);
    const [a] = nodes;
    await a.append(room, '1');
    const first = await tokenOf(room);
    await restart();
    await a.append(room, ['real', 'r']);
    await server.command('XTRIM', keys.log, 'MAXLEN', 0);
    await server.command('DEL', keys.log);
    await write(room, 1, first, '1');
    await write(room, 4, first, 'torn', 'torn', 'torn');
    const { epoch } = a.engine.position(room);
    await restart();
    const late = (await inRoom(1, room)).nodes[0];
    expect(late.engine.position(room)).toMatchObject({ seq: 1, earlier: [{ seq: 1 }, { epoch, seq: 1 }] });
    expect(late.errors).toEqual([damage(room, 'lost message 2')]);
    expect(await a.append(room, ['real', 'r'])).toEqual([{ kind: 'stored', seq: 2 }]);
    await waitUntil('both have it', () => late.head(room) === 2);
    expect(a.moves.at(-1)).toMatchObject({ seq: 1 });
    expect((await late.engine.read(room, 0, 9)).map(({ data }) => data)).toEqual(['1', 'real']);
  });

  test('keeps the messages that follow the replaced ones', async () => {
    const { room, keys, nodes } = await inRoom(1);
    const [a] = nodes;
    await a.append(room, '1');
    const first = await tokenOf(room);
    await restart();
    for (const text of ['2', '3', '4']) await a.append(room, [text, text]);
    const second = await tokenOf(room);
    await server.command('DEL', keys.log);
    await write(room, 1, first, '1');
    await write(room, 3, first, 'torn', 'torn');
    await write(room, 4, second, '4');
    await restart();
    const late = (await inRoom(1, room)).nodes[0];
    expect(late.errors).toEqual([damage(room, 'lost messages 2 to 3')]);
    expect(late.engine.position(room)).toMatchObject({ seq: 4 });
    expect(await a.append(room, ['2', '2'], ['4', '4'])).toEqual([
      { kind: 'stored', seq: 5 },
      { kind: 'duplicate', seq: 4 },
    ]);
    expect(a.moves.map(({ seq }) => seq)).toEqual([1, 4]); // its clients were shown all of them
    expect((await late.engine.read(room, 0, 9)).map(({ data }) => data)).toEqual(['4', '2']);
  });

  test.each([
    ['an entry above its end', false],
    ['a last id above its end', true],
  ])('does not reject messages for ever because of %s', async (_what, isRemoved) => {
    const { room, keys, nodes } = await inRoom(2);
    const [a, b] = nodes;
    await a.append(room, '1');
    await write(room, 9, 'foreign', 'torn');
    if (isRemoved) await server.command('XDEL', keys.log, '9-0');
    for (const node of [a, b]) node.send(room, 'both');
    await waitUntil('all are decided', () => a.decided(room).length === 2 && b.decided(room).length === 1);
    expect(a.decided(room)[1]?.kind).toBe('stored');
    expect(b.decided(room)[0]?.kind).toBe('stored');
    await waitUntil('both have all', () => a.head(room) === 3 && b.head(room) === 3);
    expect(a.texts(room)).toEqual(['1', 'both', 'both']);
    expect(a.moves).toMatchObject([{ seq: 1 }]);
    expect(a.moves).toEqual(b.moves);
    expect([...a.errors, ...b.errors]).toEqual([damage(room, 'no message is lost')]);
    await restart();
    expect(await b.append(room, '4')).toEqual([{ kind: 'stored', seq: 4 }]);
    expect([...a.errors, ...b.errors]).toHaveLength(1);
  });
});

test('a script that a kill has torn in the append-only file replaces no message silently', async () => {
  const torn = await RedisProcess.start({ appendFsync: 'always' });
  const start = async () => {
    const node = await Node.start(torn.url);
    nodes.push(node);
    return { node, position: await node.attach('x') };
  };
  try {
    const first = (await start()).node;
    await first.append('x', ['1', 'a']);
    const { size } = statSync(torn.appendFile);
    await first.append('x', ['torn', 'b'], ['torn', 'c'], ['torn', 'd']);
    await first.engine.close();
    await torn.kill();
    const cut = readFileSync(torn.appendFile).indexOf('HSET', size); // after the transaction's XADD
    expect(cut).toBeGreaterThan(size);
    truncateSync(torn.appendFile, cut + 6);
    await torn.restart();
    const second = (await start()).node;
    expect(await second.append('x', ['real', 'e'])).toEqual([{ kind: 'stored', seq: 2 }]);
    await second.engine.close();
    await torn.restart();
    // A server with the defect executes the rest of the torn transaction now.
    const { node: third, position } = await start();
    const isWhole = third.errors.length === 0;
    expect(third.errors).toEqual(isWhole ? [] : [damage('x', 'lost message 2')]);
    expect(position.seq).toBe(isWhole ? 2 : 1);
    expect(await third.append('x', ['torn', 'b'])).toEqual([{ kind: 'stored', seq: position.seq + 1 }]);
    const texts = (await third.engine.read('x', 0, 9)).map(({ data }) => data);
    expect(texts).toEqual(isWhole ? ['1', 'real', 'torn'] : ['1', 'torn']);
  } finally {
    await torn.stop();
  }
});

test('no whole log is mended, whatever was appended, trimmed and renamed', async () => {
  const { room, nodes } = await inRoom(2);
  const [a, b] = nodes;
  for (let i = 0; i < 60; i++) {
    const node = i % 3 === 0 ? a : b;
    node.send(room, ...Array.from({ length: i % 4 }, (_, j) => `${i} ${j} ${'x'.repeat(i)}`));
    if (i % 5 === 0) await restart();
    if (i % 7 === 0) await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await waitUntil('all are decided', () => a.decided(room).length + b.decided(room).length === 90);
  await waitUntil('all arrive', () => a.head(room) === 90 && b.head(room) === 90);
  expect([...a.errors, ...b.errors]).toEqual([]);
  expect(a.records(room)).toEqual(b.records(room));
});
