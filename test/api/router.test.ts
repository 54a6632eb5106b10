import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ApiServer, servings } from './server.ts';

/** Sends bytes, and returns what comes back until the server closes or `quietMs` pass. */
function raw(port: number, bytes: string | Buffer, quietMs = 400): Promise<{ text: string; closed: boolean }> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    let text = '';
    const finish = (closed: boolean) => {
      socket.destroy();
      resolve({ text, closed });
    };
    let timer = setTimeout(() => finish(false), 3_000);
    socket.on('data', (data) => {
      text += data.toString('latin1');
      clearTimeout(timer);
      timer = setTimeout(() => finish(false), quietMs);
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(timer);
      finish(true);
    });
    socket.write(bytes);
  });
}

describe.each(servings)('the router of the API, served by %s', (serving) => {
  let server: ApiServer;
  beforeAll(async () => {
    server = await ApiServer.start(serving);
  });
  afterAll(() => server.stop());

  test('rejects a request without a key, and one with another scheme', async () => {
    for (const headers of [{}, { authorization: 'Basic YTpi' }, { authorization: 'Bearer' }]) {
      const { status, body, headers: answer } = await server.call('/rooms/a', { key: undefined, headers });
      expect([status, body.type]).toEqual([401, '/problems#unauthorized']);
      expect(answer.get('content-type')).toBe('application/problem+json');
      expect(answer.get('www-authenticate')).toBe('Bearer');
      expect(answer.get('cache-control')).toBe('no-store');
    }
  });

  test('takes the key with any spelling of the scheme', async () => {
    const headers = { authorization: `bEaReR  ${server.key}` };
    expect((await server.call('/rooms/a', { key: undefined, headers })).status).toBe(200);
  });

  test('rejects paths that it does not have', async () => {
    for (const path of ['/', '/nothing', '/rooms/a/', '/rooms//messages', '/publish/', '/rooms/a/b/c', '/Publish']) {
      const { status, body } = await server.call(path);
      const expected = path === '/rooms//messages' ? [400, '/problems#invalid-path'] : [404, '/problems#not-found'];
      expect([path, status, body.type]).toEqual([path, ...expected]);
    }
  });

  test('leaves paths beside its own to the other routes', async () => {
    const response = await fetch(`${server.url}/api/v2/publish`);
    expect(response.headers.get('content-type')).not.toBe('application/problem+json');
    expect((await fetch(`${server.url}/api/v1`)).status).toBe(404);
  });

  test.each(['PUT', 'PATCH', 'DELETE', 'GET', 'HEAD'])('rejects %s where it is not a method', async (method) => {
    const { status, headers, body } = await server.call('/publish', { method });
    expect([status, headers.get('allow')]).toEqual([405, 'POST, OPTIONS']);
    if (method !== 'HEAD') expect(body.type).toBe('/problems#method-not-allowed');
  });

  test('answers OPTIONS with the methods of a path, without a key', async () => {
    const { status, headers } = await server.call('/rooms/a', { method: 'OPTIONS', key: undefined });
    expect([status, headers.get('allow')]).toEqual([204, 'GET, HEAD, OPTIONS']);
    expect(headers.get('access-control-allow-origin')).toBeNull();
  });

  test('answers HEAD with the headers of GET', async () => {
    const [head, get] = [await server.call('/rooms/h', { method: 'HEAD' }), await server.call('/rooms/h')];
    expect([head.status, head.text]).toEqual([200, '']);
    expect(head.headers.get('content-length')).toBe(`${Buffer.byteLength(get.text)}`);
  });

  test('decodes the names in a path', async () => {
    const room = 'a/b %?ü#;x';
    await server.publish({ room, data: 1 });
    const { body } = await server.call(`/rooms/${encodeURIComponent(room)}`);
    expect(body).toMatchObject({ room, seq: 1 });
  });

  test.each(['%', '%zz', '%ff', '', 'x'.repeat(129), encodeURIComponent('ü'.repeat(65))])(
    'rejects the room %j in a path',
    async (room) => {
      const { status, body } = await server.call(`/rooms/${room}`);
      expect([status, body.type, body.parameter]).toEqual([400, '/problems#invalid-path', 'room']);
    },
  );

  test('rejects queries that it does not have', async () => {
    const cases = {
      'a=1': 'a',
      'limit=1&limit=2': 'limit',
      'limit=': 'limit',
      'limit=1e2': 'limit',
      'after=-1': 'after',
    };
    for (const [query, parameter] of Object.entries(cases)) {
      const { status, body } = await server.call(`/rooms/a/messages?${query}`);
      expect([query, status, body.type, body.parameter]).toEqual([query, 400, '/problems#invalid-query', parameter]);
    }
    expect((await server.call('/rooms/a?x')).body).toMatchObject({ status: 400, parameter: 'x' });
    expect((await server.call('/rooms/a/messages?before=2&after=1')).body).toMatchObject({ parameter: 'after' });
  });

  test.each([
    undefined,
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/json; charset=latin1',
    'application/jsonx',
  ])('rejects a body of the type %s', async (type) => {
    const { status, body } = await post(server, '{"room":"a","data":1}', type);
    expect([status, body.type]).toEqual([415, '/problems#unsupported-media-type']);
  });

  test.each(['application/json; charset=utf-8', 'Application/JSON;charset="UTF-8"'])(
    'takes a body of the type %s',
    async (type) => {
      expect((await post(server, '{"room":"a","data":1}', type)).status).toBe(200);
    },
  );

  test('names the position where a body stops being JSON', async () => {
    const cases = {
      '': 0,
      '{': 1,
      '{"room":"a",}': 12,
      '{"room":"a"} x': 13,
      '{"room":\u0001}': 8,
      nul: 0,
      '{"room":"a\n"}': 10,
    };
    for (const [text, position] of Object.entries(cases)) {
      const { status, body } = await server.call('/publish', { text, method: 'POST' });
      expect([text, status, body.type, body.position]).toEqual([text, 400, '/problems#invalid-json', position]);
    }
  });

  test('rejects a body that is not UTF-8', async () => {
    const { status, body } = await post(server, Buffer.from([0x7b, 0xff, 0x7d]), 'application/json');
    expect([status, body.type]).toEqual([400, '/problems#invalid-json']);
  });

  test('names the field that is missing, unknown or invalid', async () => {
    const deep = `${'['.repeat(101)}${']'.repeat(101)}`;
    const cases: Record<string, string> = {
      '{"data":1}': 'room',
      '{"room":"a"}': 'data',
      '{"room":"","data":1}': 'room',
      '{"room":7,"data":1}': 'room',
      '{"room":null,"data":1}': 'room',
      '{"room":"a","data":1,"x":1}': 'x',
      '{"room":"a","data":1,"__proto__":1}': '__proto__',
      '{"room":"a","data":1,"id":""}': 'id',
      '{"room":"a","data":1,"id":null}': 'id',
      '{"room":"a","data":1,"from":""}': 'from',
      [`{"room":"a","data":${deep}}`]: 'data',
      '[]': '',
      '7': '',
      null: '',
    };
    for (const [text, field] of Object.entries(cases)) {
      const { status, body } = await server.call('/publish', { text });
      expect([text, status, body.type, body.field]).toEqual([text, 400, '/problems#invalid-field', field]);
    }
    const { body } = await server.call('/batch', {
      body: {
        messages: [
          { room: 'a', data: 1 },
          { room: 'a', data: 1, x: 1 },
        ],
      },
    });
    expect(body.field).toBe('messages.1.x');
  });

  test('rejects a body that is too long, and ends the connection', async () => {
    const text = JSON.stringify({ room: 'a', data: 'x'.repeat(200_000) });
    const head = `POST /api/v1/publish HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${server.key}\r\nContent-Type: application/json\r\nContent-Length: ${text.length}\r\n\r\n`;
    const { text: answer, closed } = await raw(server.port, head + text);
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    expect(answer).toContain('/problems#too-large');
    expect(closed).toBe(true);
  });

  test('rejects a body where there is none', async () => {
    const [status] = await new Promise<[number]>((resolve) => {
      const outgoing = request(`${server.url}/api/v1/rooms/a`, {
        headers: { authorization: `Bearer ${server.key}`, 'content-length': 2 },
      });
      outgoing.on('response', (response) => resolve([response.statusCode as number]));
      outgoing.end('{}');
    });
    expect(status).toBe(400);
  });

  test('serves several requests of one connection, rejected ones among them', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const get = async (path: string, method = 'GET') => {
      const headers = { authorization: `Bearer ${server.key}` };
      const outgoing = request(`${server.url}/api/v1${path}`, { agent, method, headers }).end();
      const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
      response.resume();
      await once(response, 'end');
      return [response.statusCode, outgoing.reusedSocket];
    };
    expect(await get('/rooms/a')).toEqual([200, false]);
    expect(await get('/nothing')).toEqual([404, true]);
    expect(await get('/publish')).toEqual([405, true]);
    expect(await get('/rooms/a', 'HEAD')).toEqual([200, true]);
    expect(await get('/rooms/a', 'OPTIONS')).toEqual([204, true]);
    expect(await get('/rooms/%zz')).toEqual([400, true]);
    expect(await get('/rooms/b')).toEqual([200, true]);
    agent.destroy();
  });

  test('serves its description without a key', async () => {
    const { status, body, headers } = await server.call('/openapi.json', { key: undefined });
    expect([status, body.openapi, headers.get('access-control-allow-origin')]).toEqual([200, '3.1.0', '*']);
    expect((await server.call('/openapi.json', { method: 'POST' })).status).toBe(405);
    expect((await server.call('/openapi.json', { method: 'OPTIONS' })).headers.get('allow')).toBe('GET, HEAD, OPTIONS');
  });
});

