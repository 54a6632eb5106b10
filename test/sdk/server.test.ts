import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type Hub, type Message, type Options } from 'pumphouse/client';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { type Server, startServer } from '../server.ts';
import { MemoryStore } from './fake-server.ts';

const data = mkdtempSync(join(tmpdir(), 'pumphouse-sdk-'));
const flags = ['--engine', 'lmdb', '--data', data];
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

/** A hub on the real server, which does not wait for long before it comes back. */
function hubOf(user: string, options: Options = {}): Hub {
  const hub = connect(server.url, { WebSocket, user, ...options });
  hub.on('state', ({ name }) => {
    if (name === 'reconnecting') setTimeout(() => hub.reconnect(), 50);
  });
  hubs.push(hub);
  return hub;
}

async function until(what: string, done: () => boolean): Promise<void> {
  for (let i = 0; i < 1000; i++) {
    if (done()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`it did not come to: ${what}`);
}

test('two programs talk, see each other come, signal and go, and read back', async () => {
  interface Chat {
    readonly text: string;
  }
  const [ada, bob] = [hubOf('ada').join<Chat, { typing: boolean }>('talk'), hubOf('bob').join<Chat>('talk')];
  const heard: Message<Chat>[] = [];
  const signals: unknown[] = [];
  bob.on('message', (message) => heard.push(message));
  bob.on('signal', (signal) => signals.push(signal));
  await until('both are in', () => ada.members?.length === 2 && bob.members?.length === 2);
  ada.signal({ typing: true });
  expect(await ada.send({ text: 'one' })).toBe(1);
  expect(await bob.send({ text: 'two' })).toBe(2);
  await until('bob hears both', () => heard.length === 2);
  expect(heard).toMatchObject([
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

test('what is sent while the server is killed again and again is there once, in order, and everyone hears it', async () => {
  const [writer, reader] = [hubOf('writer').join<number>('killed'), hubOf('reader').join<number>('killed')];
  const heard: number[] = [];
  reader.on('message', ({ data }) => heard.push(data));
  reader.on('gap', (gap) => heard.push(Number.NaN, gap.from));
  await until('both are in', () => writer.place !== undefined && reader.place !== undefined);
  const seqs: Promise<number>[] = [];
  const talking = setInterval(() => seqs.push(writer.send(seqs.length + 1)), 10);
  for (let kills = 0; kills < 3; kills++) {
    await new Promise((resolve) => setTimeout(resolve, 400));
    await server.kill('SIGKILL');
    server = await startServer(flags, server.port);
  }
  clearInterval(talking);
  const all = Array.from(seqs, (_, i) => i + 1);
  expect(await Promise.all(seqs)).toEqual(all);
  await until('all is heard', () => heard.length >= all.length);
  expect(heard).toEqual(all);
}, 60_000);

test('a server that ends says when to come back', async () => {
  const hub = hubOf('drained');
  const states: unknown[] = [];
  hub.on('state', (state) => states.push(state));
  await until('it is live', () => hub.state.name === 'live');
  const { port } = server;
  await server.kill('SIGTERM');
  await until('it is told', () =>
    states.some((state) => (state as { why?: string }).why === 'the server is shutting down'),
  );
  server = await startServer(flags, port);
  await until('it is live again', () => hub.state.name === 'live');
});

test('another connection of the same session ends this one for good', async () => {
  const storage = new MemoryStore();
  const first = hubOf('twice', { storage });
  await until('it is live', () => first.state.name === 'live');
  const second = hubOf('twice', { storage });
  await until('the first is refused', () => first.state.name === 'refused');
  expect(first.state).toMatchObject({ code: 4500, why: 'another connection goes on with this session' });
  expect(second.state.name).toBe('live');
});
