import { request } from 'node:http';
import type { Duplex } from 'node:stream';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { Keys } from '../../src/auth/keys.ts';
import type { Snapshot } from '../../src/protocol/snapshot.ts';
import { Running } from '../cli/command.ts';
import { temporaryFolder } from '../deploy/proxies.ts';

const closing: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function start(...flags: string[]) {
  const running = new Running([
    ...['serve', '--port', '0', '--engine', 'memory', '--host', '127.0.0.1', '--admin-listen', '127.0.0.1:0'],
    ...flags,
  ]);
  closing.push(() => running.end());
  const urlIn = async (message: string) =>
    /https?:\S+/.exec(String((await running.line(message))['msg']))?.[0] as string;
  return { running, admin: await urlIn('serves operators'), url: await urlIn('serves http') };
}

/** Connects a client of the native protocol, and waits until it is in the room. */
async function join(url: string, room: string): Promise<WebSocket> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/ws?user=ada`, 'pumphouse.v1');
  closing.push(() => socket.close());
  await new Promise((resolve, reject) => {
    socket.onerror = reject;
    socket.onopen = () => socket.send(JSON.stringify({ t: 'join', room }));
    socket.onmessage = ({ data }) => String(data).includes('"joined"') && resolve(undefined);
  });
  return socket;
}

/** Reads the events of a stream: `snapshot` with its data, and the others with their names. */
async function* eventsOf(url: string, headers: Record<string, string> = {}) {
  const abort = new AbortController();
  closing.push(() => abort.abort());
  const response = await fetch(url, { headers, signal: abort.signal });
  expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8']);
  const reader = (response.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ''; ; ) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const blocks = text.split('\n\n');
    text = blocks.pop() as string;
    for (const block of blocks) {
      const [, name, data] = /^event: (\w+)\ndata: (.*)$/.exec(block) ?? [];
      if (name !== undefined) yield { name, data: JSON.parse(data as string) as Snapshot & { code?: number } };
    }
  }
}

/** Reads until an event satisfies the condition. */
async function until<T>(events: AsyncGenerator<T, void>, holds: (event: T) => boolean): Promise<T> {
  for (;;) {
    const { value, done } = await events.next();
    if (done || value === undefined) throw new Error('the stream has ended');
    if (holds(value)) return value;
  }
}

describe.each([{ workers: [] }, { workers: ['--workers', '2'] }])(
  'the snapshots of a server with $workers',
  ({ workers }) => {
    test('have its members, its rooms and its deliveries, and show its drain', async () => {
      const { running, admin, url } = await start(...workers);
      const members = [await join(url, 'lobby'), await join(url, 'lobby'), await join(url, 'lobby')];
      const events = eventsOf(`${admin}/admin/v1/events`);
      await events.next();
      for (let i = 0; i < 5; i++) {
        members[0]?.send(JSON.stringify({ t: 'send', room: 'lobby', id: `${i}`, data: 'hello' }));
      }
      const { data } = await until(events, ({ data: { threads } }) => {
        return threads.reduce((sum, { totals }) => sum + totals.deliveries, 0) === 15;
      });
      const { state, engine, missing, threads, shared } = data;
      expect({ state, engine, missing, shared }).toMatchObject({
        state: 'serving',
        engine: 'memory',
        missing: 0,
        shared: { rooms: 1, messages: 5 },
      });
      expect(threads.map(({ worker }) => worker)).toEqual(workers.length > 0 ? [1, 2] : [0]);
      expect(threads.reduce((sum, { connections }) => sum + connections, 0)).toBe(3);
      expect(threads.reduce((sum, thread) => sum + thread.members.inStep, 0)).toBe(3);
      expect(data.hottest).toMatchObject([{ name: 'lobby', members: 3, seq: 5 }]);
      const single = (await (await fetch(`${admin}/admin/v1/snapshot`)).json()) as Snapshot;
      expect(single).toMatchObject({ version: data.version, shared: { messages: 5 } });
      running.process.kill('SIGTERM');
      const { data: last } = await until(events, ({ data: { state } }) => state !== 'serving');
      expect(last).toMatchObject({ state: 'draining', missing: 0 });
      const { data: close } = await until(events, ({ name }) => name === 'close');
      expect(close.code).toBe(1001);
      expect((await events.next()).done).toBe(true);
    });
  },
);

test('are served while a server drains', async () => {
  const { running, admin, url } = await start('--transport', 'ws', '--drain-window', '20');
  const events = eventsOf(`${admin}/admin/v1/events`);
  await events.next();
  // A connection that does not answer the close frame keeps the server draining.
  const silent = await openSilent(url);
  running.process.kill('SIGTERM');
  await until(events, ({ data }) => data.state === 'draining');
  await events.next();
  expect(await (await fetch(`${admin}/admin/v1/snapshot`)).json()).toMatchObject({ state: 'draining' });
  silent.destroy();
  await until(events, ({ name }) => name === 'close');
});

/** Opens a WebSocket that never answers. */
function openSilent(url: string): Promise<Duplex> {
  const headers = {
    connection: 'upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': Buffer.alloc(16).toString('base64'),
    'sec-websocket-protocol': 'pumphouse.v1',
  };
  return new Promise((resolve, reject) => {
    request(`${url}/ws?user=ada`, { headers })
      .on('upgrade', (_response, socket) => resolve(socket.on('error', () => {})))
      .on('error', reject)
      .end();
  });
}

test('need the key of an operator where metrics do', async () => {
  const file = `${temporaryFolder()}/keys.json`;
  const keys = new Keys(file);
  const key = keys.add({ name: 'operator', scopes: ['admin'] });
  const other = keys.add({ name: 'backend', scopes: ['publish', 'read'] });
  const { admin } = await start('--admin-listen', '0.0.0.0:0', '--keys', file);
  const address = admin.replace('0.0.0.0', '127.0.0.1');
  const status = async (path: string, sent?: string) => {
    const abort = new AbortController();
    const headers = sent === undefined ? {} : { authorization: `Bearer ${sent}` };
    const response = await fetch(`${address}${path}`, { headers, signal: abort.signal });
    abort.abort();
    return response.status;
  };
  for (const path of ['/admin/v1/snapshot', '/admin/v1/events']) {
    expect([await status(path), await status(path, other), await status(path, key)]).toEqual([401, 403, 200]);
  }
  const events = eventsOf(`${address}/admin/v1/events`, { authorization: `Bearer ${key}` });
  await until(events, ({ name }) => name === 'snapshot');
  keys.remove('operator');
  expect((await until(events, ({ name }) => name === 'close')).data.code).toBe(4501);
});

test("refuse requests of other sites' pages and other methods, and bound their readers", async () => {
  const { admin } = await start();
  const url = `${admin}/admin/v1/events`;
  const statusOf = (headers: Record<string, string>, method = 'GET') =>
    new Promise<number | undefined>((resolve, reject) => {
      const sent = request(url, { headers, method }, (response) => {
        resolve(response.statusCode);
        if (response.statusCode !== 200) response.resume();
        else closing.push(() => sent.destroy());
      });
      sent.on('error', reject).end();
    });
  expect(await statusOf({ host: 'rebound.example' })).toBe(403);
  expect(await statusOf({ origin: 'https://elsewhere.example' })).toBe(403);
  expect(await statusOf({}, 'POST')).toBe(405);
  for (let i = 0; i < 20; i++) expect(await statusOf({})).toBe(200);
  expect(await statusOf({})).toBe(503);
  expect((await fetch(`${admin}/admin/v1/snapshot`)).status).toBe(200);
});
