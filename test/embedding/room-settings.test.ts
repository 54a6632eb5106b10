import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createServer, DataDir, lmdb, type Server, type ServerOptions } from 'pumphouse';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { Peer } from '../conformance/server.ts';
import { until } from '../integration/server.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const MiB = 1024 * 1024;

const servers: Server[] = [];
const folders: string[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()));
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

async function start(options: ServerOptions): Promise<Server> {
  const server = await createServer({ port: 0, publishRate: 'off', drainWindow: 0, ...options });
  servers.push(server);
  return server;
}

function createFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'pumphouse-rooms-'));
  folders.push(folder);
  return folder;
}

/** Sends messages to a room. @returns how many were stored and rejected, once all are decided. */
async function sendTo(peer: Peer, room: string, count: number, data = 'x') {
  const ids = Array.from({ length: count }, () => `id-${Math.random()}`);
  for (const id of ids) peer.send({ t: 'send', room, id, data });
  const isOurs = ({ id }: { id?: string }) => id !== undefined && ids.includes(id);
  const decided = () =>
    peer.got.filter((message) => (message.t === 'sent' || message.t === 'error') && isOurs(message));
  await until('every message is decided', () => decided().length === count);
  const rejected = decided().filter(({ t }) => t === 'error');
  return { stored: count - rejected.length, rejected };
}

test('batches the rooms of a prefix, unless a longer one says otherwise', async () => {
  const server = await start({
    rooms: {
      'busy:*': { coalesce: { maxDelayMs: 300, maxBytes: 65_536 } },
      'busy:now:*': { coalesce: { maxDelayMs: 0, maxBytes: 65_536 } },
    },
  });
  const peer = await Peer.connect(server.port);
  const framesFor = async (room: string) => {
    await peer.join(room);
    const holds = (frame: string) => frame.includes(`"t":"message"`) && frame.includes(JSON.stringify(room));
    for (let i = 0; i < 8; i++) {
      await peer.say(room, i);
      await sleep(2);
    }
    const messages = () => peer.got.filter((message) => message.t === 'message' && message.room === room);
    await until('all messages have arrived', () => messages().length === 8);
    return peer.frames.filter(holds).length;
  };
  expect(await framesFor('busy:a')).toBeLessThan(4);
  expect(await framesFor('busy:now:a')).toBe(8);
});

test('applies the policy for slow consumers of a prefix', async () => {
  const server = await start({ sendBuffer: 20, rooms: { 'prices:*': { slow: 'latest' }, '*': { slow: 'skip' } } });
  const [ada, bob] = [await Peer.connect(server.port), await Peer.connect(server.port)];
  const gapIn = async (room: string) => {
    await ada.join(room);
    await bob.join(room);
    bob.socket.pause();
    // More than the buffers of both sockets take.
    for (let i = 0; i < 20; i++) expect((await sendTo(ada, room, 50, 'x'.repeat(15_000))).stored).toBe(50);
    bob.socket.resume();
    return bob.next('gap');
  };
  expect(await gapIn('prices:eur')).toMatchObject({ room: 'prices:eur', to: 999, why: 'slow' });
  expect(await gapIn('lobby')).toMatchObject({ room: 'lobby', to: 1000, why: 'slow' });
});