function post(server: ApiServer, body: string | Buffer, type: string | undefined) {
  return new Promise<{ status: number; body: { type: string } }>((resolve, reject) => {
    const outgoing = request(`${server.url}/api/v1/publish`, {
      method: 'POST',
      headers: { authorization: `Bearer ${server.key}`, ...(type !== undefined && { 'content-type': type }) },
    });
    outgoing.on('error', reject);
    outgoing.on('response', async (response) => {
      let text = '';
      for await (const chunk of response) text += chunk;
      resolve({ status: response.statusCode as number, body: JSON.parse(text) });
    });
    outgoing.end(body);
  });
}

describe.each(['uws', 'workers'] as const)('keys, served by %s', (serving) => {
  let server: ApiServer;
  beforeAll(async () => {
    server = await ApiServer.start(serving);
  });
  afterAll(() => server.stop());

  test('allow what their scopes name', async () => {
    const [publisher, reader] = [server.add({ scopes: ['publish'] }), server.add({ scopes: ['read'] })];
    const body = { room: 'a', data: 1 };
    expect((await server.publish(body, { key: publisher })).status).toBe(200);
    expect((await server.call('/rooms/a', { key: publisher })).body).toMatchObject({ status: 403, scope: 'read' });
    expect((await server.call('/rooms/a', { key: reader })).status).toBe(200);
    const refused = await server.publish(body, { key: reader });
    expect(refused.body).toMatchObject({ status: 403, type: '/problems#forbidden', scope: 'publish' });
  });

  test('allow the rooms of their patterns', async () => {
    const key = server.add({ rooms: ['orders:*', 'lobby'] });
    for (const room of ['orders:1', 'orders:', 'lobby']) {
      expect((await server.publish({ room, data: 1 }, { key })).status).toBe(200);
      expect((await server.call(`/rooms/${room}`, { key })).status).toBe(200);
    }
    for (const room of ['orders', 'lobby2', 'other']) {
      expect((await server.publish({ room, data: 1 }, { key })).body).toMatchObject({ status: 403, room });
      expect((await server.call(`/rooms/${room}`, { key })).body).toMatchObject({ status: 403, room });
      expect((await server.call(`/rooms/${room}/messages`, { key })).status).toBe(403);
    }
    const rooms = ['lobby', 'other'];
    expect((await server.call('/broadcast', { key, body: { rooms, data: 1 } })).body).toMatchObject({ room: 'other' });
    const messages = rooms.map((room) => ({ room, data: 1 }));
    expect((await server.call('/batch', { key, body: { messages } })).body).toMatchObject({ room: 'other' });
    // Nothing of either was published.
    expect((await server.call('/rooms/lobby')).body.seq).toBe(1);
  });

  test('are valid from their addition to their removal', async () => {
    const key = server.add({ name: 'short-lived' });
    expect((await server.call('/rooms/a', { key })).status).toBe(200);
    server.keys.remove('short-lived');
    expect((await server.call('/rooms/a', { key })).status).toBe(401);
  });
});

