import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createApi } from '../../src/api/api.ts';
import { type KeyCheck, type Keys, scopes } from '../../src/auth/keys.ts';
import { memory } from '../../src/engine/memory.ts';
import type { Draft, Engine, EngineListener } from '../../src/hub/engine.ts';
import type { Hub } from '../../src/hub/hub.ts';
import { Peer } from '../conformance/server.ts';
import { ApiServer, type Serving, servings } from './server.ts';

describe.each(servings)('publishing with a key, served by %s', (serving) => {
  let server: ApiServer;
  beforeAll(async () => {
    server = await ApiServer.start(serving);
  });
  afterAll(() => server.stop());

  test('stores a message and delivers it to the members', async () => {
    const peer = await Peer.connect(server.port);
    await peer.join('orders:1');
    const { status, body, headers } = await server.publish({
      room: 'orders:1',
      data: { total: 7.5, note: 'ü' },
      id: 'o1',
    });
    expect([status, headers.get('content-type')]).toEqual([200, 'application/json']);
    expect(body).toEqual({ room: 'orders:1', id: 'o1', seq: 1, epoch: expect.any(String) });
    const expected = { room: 'orders:1', seq: 1, id: 'o1', from: 'backend', data: { total: 7.5, note: 'ü' } };
    expect(await peer.next('message')).toMatchObject(expected);
    const { body: second } = await server.publish({ room: 'orders:1', data: null, from: 'Ann' });
    expect(second).toMatchObject({ seq: 2, id: expect.any(String), epoch: body.epoch });
    expect(await peer.next('message')).toMatchObject({ seq: 2, id: second.id, from: 'Ann', data: null });
    peer.socket.close();
  });

  test('counts a retry once, also by another route and another key of the name', async () => {
    const message = { room: 'retries', data: 'x', id: 'same' };
    const { body: first } = await server.publish(message);
    const duplicate = { room: 'retries', id: 'same', seq: first.seq, epoch: first.epoch, duplicate: true };
    expect((await server.publish(message)).body).toEqual(duplicate);
    expect((await server.call('/batch', { body: { messages: [message] } })).body.results).toEqual([duplicate]);
    const broadcast = { rooms: ['retries'], data: 'x', id: 'same' };
    expect((await server.call('/broadcast', { body: broadcast })).body.results).toEqual([duplicate]);
    expect((await server.publish(message, { key: server.add({ name: 'backend' }) })).body).toEqual(duplicate);
    const other = await server.publish(message, { key: server.add({ name: 'another' }) });
    expect(other.body).toMatchObject({ seq: first.seq + 1 });
    expect(other.body.duplicate).toBeUndefined();
  });

  test('counts retries once that are sent at the same time', async () => {
    const message = { room: 'race', data: 1, id: 'once' };
    const answers = await Promise.all(Array.from({ length: 20 }, () => server.publish(message)));
    expect(new Set(answers.map(({ body }) => body.seq))).toEqual(new Set([1]));
    expect(answers.filter(({ body }) => body.duplicate === undefined)).toHaveLength(1);
    expect((await server.call('/rooms/race')).body.seq).toBe(1);
  });

  test('stores a batch in order, and answers in order', async () => {
    const rooms = ['b1', 'b2'];
    const messages = Array.from({ length: 1000 }, (_, i) => ({ room: rooms[i % 2], data: i, id: `i${i}` }));
    const { status, body } = await server.call('/batch', { body: { messages } });
    expect(status).toBe(200);
    const expected = messages.map(({ room, id }, i) => ({
      room,
      id,
      seq: Math.floor(i / 2) + 1,
      epoch: expect.any(String),
    }));
    expect(body.results).toEqual(expected);
    const { body: stored } = await server.call('/rooms/b2/messages?after=0&limit=1000');
    expect(stored.messages.map(({ data }: { data: number }) => data)).toEqual(
      messages
        .filter(({ room }) => room === 'b2')
        .map(({ data }) => data)
        .slice(0, stored.messages.length),
    );
  });

  test('broadcasts to each room once', async () => {
    const body = { rooms: ['c1', 'c2', 'c1'], data: 'hello' };
    const { body: answer } = await server.call('/broadcast', { body });
    expect(answer.results).toMatchObject([
      { room: 'c1', seq: 1 },
      { room: 'c2', seq: 1 },
      { room: 'c1', seq: 1, duplicate: true },
    ]);
  });

  test('bounds the lists of a request and the length of a message', async () => {
    const message = { room: 'long', data: 'x'.repeat(16_385 - 2) };
    expect((await server.publish(message)).body).toMatchObject({
      status: 413,
      type: '/problems#too-large',
      field: 'data',
    });
    const batch = { messages: [{ room: 'long', data: 1 }, message] };
    expect((await server.call('/batch', { body: batch })).body).toMatchObject({
      status: 413,
      field: 'messages.1.data',
    });
    expect((await server.call('/rooms/long')).body.seq).toBe(0);
    expect((await server.publish({ room: 'long', data: 'x'.repeat(16_384 - 2) })).status).toBe(200);
    for (const count of [0, 1001]) {
      const messages = Array.from({ length: count }, () => ({ room: 'long', data: 1 }));
      expect((await server.call('/batch', { body: { messages } })).body).toMatchObject({
        status: 400,
        field: 'messages',
      });
      const rooms = messages.map(({ room }) => room);
      expect((await server.call('/broadcast', { body: { rooms, data: 1 } })).body).toMatchObject({
        status: 400,
        field: 'rooms',
      });
    }
  });

  test('reads the head and the messages of a room', async () => {
    const messages = Array.from({ length: 60 }, (_, i) => ({ room: 'read', data: { i } }));
    await server.call('/batch', { body: { messages } });
    const peer = await Peer.connect(server.port);
    await peer.join('read');
    const head = (await server.call('/rooms/read')).body;
    expect(head).toEqual({ room: 'read', epoch: expect.any(String), seq: 60, first: 1, members: 1 });
    const seqs = async (query: string) => {
      const { body } = await server.call(`/rooms/read/messages${query}`);
      expect(body).toMatchObject({ room: 'read', epoch: head.epoch });
      return [body.messages[0]?.seq, body.messages.at(-1)?.seq, body.more];
    };
    expect(await seqs('')).toEqual([11, 60, true]);
    expect(await seqs('?before=11&limit=5')).toEqual([6, 10, true]);
    expect(await seqs('?before=4')).toEqual([1, 3, false]);
    expect(await seqs('?after=58')).toEqual([59, 60, false]);
    expect(await seqs('?after=0&limit=2')).toEqual([1, 2, true]);
    expect(await seqs('?after=60')).toEqual([undefined, undefined, false]);
    const [message] = (await server.call('/rooms/read/messages?before=2')).body.messages;
    expect(message).toEqual({
      seq: 1,
      id: expect.any(String),
      from: 'backend',
      at: expect.any(Number),
      data: { i: 0 },
    });
    peer.socket.close();
  });

  test('reads a room without messages', async () => {
    expect((await server.call('/rooms/empty')).body).toMatchObject({ seq: 0, first: 1, members: 0 });
    expect((await server.call('/rooms/empty/messages')).body).toMatchObject({ messages: [], more: false });
  });
});

