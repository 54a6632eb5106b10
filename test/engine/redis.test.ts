import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { keysOf } from '../../src/engine/redis/keys.ts';
import { redis } from '../../src/engine/redis/redis.ts';
import { findRedis } from '../redis/install.ts';
import { RedisProcess } from '../redis/redis-process.ts';
import { Node, until } from './redis-helper.ts';

let server: RedisProcess;
let nodes: Node[] = [];
let rooms = 0;

const installed = await findRedis();
beforeEach((context) => context.skip(!installed.path, installed.reason));
beforeAll(async () => {
  if (!installed.path) return;
  server = await RedisProcess.start();
});

afterAll(() => installed.path && server.stop());

afterEach(async () => {
  for (const node of nodes) {
    await node.engine.close();
    expect(node.breaches).toEqual([]);
  }
  nodes = [];
});

async function start(options: Parameters<typeof Node.start>[1] = {}): Promise<Node> {
  const node = await Node.start(server.url, options);
  nodes.push(node);
  return node;
}

/** A room that no other test uses. */
const newRoom = () => `room ${++rooms} 👋`;

async function two(options = {}) {
  const room = newRoom();
  const [a, b] = [await start(options), await start(options)];
  await a.attach(room);
  await b.attach(room);
  return { room, a, b };
}

/** Appends in the name of another node, and loses the push. */
async function appendUnheard(room: string, ...seqs: number[]): Promise<void> {
  const { meta, log } = keysOf(room);
  for (const seq of seqs) {
    const line = JSON.stringify(['x', 's', '', `"lost ${seq}"`, 8, 1]);
    await server.command('XADD', log, `${seq}-0`, 'c', '1', 't', '1234', 'e', 'x', 'b', '0', 'p', line);
    await server.command('HSET', meta, 'seq', String(seq));
  }
}