describe('wrong keys', () => {
  let server: ApiServer | undefined;
  afterEach(() => server?.stop());

  test('are held up after ten of one address, while a valid key passes', async () => {
    server = await ApiServer.start('uws');
    const wrong = [
      'x',
      `${server.key}x`,
      server.key.slice(0, -1) + (server.key.endsWith('A') ? 'B' : 'A'),
      server.key.replace(/_[\da-f]{16}_/, `_${'0'.repeat(16)}_`),
    ];
    for (let i = 0; i < 10; i++) {
      const { status, headers } = await server.call('/rooms/a', { key: wrong[i % wrong.length] });
      expect([i, status, headers.get('www-authenticate')]).toEqual([i, 401, 'Bearer error="invalid_token"']);
    }
    const held = await server.call('/rooms/a', { key: 'x' });
    expect([held.status, held.body.type, held.headers.get('retry-after')]).toEqual([
      429,
      '/problems#too-many-requests',
      '5',
    ]);
    expect((await server.call('/rooms/a')).status).toBe(200);
  });

  test('are all keys without a keys file', async () => {
    server = await ApiServer.start('ws', { keys: '/nowhere/keys.json' });
    expect((await server.call('/rooms/a')).status).toBe(401);
  });

  test('get 503 while the keys file cannot be read', async () => {
    server = await ApiServer.start('ws');
    const { key, keys, call } = {
      key: server.key,
      keys: server.keys,
      call: () => (server as ApiServer).call('/rooms/a'),
    };
    const path = pathOf(keys);
    const before = readFileSync(path);
    writeFileSync(path, '{"keys":');
    expect((await call()).body).toMatchObject({ status: 503, type: '/problems#unavailable' });
    writeFileSync(path, before);
    expect((await call()).status).toBe(200);
    rmSync(path);
    expect((await call()).status).toBe(401);
    expect(key).toBeDefined();
  });

  function pathOf(keys: ApiServer['keys']): string {
    try {
      keys.remove('nobody');
    } catch (error) {
      return /in (\S+)$/.exec((error as Error).message)?.[1] as string;
    }
    throw new Error('nobody was removed');
  }
});