describe.each(['uws', 'attached', 'workers'] as const)('programs, served by %s', (serving: Serving) => {
  let server: ApiServer | undefined;
  afterEach(() => server?.stop());

  test('pass no hook and no rate limit of clients', async () => {
    const asked: string[] = [];
    const deny = (hook: string) => () => {
      asked.push(hook);
      return false;
    };
    const hooks = { connect: deny('connect'), join: deny('join'), send: deny('send') };
    server = await ApiServer.start(serving, {
      hooks,
      publishRate: { perSecond: 1, burst: 1 },
      auth: 'jwt',
      jwtSecret: 's'.repeat(32),
    });
    for (let i = 1; i <= 50; i++) expect((await server.publish({ room: 'a', data: i })).body).toMatchObject({ seq: i });
    expect(asked).toEqual([]);
  });
});

/** An engine that decides nothing, or with the given outcome. */
function undecided(outcome?: 'failed' | 'unknown'): Engine {
  const inner = memory();
  let listener: EngineListener;
  return {
    open: (given) => {
      listener = given;
    },
    attach: (room) => inner.attach(room),
    position: (room) => inner.position(room),
    append(room: string, drafts: readonly Draft[]) {
      if (outcome) queueMicrotask(() => listener.decided({ room, outcomes: drafts.map(() => ({ kind: outcome })) }));
    },
    read: (room, after, limit) => inner.read(room, after, limit),
    release: (room) => inner.release(room),
    close() {},
  };
}

