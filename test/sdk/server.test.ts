import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type Hub, type Message, type Options } from 'pumphouse/client';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { type Server, startServer } from '../server.ts';
import { BadProxy } from './bad-proxy.ts';
import { MemoryStore } from './fakes.ts';

const data = mkdtempSync(join(tmpdir(), 'pumphouse-sdk-'));
const flags = ['--engine', 'lmdb', '--data', data, '--publish-rate', 'off'];
const hubs: Hub[] = [];

let server: Server;

beforeAll(async () => {
  server = await startServer(flags);
});
afterEach(() => {
  for (const hub of hubs.splice(0)) hub.close();
});
afterAll(async () => {
  await server.kill();
  rmSync(data, { recursive: true, force: true });
});

/** Connects to the real server, and reconnects after 50 ms at most. */
function connectOver(transport: 'websocket' | 'http', user: string, options: Options = {}): Hub {
  const hub = connect(server.url, { WebSocket, user, transport, ...options });
  hub.on('state', ({ name }) => {
    if (name === 'reconnecting') setTimeout(() => hub.reconnect(), 50);
  });
  hubs.push(hub);
  return hub;
}

async function until(expectation: string, condition: () => boolean): Promise<void> {
  for (let i = 0; i < 1000; i++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`timed out after 10 s, waiting until ${expectation}`);
}

const TRANSPORTS = ['websocket', 'http'] as const;

// Each start of the server is for both transports.
describe('over each transport', () => {
  test('messages sent while the server is killed repeatedly are stored and delivered once, in order', async () => {
    const pairs = TRANSPORTS.map((transport) => {
      const [writer, reader] = [
        connectOver(transport, 'writer').join<number>(`killed over ${transport}`),
        connectOver(transport, 'reader').join<number>(`killed over ${transport}`),
      ];
      const received: number[] = [];
      reader.on('message', ({ data }) => received.push(data));
      reader.on('gap', (gap) => received.push(Number.NaN, gap.from));
      return { transport, writer, reader, received, seqs: [] as Promise<number>[] };
    });
    await until('all have joined', () =>
      pairs.every(({ writer, reader }) => writer.place !== undefined && reader.place !== undefined),
    );
    const writing = setInterval(() => {
      for (const { writer, seqs } of pairs) seqs.push(writer.send(seqs.length + 1));
    }, 10);
    for (let kills = 0; kills < 3; kills++) {
      await new Promise((resolve) => setTimeout(resolve, 400));
      await server.kill('SIGKILL');
      server = await startServer(flags, server.port);
    }
    clearInterval(writing);
    for (const { transport, received, seqs } of pairs) {
      const expected = Array.from(seqs, (_, i) => i + 1);
      expect(await Promise.all(seqs), transport).toEqual(expected);
      await until(`the reader over ${transport} has received everything`, () => received.length >= expected.length);
      expect(received, transport).toEqual(expected);
    }
  }, 60_000);

  test('reports the shutdown of the server, and reconnects after its restart', async () => {
    const drained = TRANSPORTS.map((transport) => {
      const hub = connectOver(transport, 'drained');
      const states: unknown[] = [];
      hub.on('state', (state) => states.push(state));
      return { transport, hub, states };
    });
    await until('the hubs are live', () => drained.every(({ hub }) => hub.state.name === 'live'));
    const { port } = server;
    await server.kill('SIGTERM');
    for (const { transport, states } of drained) {
      await until(`the hub over ${transport} reports the shutdown`, () =>
        states.some((state) => (state as { why?: string }).why === 'the server is shutting down'),
      );
    }
    server = await startServer(flags, port);
    for (const { transport, hub } of drained) {
      await until(`the hub over ${transport} is live again`, () => hub.state.name === 'live');
    }
  });
});

