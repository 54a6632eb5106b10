import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type Hub, type Message, type Options } from 'pumphouse/client';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { type Server, startServer } from '../server.ts';
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
function connectAs(user: string, options: Options = {}): Hub {
  const hub = connect(server.url, { WebSocket, user, ...options });
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

test('two programs exchange messages, signals and presence, and read the history', async () => {
  interface Chat {
    readonly text: string;
  }
  const [ada, bob] = [connectAs('ada').join<Chat, { typing: boolean }>('talk'), connectAs('bob').join<Chat>('talk')];
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

test('messages sent while the server is killed repeatedly are stored and delivered once, in order', async () => {
  const [writer, reader] = [connectAs('writer').join<number>('killed'), connectAs('reader').join<number>('killed')];
  const received: number[] = [];
  reader.on('message', ({ data }) => received.push(data));
  reader.on('gap', (gap) => received.push(Number.NaN, gap.from));
  await until('both have joined', () => writer.place !== undefined && reader.place !== undefined);
  const seqs: Promise<number>[] = [];
  const writing = setInterval(() => seqs.push(writer.send(seqs.length + 1)), 10);
  for (let kills = 0; kills < 3; kills++) {
    await new Promise((resolve) => setTimeout(resolve, 400));
    await server.kill('SIGKILL');
    server = await startServer(flags, server.port);
  }
  clearInterval(writing);
  const expected = Array.from(seqs, (_, i) => i + 1);
  expect(await Promise.all(seqs)).toEqual(expected);
  await until('the reader has received everything', () => received.length >= expected.length);
  expect(received).toEqual(expected);
}, 60_000);

test('reports the shutdown of the server, and reconnects after its restart', async () => {
  const hub = connectAs('drained');
  const states: unknown[] = [];
  hub.on('state', (state) => states.push(state));
  await until('the hub is live', () => hub.state.name === 'live');
  const { port } = server;
  await server.kill('SIGTERM');
  await until('the hub reports the shutdown', () =>
    states.some((state) => (state as { why?: string }).why === 'the server is shutting down'),
  );
  server = await startServer(flags, port);
  await until('the hub is live again', () => hub.state.name === 'live');
});

test('stops reconnecting when another connection resumes its session', async () => {
  const storage = new MemoryStore();
  const first = connectAs('twice', { storage });
  await until('the first hub is live', () => first.state.name === 'live');
  const second = connectAs('twice', { storage });
  await until('the first hub is refused', () => first.state.name === 'refused');
  expect(first.state).toMatchObject({ code: 4500, why: 'another connection goes on with this session' });
  expect(second.state.name).toBe('live');
});