describe('a message that is not stored', () => {
  let server: ApiServer | undefined;
  afterEach(() => server?.stop());

  test('gets 503 when the store is away', async () => {
    server = await ApiServer.start('uws', { engine: undecided('failed') });
    const { status, headers, body } = await server.publish({ room: 'a', data: 1 });
    expect([status, headers.get('retry-after'), body.type]).toEqual([503, '1', '/problems#unavailable']);
  });

  test('gets 503 with the advice to retry when the outcome is unknown', async () => {
    server = await ApiServer.start('uws', { engine: undecided('unknown') });
    const { status, headers, body } = await server.publish({ room: 'a', data: 1, id: 'x' });
    expect([status, headers.get('retry-after'), body.type]).toEqual([503, '1', '/problems#unknown-outcome']);
    expect(body.detail).toContain('retry with the same id is safe');
    const { body: batch } = await server.call('/batch', { body: { messages: [{ room: 'a', data: 1, id: 'y' }] } });
    expect(batch.results).toMatchObject([
      { room: 'a', id: 'y', problem: { status: 503, type: '/problems#unknown-outcome' } },
    ]);
  });
});

describe('a request that the server cannot take', () => {
  const authorization = 'Bearer key';
  const post = JSON.stringify({ room: 'a', data: 1 });

  /** Sends a request to an API whose Hub takes nothing. */
  async function call(path: string, text: string, draining = false) {
    const full = { broadcast: () => false, history: () => false, head: () => false, epochOf: () => undefined };
    const key: KeyCheck = { kind: 'valid', key: { name: 'k', scopes } };
    const api = createApi({
      hub: full as unknown as Hub,
      keys: { check: () => key } as unknown as Keys,
      addressOf: () => '::1',
      takeFailure: () => true,
      draining: () => draining,
      failed: () => {},
    });
    const headers: Record<string, string> = { authorization, 'content-type': 'application/json' };
    const response = await api({
      method: text === '' ? 'GET' : 'POST',
      path: `/api/v1${path}`,
      query: '',
      remoteAddress: '::1',
      headers,
      header: (name) => headers[name] ?? '',
      body: async () => Buffer.from(text),
    });
    return { ...response, body: JSON.parse(String(response?.body)) };
  }

  test.each([
    ['/publish', post],
    ['/rooms/a', ''],
    ['/rooms/a/messages', ''],
  ])('gets 503 at %s while the queue is full', async (path, text) => {
    const { status, headers, body } = await call(path, text);
    expect([status, headers?.['Retry-After'], body.type]).toEqual([503, '1', '/problems#busy']);
  });

  test('has a problem for each message that finds the queue full', async () => {
    const { status, body } = await call('/batch', `{"messages":[${post},${post}]}`);
    expect(status).toBe(200);
    expect(body.results.map(({ problem }: { problem: object }) => problem)).toMatchObject([
      { status: 503 },
      { status: 503 },
    ]);
  });

  test.each(['/publish', '/batch'])('gets 503 at %s while the server shuts down', async (path) => {
    const { status, headers, body } = await call(path, post, true);
    expect([status, headers?.['Retry-After'], body.type]).toEqual([503, '1', '/problems#draining']);
  });
});