describe('two nodes on Redis', () => {
  test('agree on the log of a new room that both open at once', async () => {
    const [a, b] = [await start(), await start()];
    for (let i = 0; i < 20; i++) {
      const room = newRoom();
      const [left, right] = await Promise.all([a.attach(room), b.attach(room)]);
      expect(left).toEqual({ epoch: left.epoch, seq: 0, first: 1, earlier: [] });
      expect(right).toEqual(left);
    }
  });

  test('see one order, each record once and without a hole', async () => {
    const { room, a, b } = await two();
    for (let i = 0; i < 200; i++) {
      a.send(room, `a${i}`, `a${i}'`);
      b.send(room, `b${i}`);
      if (i % 5 === 0) await new Promise(setImmediate);
    }
    await until('all records arrive', () => a.head(room) === 600 && b.head(room) === 600);
    expect(a.records(room)).toEqual(b.records(room));
    const own = a.texts(room).filter((text) => text.startsWith('a'));
    expect(own).toEqual(Array.from({ length: 200 }, (_, i) => [`a${i}`, `a${i}'`]).flat());
    await until('all drafts are decided', () => a.decided(room).length === 400 && b.decided(room).length === 200);
    const seqs = [...a.decided(room), ...b.decided(room)].map((outcome) => 'seq' in outcome && outcome.seq);
    expect(new Set(seqs).size).toBe(600);
    expect(a.commits.every(({ own }) => !own)).toBe(true);
    expect(a.engine.position(room)).toEqual(b.engine.position(room));
  });

  test('give records whole to nodes that read them pushed, from the reply, and from the log', async () => {
    const { room, a, b } = await two();
    a.engine.append(room, [
      { room, from: 'anna', sender: 's1', id: 'i1', data: 'text "1"\n👋', bytes: 15 },
      { room, from: '', id: '', data: '{"a":\u2028[1]}', json: true, bytes: 11 },
    ]);
    await until('the other node has it', () => b.head(room) === 2 && a.head(room) === 2);
    const at = b.records(room)[0]?.at;
    expect(at).toBeGreaterThan(1.7e12);
    expect(b.records(room)).toEqual([
      { seq: 1, at, from: 'anna', sender: 's1', id: 'i1', data: 'text "1"\n👋', json: false, bytes: 15 },
      { seq: 2, at, from: '', sender: '', id: '', data: '{"a":\u2028[1]}', json: true, bytes: 11 },
    ]);
    expect(a.records(room)).toEqual(b.records(room));
    expect(await b.engine.read(room, 0, 10)).toEqual(b.records(room));
  });

  test('recognize a retry on another node, and log only the other drafts of its batch', async () => {
    const { room, a, b } = await two();
    await a.append(room, ['one', '1'], ['again', '1'], 'no id', 'no id', ['two', '2']);
    expect(await b.append(room, ['two', '2'], ['one', '1'])).toEqual([
      { kind: 'duplicate', seq: 4 },
      { kind: 'duplicate', seq: 1 },
    ]);
    expect(await b.append(room, ['one', '1'], ['three', '3'])).toEqual([
      { kind: 'duplicate', seq: 1 },
      { kind: 'stored', seq: 5 },
    ]);
    await until('both have all', () => a.head(room) === 5 && b.head(room) === 5);
    expect(a.texts(room)).toEqual(['one', 'no id', 'no id', 'two', 'three']);
    expect(b.records(room)).toEqual(a.records(room));
    expect(await a.engine.read(room, 0, 9)).toEqual(a.records(room));
    expect(await server.command('XLEN', keysOf(room).log)).toBe(2);
  });

  test('follow a room from a batch that arrives while it is attached', async () => {
    const room = newRoom();
    const [a, b] = [await start(), await start()];
    await a.attach(room);
    let open = true;
    const load = (async () => {
      for (let i = 0; open; i++) {
        a.send(room, `${i}`);
        await new Promise(setImmediate);
      }
    })();
    for (let i = 0; i < 50; i++) {
      const { seq } = await b.attach(room);
      await until('the next records arrive', () => b.head(room) > seq + 3);
      b.engine.release(room);
      b.heads.delete(room);
    }
    open = false;
    await load;
    expect(b.breaches).toEqual([]);
  });

  test('lose nothing that is published at the moment of the attach', async () => {
    const [a, b] = [await start(), await start()];
    const names = Array.from({ length: 400 }, newRoom);
    await Promise.all(names.map((room) => a.attach(room)));
    const attached = names.map((room) => b.attach(room));
    for (const [i, room] of names.entries()) {
      a.send(room, '1');
      if (i % 40 === 0) await new Promise(setImmediate);
    }
    await Promise.all(attached);
    for (const room of names) await until(`it is in ${room}`, () => b.engine.position(room).seq === 1, 1_000);
  });

  test('hear nothing of the same room in another database of the server', async () => {
    const room = newRoom();
    const [a, b] = [await start({ url: `${server.url}/0` }), await start({ url: `${server.url}/1` })];
    for (const node of [a, b]) await node.attach(room);
    await a.append(room, 'one');
    await b.append(room, 'two');
    expect([a.texts(room), b.texts(room)]).toEqual([['one'], ['two']]);
    expect([a.moves, b.moves]).toEqual([[], []]);
    await b.append(room, 'three');
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(a.texts(room)).toEqual(['one']);
  });

  test('attach a room at once after its release', async () => {
    const { room, a, b } = await two();
    for (let i = 1; i <= 20; i++) {
      b.engine.release(room);
      await b.attach(room);
      await a.append(room, `${i}`);
      await until('it arrives', () => b.head(room) === i);
    }
  });

  test('receive nothing of a released room', async () => {
    const { room, a, b } = await two();
    b.engine.release(room);
    await a.append(room, 'one');
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(b.commits).toEqual([]);
    expect(() => b.engine.position(room)).toThrow('is not attached');
  });
});