describe('the publish rate of a room', () => {
  const slow = { perSecond: 1, burst: 3 };

  test('is shared by the rooms of its entry, and spares other rooms', async () => {
    const server = await start({ rooms: { 'news:*': { publishRate: slow } } });
    const peer = await Peer.connect(server.port);
    for (const room of ['news:a', 'news:b', 'lobby']) await peer.join(room);
    const first = await sendTo(peer, 'news:a', 4);
    expect(first.stored).toBe(3);
    expect(first.rejected).toMatchObject([{ code: 'rate_limited', retry: true, retryAfter: 1000, room: 'news:a' }]);
    expect((await sendTo(peer, 'news:b', 2)).stored).toBe(0);
    expect((await sendTo(peer, 'lobby', 50)).stored).toBe(50);
    // To leave and join again does not fill the bucket.
    peer.send({ t: 'leave', room: 'news:a' });
    await peer.next('left');
    await peer.join('news:a');
    expect((await sendTo(peer, 'news:a', 2)).stored).toBe(0);
    const other = await Peer.connect(server.port);
    await other.join('news:a');
    expect((await sendTo(other, 'news:a', 4)).stored).toBe(3);
    await sleep(1100);
    expect((await sendTo(peer, 'news:a', 3)).stored).toBeGreaterThan(0);
  });

  test('counts signals, too', async () => {
    const server = await start({ rooms: { news: { publishRate: slow } } });
    const peer = await Peer.connect(server.port);
    await peer.join('news');
    for (let i = 0; i < 5; i++) peer.send({ t: 'signal', room: 'news', data: i });
    expect(await peer.all('error')).toMatchObject([{ code: 'rate_limited', room: 'news' }, { code: 'rate_limited' }]);
  });

  test('is lifted by off, which leaves the limit of the client', async () => {
    const server = await start({
      publishRate: { perSecond: 1, burst: 10 },
      rooms: {
        '*': { publishRate: slow },
        'free:*': { publishRate: 'off' },
        'free:quiet': { coalesce: { maxDelayMs: 1, maxBytes: 9 } },
      },
    });
    const peer = await Peer.connect(server.port);
    for (const room of ['free:quiet', 'lobby']) await peer.join(room);
    expect((await sendTo(peer, 'lobby', 4)).stored).toBe(3);
    expect((await sendTo(peer, 'free:quiet', 8)).stored).toBe(6);
  });

  test('limits clients of wires whose room has no name', async () => {
    const server = await start({ rooms: { lobby: { publishRate: slow } } });
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}/ws`);
    const closed = once(socket, 'close');
    await once(socket, 'open');
    for (let i = 0; i < 4; i++) socket.send(`${i}`);
    expect((await closed)[0]).toBe(4003);
  });

  test('limits the posts of an address, with 429 and Retry-After', async () => {
    const server = await start({ rooms: { '*': { publishRate: slow }, free: { publishRate: 'off' } } });
    const post = async (room: string) => {
      const headers = { 'content-type': 'application/json' };
      const body = JSON.stringify({ room_id: room, user_id: 'ada', message: 'x' });
      const { status, headers: answered } = await fetch(`${server.url}/publish`, { method: 'POST', headers, body });
      return [status, answered.get('retry-after')];
    };
    for (const room of ['a', 'b', 'c']) expect(await post(room)).toEqual([202, null]);
    expect(await post('d')).toEqual([429, '1']);
    expect(await post('free')).toEqual([202, null]);
  });
});

describe('with the engine lmdb', () => {
  test('deletes the messages of a room by its own age', async () => {
    const data = createFolder();
    const folder = new DataDir(data);
    await folder.open();
    const before = lmdb({ path: data, date: () => Date.now() - 3 * DAY_MS });
    await before.open({ committed() {}, decided() {}, moved() {}, skipped() {}, changed() {} });
    const draft = (room: string, id: number) => ({ room, from: 'a', sender: 's', id: `${id}`, data: 'x', bytes: 1 });
    for (const room of ['logs:a', 'kept']) for (let i = 0; i < 3; i++) before.append(room, [draft(room, i)]);
    await before.close();
    folder.close();
    const server = await start({ engine: 'lmdb', data, rooms: { 'logs:*': { keepDays: 1 } } });
    const peer = await Peer.connect(server.port);
    const seqsOf = async (room: string) => {
      await peer.join(room, { history: 10 });
      return (await peer.all('message')).flatMap((message) => (message.room === room ? [message.seq] : []));
    };
    expect(await seqsOf('logs:a')).toEqual([3]);
    expect(await seqsOf('kept')).toEqual([1, 2, 3]);
  });

  test('deletes the oldest messages of a room by its own size', async () => {
    const data = createFolder();
    const options: ServerOptions = {
      engine: 'lmdb',
      data,
      rooms: { '*': { keepMegabytes: 1 }, kept: { keepMegabytes: 9 } },
    };
    const server = await start(options);
    const peer = await Peer.connect(server.port);
    const text = 'x'.repeat(16_000);
    const count = Math.ceil((1.5 * MiB) / text.length);
    for (const room of ['lobby', 'kept']) {
      await peer.join(room);
      expect((await sendTo(peer, room, count, text)).stored).toBe(count);
    }
    await server.stop();
    const again = await start(options);
    const reader = await Peer.connect(again.port);
    const oldestOf = async (room: string) => {
      await reader.join(room, { history: 1000 });
      return (await reader.all('message')).find((message) => message.room === room)?.seq ?? 0;
    };
    expect(await oldestOf('kept')).toBe(1);
    expect(await oldestOf('lobby')).toBeGreaterThan(count - (1.2 * MiB) / text.length);
  });
});