describe.each(TRANSPORTS)('over %s', (transport) => {
  const connectAs = (user: string, options: Options = {}) => connectOver(transport, user, options);

  test('two programs exchange messages, signals and presence, and read the history', async () => {
    interface Chat {
      readonly text: string;
    }
    const [ada, bob] = [
      connectAs('ada').join<Chat, { typing: boolean }>(`talk over ${transport}`),
      connectAs('bob').join<Chat>(`talk over ${transport}`),
    ];
    const received: Message<Chat>[] = [];
    const signals: unknown[] = [];
    bob.on('message', (message) => received.push(message));
    bob.on('signal', (signal) => signals.push(signal));
    await until('both have joined', () => ada.members?.length === 2 && bob.members?.length === 2);
    ada.signal({ typing: true });
    expect(await ada.send({ text: 'one' })).toBe(1);
    expect(await bob.send({ text: 'two' })).toBe(2);
    await until('bob has received both', () => received.length === 2);
    expect(received).toMatchObject([
      { seq: 1, from: 'ada', data: { text: 'one' } },
      { seq: 2, from: 'bob', data: { text: 'two' } },
    ]);
    expect(signals).toEqual([{ from: 'ada', data: { typing: true } }]);
    const page = await ada.history({ limit: 1 });
    expect(page).toMatchObject({ messages: [{ seq: 2, data: { text: 'two' } }], more: true });
    bob.leave();
    await until('bob has left', () => ada.count === 1);
    expect(ada.members).toEqual(['ada']);
  });

  test('stops reconnecting when another connection resumes its session', async () => {
    const storage = new MemoryStore();
    const first = connectAs('twice', { storage });
    await until('the first hub is live', () => first.state.name === 'live');
    const second = connectAs('twice', { storage });
    await until('the first hub is refused', () => first.state.name === 'refused');
    expect(first.state).toMatchObject({ code: 4500, why: 'another connection goes on with this session' });
    await until('the second hub is live', () => second.state.name === 'live');
  });

  test('reports its transport, and joins and leaves rooms without an effect on the others', async () => {
    const hub = connectAs('ada');
    const events: string[] = [];
    const first = hub.join<string>(`first over ${transport}`);
    first.on('joined', () => events.push('joined'));
    first.on('message', ({ data }) => events.push(data));
    await first.send('one');
    expect(hub.state).toMatchObject({ name: 'live', transport });
    const states: string[] = [];
    hub.on('state', ({ name }) => states.push(name));
    const second = hub.join<string>(`second over ${transport}`);
    expect(await second.send('other')).toBe(1);
    await first.send('two');
    second.leave();
    await until('the server has seen it leave', () => first.count === 1);
    await first.send('three');
    await until('everything has arrived', () => events.includes('three'));
    expect([events, states]).toEqual([['joined', 'one', 'two', 'three'], []]);
  });

  test('receives what it missed, from a place of an earlier run', async () => {
    const writer = connectAs('writer').join<number>(`since over ${transport}`);
    for (const i of [1, 2, 3]) await writer.send(i);
    const place = { epoch: writer.place?.epoch ?? '', seq: 1 };
    const received: number[] = [];
    connectAs('reader')
      .join<number>(`since over ${transport}`, { since: place })
      .on('message', ({ data }) => received.push(data));
    await until('the reader has received them', () => received.length === 2);
    expect(received).toEqual([2, 3]);
  });
});

test('connects with the package ws where the platform has no WebSocket', async () => {
  vi.stubGlobal('WebSocket', undefined);
  const hub = connect(server.url, { user: 'ada' });
  hubs.push(hub);
  vi.unstubAllGlobals();
  expect(await hub.join('ws').send('hello')).toBe(1);
});

test('does not connect if it is closed while ws loads', async () => {
  vi.stubGlobal('WebSocket', undefined);
  const hub = connect(server.url, { user: 'ada' });
  const states: string[] = [];
  hub.on('state', ({ name }) => states.push(name));
  hub.close();
  vi.unstubAllGlobals();
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(states).toEqual(['closed']);
});

describe('behind a bad proxy', () => {
  test.each(['refuse', 'swallow'] as const)('falls back to HTTP where the proxy does %s upgrades', async (upgrades) => {
    const proxy = await BadProxy.start(server.port, upgrades);
    const hub = connect(proxy.url, { WebSocket, user: 'ada' });
    hubs.push(hub);
    const startedAt = performance.now();
    expect(await hub.join<string>(`behind ${upgrades}`).send('hello')).toBe(1);
    expect(hub.state).toMatchObject({ name: 'live', transport: 'http' });
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });

  test('loses and repeats none of 200 messages while the connections are cut', async () => {
    const proxy = await BadProxy.start(server.port, 'refuse');
    const options = { WebSocket, transport: 'http' } as const;
    const [writer, reader] = ['writer', 'reader'].map((user) => connect(proxy.url, { ...options, user })) as [Hub, Hub];
    hubs.push(writer, reader);
    for (const hub of [writer, reader]) {
      hub.on('state', ({ name }) => name === 'reconnecting' && setTimeout(() => hub.reconnect(), 50));
    }
    const [out, into] = [writer.join<number>('cut'), reader.join<number>('cut')];
    const received: number[] = [];
    const acknowledged: number[] = [];
    into.on('message', ({ data }) => received.push(data));
    into.on('gap', () => received.push(Number.NaN));
    out.on('sent', ({ seq }) => acknowledged.push(seq));
    await until('both have joined', () => out.place !== undefined && into.place !== undefined);
    const cutting = setInterval(() => proxy.cut(), 150);
    const sending: Promise<number>[] = [];
    for (let i = 1; i <= 200; i++) {
      sending.push(out.send(i));
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    clearInterval(cutting);
    const expected = Array.from(sending, (_, i) => i + 1);
    expect(await Promise.all(sending)).toEqual(expected);
    await until('the reader has received everything', () => received.length >= 200);
    expect(received).toEqual(expected);
    expect(acknowledged).toEqual(expected);
  }, 60_000);
});