describe('a push that is lost', () => {
  test('is read from the log when the next one shows the hole', async () => {
    const { room, a, b } = await two();
    await a.append(room, '1');
    await until('both have it', () => b.head(room) === 1);
    await appendUnheard(room, 2, 3);
    const [outcome] = await a.append(room, '4');
    expect(outcome).toEqual({ kind: 'stored', seq: 4 });
    await until('both have all', () => a.head(room) === 4 && b.head(room) === 4);
    expect(b.texts(room)).toEqual(['1', '"lost 2"', '"lost 3"', '4']);
    expect(a.texts(room)).toEqual(b.texts(room));
    expect(a.skips).toEqual([]);
  });

  test('is found by the audit when it was the last of a quiet room', async () => {
    const { room, a } = await two({ auditMs: 300 });
    await a.append(room, '1');
    await appendUnheard(room, 2);
    await until('the audit finds it', () => a.head(room) === 2, 2_000);
    expect(a.moves).toEqual([]);
  });

  test('is skipped when the log does not reach it any more', async () => {
    const { room, a } = await two();
    await a.append(room, '1');
    await appendUnheard(room, 2, 3, 4, 5);
    const { meta, log } = keysOf(room);
    await server.command('XTRIM', log, 'MINID', '4-0');
    await server.command('HSET', meta, 'first', '4');
    await a.append(room, '6');
    expect(a.skips).toEqual([{ room, epoch: a.engine.position(room).epoch, seq: 3 }]);
    expect(a.texts(room)).toEqual(['1', '"lost 4"', '"lost 5"', '6']);
    expect(a.engine.position(room)).toMatchObject({ first: 4, seq: 6 });
  });

  test('is skipped to the head when more is missing than one repair reads', async () => {
    const { room, a } = await two();
    await a.append(room, '1');
    const { meta, log } = keysOf(room);
    const line = JSON.stringify(['x', '', '', 'x'.repeat(100_000), 100_000, 0]);
    for (let seq = 2; seq <= 140; seq++) {
      await server.command('XADD', log, `${seq}-0`, 'c', '1', 't', '1', 'e', 'x', 'b', '0', 'p', line);
    }
    await server.command('HSET', meta, 'seq', '140');
    await a.append(room, 'last');
    expect(a.skips).toMatchObject([{ seq: 141 }]);
    expect(a.commits.length).toBeLessThan(10);
    await a.append(room, 'after');
    expect(a.records(room).at(-1)).toMatchObject({ seq: 142, data: 'after' });
    expect(await a.engine.read(room, 130, 3)).toHaveLength(3);
  });
});

describe('the stored log', () => {
  test('keeps the newest bytes and says where it begins', async () => {
    const { room, a, b } = await two({ retention: { ms: 1e9, bytes: 1000 } });
    for (let i = 0; i < 100; i++) await a.append(room, 'x'.repeat(i % 90), 'x'.repeat(i % 7));
    await until('both have all', () => b.head(room) === 200);
    const records = await b.engine.read(room, 0, 1000);
    const bytes = records.reduce((sum, record) => sum + record.bytes, 0);
    expect(bytes).toBeLessThanOrEqual(1125);
    expect(bytes).toBeGreaterThan(500);
    expect(records.at(-1)?.seq).toBe(200);
    expect(b.engine.position(room).first).toBe(records[0]?.seq);
    expect(a.engine.position(room)).toEqual(b.engine.position(room));
    await a.append(room, 'y'.repeat(5000));
    expect((await a.engine.read(room, 0, 1000)).at(-1)?.bytes).toBe(5000);
    expect(a.engine.position(room)).toMatchObject({ first: 201, seq: 201 });
  });

  test('keeps records of up to an age', async () => {
    const { room, a } = await two({ retention: { ms: 400, bytes: 1e6 } });
    await a.append(room, '1', '2');
    await a.append(room, '3');
    await new Promise((resolve) => setTimeout(resolve, 600));
    await a.append(room, '4');
    expect(a.engine.position(room)).toMatchObject({ first: 4, seq: 4 });
    await a.append(room, '5');
    expect((await a.engine.read(room, 0, 9)).map(({ seq }) => seq)).toEqual([4, 5]);
  });

  test('is trimmed by the bounds of its room, which its keys outlive', async () => {
    const retention = (room: string) =>
      room.startsWith('small') ? { ms: 1e9, bytes: 1000 } : { ms: 1e10, bytes: 1e6 };
    const a = await start({ retention });
    const [small, large] = [`small ${newRoom()}`, newRoom()];
    for (const room of [small, large]) {
      await a.attach(room);
      for (let i = 0; i < 50; i++) await a.append(room, 'x'.repeat(100));
    }
    expect(a.engine.position(small).first).toBeGreaterThan(35);
    expect(a.engine.position(large).first).toBe(1);
    const ttlOf = (room: string) => server.command('PTTL', keysOf(room).log);
    expect(await ttlOf(small)).toBeLessThan(2e9);
    expect(await ttlOf(large)).toBeGreaterThan(9e9);
  });

  test('updates the first record of the position when a read finds records gone', async () => {
    const { room, a } = await two();
    await a.append(room, '1');
    await a.append(room, '2');
    await a.append(room, '3');
    await server.command('XTRIM', keysOf(room).log, 'MINID', '3-0');
    expect(a.engine.position(room).first).toBe(1);
    expect((await a.engine.read(room, 0, 9)).map(({ seq }) => seq)).toEqual([3]);
    expect(a.engine.position(room).first).toBe(3);
    await server.command('DEL', keysOf(room).log);
    expect(await a.engine.read(room, 0, 9)).toEqual([]);
    expect(a.engine.position(room)).toMatchObject({ first: 4, seq: 3 });
  });

  test('reads any part of what was stored in batches', async () => {
    const { room, a } = await two();
    for (let i = 0; i < 30; i++) a.send(room, ...Array.from({ length: 10 }, (_, j) => `${10 * i + j}`));
    await until('all are stored', () => a.head(room) === 300);
    const all = a.records(room);
    expect(await a.engine.read(room, 0, 1000)).toEqual(all);
    expect(await a.engine.read(room, 137, 25)).toEqual(all.slice(137, 162));
    expect(await a.engine.read(room, 300, 5)).toEqual([]);
    expect(await a.engine.read(room, 290, 0)).toEqual([]);
    expect(await a.engine.read(newRoom(), 0, 5)).toEqual([]);
  });

  test('never goes back in time', async () => {
    const { room, a } = await two();
    await a.append(room, '1');
    const future = Date.now() + 60_000;
    await server.command('HSET', keysOf(room).meta, 'time', String(future));
    await a.append(room, '2');
    expect(a.records(room).at(-1)?.at).toBe(future);
  });

  test('expires all keys of a room after its retention', async () => {
    const { room, a } = await two({ retention: { ms: 1e9, bytes: 1e6 } });
    const { meta, log, ids } = keysOf(room);
    expect(await server.command('PTTL', meta)).toBeGreaterThan(3.5e6);
    await a.append(room, '1');
    await a.append(room, ['2', 'id']);
    const ttls = (await Promise.all([meta, log, ...ids].map((key) => server.command('PTTL', key)))) as number[];
    const stored = ttls.filter((ttl) => ttl !== -2); // a generation of ids is missing
    expect(stored).toHaveLength(3);
    for (const ttl of stored) expect(ttl).toBeGreaterThan(1e9);
  });
});

describe('what Redis refuses', () => {
  test('fails a batch whole when memory is full, and recovers', async () => {
    const { room, a, b } = await two();
    await a.append(room, ['1', 'one']);
    const keys = () => Promise.all([keysOf(room).log, keysOf(room).meta].map((key) => server.command('DUMP', key)));
    const before = await keys();
    await server.command('CONFIG', 'SET', 'maxmemory', '1');
    const outcomes = await a.append(room, ['2', 'two'], '3');
    const during = await keys();
    await server.command('CONFIG', 'SET', 'maxmemory', '0');
    expect(outcomes).toEqual([{ kind: 'failed' }, { kind: 'failed' }]);
    expect(during).toEqual(before);
    expect(a.errors[0]).toMatch(/^room ".*": OOM /);
    expect(await a.append(room, ['2', 'two'])).toEqual([{ kind: 'stored', seq: 2 }]);
    await until('the other has it', () => b.head(room) === 2);
  });

  test('fails what exceeds 16 MiB waiting, in order', async () => {
    const { room, a } = await two();
    const big = 'x'.repeat(1024 * 1024);
    for (let i = 0; i < 20; i++) a.send(room, `${i}${big}`);
    a.send(room, 'small');
    await until('all are decided', () => a.decided(room).length === 21);
    const kinds = a.decided(room).map(({ kind }) => kind);
    expect(kinds.slice(0, 15)).toEqual(new Array(15).fill('stored'));
    expect(kinds.slice(15, 20)).toEqual(new Array(5).fill('failed'));
    expect(await a.append(room, 'after')).toMatchObject([{ kind: 'stored' }]);
  });

  test('loads the script again when Redis has forgotten it', async () => {
    const { room, a } = await two();
    await server.command('SCRIPT', 'FLUSH');
    expect(await a.append(room, '1')).toEqual([{ kind: 'stored', seq: 1 }]);
    await server.command('SCRIPT', 'FLUSH');
    expect(await a.attach(newRoom())).toMatchObject({ seq: 0 });
  });

  test.each([
    ['a meta of another type', (room: string) => server.command('LPUSH', keysOf(room).meta, 'x')],
    ['a meta without numbers', (room: string) => server.command('HSET', keysOf(room).meta, 'log', 'x', 'seq', 'y')],
  ])('rejects the attach of a room with %s', async (_what, spoil) => {
    const a = await start({ patienceMs: 500 });
    const room = newRoom();
    await spoil(room);
    await expect(a.attach(room)).rejects.toThrow(`room ${JSON.stringify(room)}: `);
    expect(await a.attach(newRoom())).toMatchObject({ seq: 0 });
  });

  test('fails the appends to a room whose keys were overwritten, and no other', async () => {
    const { room, a } = await two();
    await a.append(room, '1');
    await server.command('SET', keysOf(room).log, 'foreign');
    expect(await a.append(room, '2')).toEqual([{ kind: 'failed' }]);
    expect(a.errors.join()).toMatch(/^room ".*": WRONGTYPE/);
    const other = newRoom();
    await a.attach(other);
    expect(await a.append(other, '1')).toEqual([{ kind: 'stored', seq: 1 }]);
  });

  test('passes over a malformed entry with an error, and rejects reading it', async () => {
    const { room, a } = await two();
    await a.append(room, '1');
    const { meta, log } = keysOf(room);
    await server.command('XADD', log, '2-0', 'foreign', 'bytes');
    await server.command('HSET', meta, 'seq', '2');
    expect(await a.append(room, '3')).toEqual([{ kind: 'stored', seq: 3 }]);
    expect(a.errors).toEqual([`room ${JSON.stringify(room)}: the entry 2-0 is malformed`]);
    expect(a.skips).toMatchObject([{ room, seq: 2 }]);
    await expect(a.engine.read(room, 1, 1)).rejects.toThrow('the entry 2-0 is malformed');
  });

  test.each(['r', 'r1 2 3', 'rx x x x x x\n', 'r\n', ''])('survives the foreign message %j', async (message) => {
    const { room, a, b } = await two();
    await server.command('PUBLISH', keysOf(room).channel, message);
    expect(await a.append(room, '1')).toEqual([{ kind: 'stored', seq: 1 }]);
    await until('the other has it', () => b.head(room) === 1);
  });

  test('repairs a pushed batch with a foreign payload from the log', async () => {
    const { room, a, b } = await two();
    await a.append(room, '1');
    await until('both have it', () => b.head(room) === 1);
    const [log, term] = a.engine.position(room).epoch.split('-');
    await server.command('PUBLISH', keysOf(room).channel, `r${log} ${term} 1 1 5 1 run 1\n["no record"]`);
    await until('it is reported', () => b.errors.length > 0);
    expect(await a.append(room, '2')).toEqual([{ kind: 'stored', seq: 2 }]);
    await until('both have it', () => b.head(room) === 2);
  });
});

describe('the start', () => {
  const noListener = { committed() {}, decided() {}, moved() {}, skipped() {}, changed() {} };

  test('rejects with one line when Redis cannot be reached', async () => {
    const engine = redis({ url: 'redis://user:secret@127.0.0.1:1' });
    const error = await Promise.resolve(engine.open(noListener)).then(
      () => undefined,
      (reason: Error) => reason,
    );
    expect(error?.message).toBe('127.0.0.1:1: cannot be reached (ECONNREFUSED)');
  });

  test('warns of settings that lose messages', async () => {
    await server.command('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
    const a = await start();
    await server.command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
    const name = new URL(server.url).host;
    expect(a.warnings).toEqual([
      `${name}: maxmemory-policy allkeys-lru deletes rooms when the memory is full; set maxmemory-policy noeviction`,
      `${name}: appendonly no loses messages when the server restarts; set appendonly yes`,
    ]);
  });

  test('shares the rooms among several shards', async () => {
    const second = await RedisProcess.start();
    try {
      const a = await Node.start([server.url, second.url]);
      nodes.push(a);
      const names = Array.from({ length: 40 }, newRoom);
      await Promise.all(names.map((room) => a.attach(room)));
      for (const room of names) expect(await a.append(room, room)).toEqual([{ kind: 'stored', seq: 1 }]);
      const counts = await Promise.all(
        [server, second].map((shard) => shard.command('EXISTS', ...names.map((room) => keysOf(room).log))),
      );
      expect(counts[0] as number).toBeGreaterThan(5);
      expect((counts[0] as number) + (counts[1] as number)).toBe(40);
      await second.kill();
      await until('the engine is away', () => a.states.includes('away'));
      await second.restart();
      await until('the engine is back', () => a.states.includes('ready'));
    } finally {
      await second.stop();
    }
  });
});
