import { once } from 'node:events';
import { request } from 'node:http';
import { pino } from 'pino';
import { closes, goWebsockets, type ServerOptions } from 'pumphouse';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { send } from '../api/http.ts';
import { serving } from '../cli/command.ts';
import { until } from '../integration/server.ts';
import { createVariantServer, type VariantServer as Server } from '../workers/in-thread.ts';
import { variants } from '../workers/variants.ts';

// The behaviour that clients of six existing chat systems rely on, tested on each transport.

const servers: Server[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

describe.each(variants)('contracts on $name', (variant) => {
  const start = async (options: ServerOptions) => {
    const server = await createVariantServer(variant, { port: 0, drainWindow: 0, ...options });
    servers.push(server);
    return server;
  };
  const unlimited = { publishRate: 'off' } as const;

  describe.each(['coder', 'go-websockets-basic', 'auto'] as const)('raw text over HTTP (wire %s)', (wire) => {
    test('delivers each post to each subscriber as one text frame with the same bytes', async () => {
      const server = await start({ wire, ...unlimited });
      const [one, two] = [await subscriber(server), await subscriber(server)];
      const texts = [' spaces \n and newlines\n', '', '\u0001\u007f', 'é\u{1f600}', '{"json":1}', 'x'.repeat(8192)];
      for (const text of texts) expect(await post(server, text)).toMatchObject({ status: 202, body: '' });
      await until('all frames arrived', () => one.frames.length === texts.length && two.frames.length === texts.length);
      expect(one.frames).toEqual(texts);
      expect(two.frames).toEqual(texts);
      expect(one.binary + two.binary).toBe(0);
    });

    test('accepts any Content-Type, or none', async () => {
      const server = await start({ wire, ...unlimited });
      const one = await subscriber(server);
      for (const type of ['text/plain;charset=UTF-8', 'application/octet-stream', undefined]) {
        expect((await post(server, 'hello', type)).status).toBe(202);
      }
      await until('all frames arrived', () => one.frames.length === 3);
    });

    test('accepts 8192 bytes and rejects 8193 with 413', async () => {
      const server = await start({ wire, ...unlimited });
      expect((await post(server, 'x'.repeat(8192))).status).toBe(202);
      expect(await post(server, 'x'.repeat(8193))).toMatchObject({ status: 413, body: 'Request Entity Too Large\n' });
    });

    test.each(['GET', 'PUT', 'DELETE'])('rejects %s with 405', async (method) => {
      const server = await start({ wire, ...unlimited });
      const response = await fetch(`${server.url}/publish`, { method });
      expect([response.status, await response.text()]).toEqual([405, 'Method Not Allowed\n']);
    });

    test('rejects text that is not UTF-8 with 400, because as a text frame it would disconnect browsers', async () => {
      const server = await start({ wire, ...unlimited });
      const one = await subscriber(server);
      expect((await post(server, Buffer.from([0xff, 0xfe]))).status).toBe(400);
      await post(server, 'after');
      await until('the next frame arrived', () => one.frames.length > 0);
      expect(one.frames).toEqual(['after']);
    });

    test('closes with 1008 for data over the socket', async () => {
      const server = await start({ wire, ...unlimited });
      const one = await subscriber(server);
      one.socket.send('hello');
      expect(await one.closed).toEqual({ code: 1008, reason: 'unexpected data message' });
    });

    test('delivers every post that follows the 101', async () => {
      const server = await start({ wire, ...unlimited });
      for (let round = 0; round < 20; round++) {
        const one = await subscriber(server);
        const text = 'x'.repeat(512) + round;
        expect((await post(server, text)).status).toBe(202);
        await until('the frame arrived', () => one.frames.includes(text));
        one.socket.terminate();
      }
    });

    test('delivers exactly 2048 messages to each of 16 clients that post 128 each, some empty', async () => {
      const server = await start({ wire, ...unlimited });
      const clients = await Promise.all(Array.from({ length: 16 }, () => subscriber(server)));
      const texts: string[] = [];
      await Promise.all(
        clients.map(async (_, client) => {
          for (let i = 0; i < 128; i++) {
            const text = (i % 8 === 0 ? '' : `\u0000${client}\n${i}`).padEnd(i % 3 === 0 ? i : 0, '\u0002');
            texts.push(text);
            expect((await post(server, text, undefined)).status).toBe(202);
          }
        }),
      );
      await until('all clients have all frames', () => clients.every(({ frames }) => frames.length >= 2048));
      for (const { frames } of clients) {
        expect(frames.length).toBe(2048);
        expect(new Set(frames)).toEqual(new Set(texts));
        expect(frames).toEqual(clients[0]?.frames);
      }
    });

    test('sends no join or leave notices', async () => {
      const server = await start({ wire, ...unlimited });
      const one = await subscriber(server);
      (await subscriber(server)).socket.terminate();
      await post(server, 'only this');
      await until('the frame arrived', () => one.frames.length > 0);
      expect(one.frames).toEqual(['only this']);
    });

    test('answers a plain GET of /subscribe with 426 and Upgrade, and POST with 405', async () => {
      const server = await start({ wire, ...unlimited });
      const response = await fetch(`${server.url}/subscribe`);
      expect([response.status, response.headers.get('upgrade')]).toEqual([426, 'websocket']);
      expect((await fetch(`${server.url}/subscribe`, { method: 'POST' })).status).toBe(405);
    });

    test('rejects a handshake from another origin with 403 that names it', async () => {
      const server = await start({ wire, ...unlimited });
      expect(await rejection(server, '/subscribe', { origin: 'http://evil.example' })).toEqual({
        status: 403,
        body: `request Origin "http://evil.example" is not authorized for Host "127.0.0.1:${server.port}"\n`,
      });
    });

    test('rejects a post from another origin with 403', async () => {
      const server = await start({ wire, ...unlimited });
      const one = await subscriber(server);
      const headers = { origin: 'http://evil.example', 'content-type': 'text/plain' };
      expect((await fetch(`${server.url}/publish`, { method: 'POST', body: 'x', headers })).status).toBe(403);
      await post(server, 'after');
      await until('the next frame arrived', () => one.frames.length > 0);
      expect(one.frames).toEqual(['after']);
    });

    test('closes with 1012 at shutdown, because their pages do not reconnect after 1001', async () => {
      const server = await start({ wire, ...unlimited, drainWindow: 1 });
      const one = await subscriber(server);
      await server.stop();
      expect((await one.closed).code).toBe(1012);
    });
  });

  describe.each([
    ['coder', 'connection too slow to keep up with messages'],
    ['go-websockets-basic', 'Server too slow to handle load'],
    ['go-websockets', 'Server too slow to handle load'],
  ] as const)('a slow subscriber of %s', (wire, reason) => {
    test('is closed with 1008 past 16 queued messages, and the others receive everything', async () => {
      const server = await start({ wire, ...unlimited });
      const [slow, reading] = [await subscriber(server), await subscriber(server)];
      slow.socket.pause();
      const evicted = watchEvent(server, 'evicted');
      let posts = 0;
      for (const text = 'x'.repeat(8192); posts < 5000 && !evicted.happened; posts++) await post(server, text);
      expect(evicted.happened).toBe(true);
      slow.socket.resume();
      expect(await slow.closed).toEqual({ code: 1008, reason });
      await until('the reading subscriber has all messages', () => reading.messages().length >= posts);
    });
  });

  describe('the rate limit of posts', () => {
    test.each(['coder', 'go-websockets', 'auto'] as const)(
      '%s: accepts 8 at once, then one in 100 ms, and delays the others without losing any',
      async (wire) => {
        const server = await start({ wire });
        const one = await subscriber(server);
        const begun = performance.now();
        const responses = await Promise.all(Array.from({ length: 13 }, (_, i) => post(server, `${i}`)));
        const duration = performance.now() - begun;
        expect(responses.every(({ status }) => status === 202)).toBe(true);
        expect(duration).toBeGreaterThan(400);
        expect(duration).toBeLessThan(2_000);
        await until('all frames arrived', () => one.frames.length >= 13);
      },
    );

    test('rejects a flood of posts with 429 without delaying another address', async () => {
      const server = await start({ wire: 'coder' });
      const flood = Promise.all(Array.from({ length: 90 }, () => post(server, 'flood', undefined, 1500)));
      await new Promise((resolve) => setTimeout(resolve, 200));
      const begun = performance.now();
      const other = request(`${server.url}/publish`, { method: 'POST', localAddress: '127.0.0.2' });
      other.end('from another address');
      const [response] = await once(other, 'response');
      expect([response.statusCode, performance.now() - begun < 300]).toEqual([202, true]);
      expect((await flood).filter(({ status }) => status === 429).length).toBeGreaterThanOrEqual(10);
    });
  });

  describe('go-websockets (master)', () => {
    const wire = 'go-websockets';

    test('sends a message as JSON with its type and time', async () => {
      const server = await start({ wire, ...unlimited });
      const one = await subscriber(server);
      await until('the welcome arrived', () => one.frames.length === 1);
      const before = Date.now();
      expect((await post(server, 'he said "hi"\n')).status).toBe(202);
      await until('the frame arrived', () => one.frames.length === 2);
      const message = JSON.parse(one.frames[1] as string);
      expect(Object.keys(message)).toEqual(['message', 'messageType', 'created']);
      expect(message).toMatchObject({ message: 'he said "hi"\n', messageType: 'MESSAGE' });
      // Its page displays the eight characters after the T.
      expect(message.created.split('T')[1].slice(0, 8)).toMatch(/^\d\d:\d\d:\d\d$/);
      expect(Math.abs(Date.parse(message.created) - before)).toBeLessThan(5_000);
    });

    // Workers write the time of a notice each for itself, and one may learn of a join late.
    const expectSameWelcome = async (one: Subscriber, two: Subscriber) => {
      const texts = ({ frames }: Subscriber) => frames.map((frame) => JSON.parse(frame).message as string);
      await until('both have the second welcome', () => texts(two).includes(texts(one)[1] as string));
      expect(texts(one)).toHaveLength(2);
    };

    test('announces a new subscriber to everyone, itself included, by a name of four letters', async () => {
      const server = await start({ wire, ...unlimited });
      const one = await subscriber(server);
      await until('the welcome arrived', () => one.frames.length === 1);
      expect(JSON.parse(one.frames[0] as string)).toMatchObject({
        message: expect.stringMatching(/^Welcome new user: [a-zA-Z]{4}$/),
        messageType: 'WELCOME_MESSAGE',
        created: expect.stringContaining('T'),
      });
      const two = await subscriber(server);
      if (variant.workers > 1) return expectSameWelcome(one, two);
      await until('both have the second welcome', () => one.frames.length === 2 && two.frames.length === 1);
      expect(one.frames[1]).toBe(two.frames[0]);
    });

    test('announces a leave to the others under the same name', async () => {
      const server = await start({ wire, ...unlimited });
      const one = await subscriber(server);
      const two = await subscriber(server);
      await until('both welcomes arrived', () => one.frames.length === 2 && two.frames.length > 0);
      if (variant.workers > 1) await expectSameWelcome(one, two);
      const name = JSON.parse(one.frames[1] as string).message.slice(-4);
      two.socket.terminate();
      await until('the leave message arrived', () => one.frames.length === 3);
      const message = JSON.parse(one.frames[2] as string);
      expect(message).toMatchObject({ message: `User Logged out: ${name}`, messageType: 'LEAVE_MESSAGE' });
    });

    test('announces simultaneous subscribers in a frame each', async () => {
      const server = await start({ wire, ...unlimited });
      const all = await Promise.all(Array.from({ length: 10 }, () => subscriber(server)));
      await until('one has all welcomes', () => all.some(({ frames }) => frames.length === 10));
      for (const frame of all.flatMap(({ frames }) => frames))
        expect(JSON.parse(frame).messageType).toBe('WELCOME_MESSAGE');
    });

    test('closes with 1011 where the original handler has no code of its own', () => {
      expect(goWebsockets().closeFrame(closes.pongTimeout)).toEqual({ code: 1011, reason: 'Closed in defer' });
    });
  });

  describe.each(['go-websockets', 'go-websockets-basic', 'auto'] as const)('rooms over HTTP (wire %s)', (wire) => {
    const json = 'application/json';
    const textsOf = (frames: string[]) =>
      frames.map((frame) => (frame.startsWith('{') ? (JSON.parse(frame).message as string) : frame));

    test.each<[string, (fields: Record<string, string>) => readonly [string, string]]>([
      ['JSON', (fields) => [JSON.stringify(fields), json]],
      ['a form', (fields) => [new URLSearchParams(fields).toString(), 'application/x-www-form-urlencoded']],
    ])('delivers room_id, user_id and message as %s to that room only', async (_, encode) => {
      const server = await start({ wire, ...unlimited });
      const [red, blue] = [
        await subscriber(server, '/subscribe?room_id=red&user_id=ada'),
        await subscriber(server, '/subscribe?room_id=blue'),
      ];
      const lobby = await subscriber(server);
      expect((await post(server, ...encode({ room_id: 'red', user_id: 'bob', message: 'to red' }))).status).toBe(202);
      expect((await post(server, ...encode({ room_id: 'blue', user_id: 'bob', message: 'to blue' }))).status).toBe(202);
      await until('both frames arrived', () =>
        [red, blue].every(({ frames }) => textsOf(frames).some((m) => m.startsWith('to '))),
      );
      expect(textsOf(red.frames).filter((m) => m.startsWith('to '))).toEqual(['to red']);
      expect(textsOf(blue.frames).filter((m) => m.startsWith('to '))).toEqual(['to blue']);
      expect(textsOf(lobby.frames).filter((m) => m.startsWith('to '))).toEqual([]);
    });

    test('announces an arrival for a post without message, on the wire that supports it', async () => {
      const server = await start({ wire, ...unlimited });
      const red = await subscriber(server, '/subscribe?room_id=red');
      expect((await post(server, '{"room_id":"red","user_id":"bob"}', json)).status).toBe(202);
      await post(server, '{"room_id":"red","user_id":"bob","message":"after"}', json);
      await until('the message arrived', () => textsOf(red.frames).includes('after'));
      expect(textsOf(red.frames).includes('Welcome new user: bob')).toBe(wire === 'go-websockets');
    });

    test.each([
      ['{"room_id":"","user_id":"bob","message":"x"}', 'room_id'],
      [`{"room_id":"${'r'.repeat(129)}","message":"x"}`, 'room_id'],
      ['{"room_id":["red"],"message":"x"}', 'room_id'],
      ['{"room_id":"red","user_id":7,"message":"x"}', 'user_id'],
      [`{"room_id":"red","user_id":"${'u'.repeat(65)}","message":"x"}`, 'user_id'],
      ['{"room_id":"red","message":{}}', 'message'],
    ])('rejects %s with 400 that names the field', async (body, field) => {
      const server = await start({ wire, ...unlimited });
      const { status, body: reason } = await post(server, body, json);
      expect([status, reason]).toEqual([400, expect.stringContaining(field)]);
    });
  });

  describe.each(['spread', 'auto'] as const)('name and msg over HTTP (wire %s)', (wire) => {
    const json = 'application/json';

    test('answers 204 and delivers to everyone', async () => {
      const server = await start({ wire, ...unlimited });
      const one = await subscriber(server);
      expect(await post(server, '{"name":"ada","msg":"hi \\"all\\""}', json)).toMatchObject({ status: 204, body: '' });
      await until('the frame arrived', () => one.frames.length === 1);
      if (wire === 'spread') expect(JSON.parse(one.frames[0] as string)).toEqual({ name: 'ada', msg: 'hi "all"' });
      else expect(one.frames[0]).toBe('hi "all"'); // a plain subscription does not reveal its system
    });

    test.each([
      '{',
      '[]',
      'null',
      '{}',
      '{"name":"ada"}',
      '{"name":"","msg":"x"}',
      '{"name":"ada","msg":""}',
      '{"name":1,"msg":2}',
    ])('rejects %s with 400 and the reason', async (body) => {
      const server = await start({ wire, ...unlimited });
      const { status, body: reason } = await post(server, body, json);
      expect(status).toBe(400);
      expect(reason).toMatch(body === '{' ? /JSON/ : /^name and msg are required\n$/);
    });
  });

  test('the concurrency of coder’s tests passes with --publish-rate off', async () => {
    const { running, url, port } = await serving(['--publish-rate', 'off', '--transport', variant.transport]);
    const clients = await Promise.all(Array.from({ length: 10 }, () => subscriber({ port })));
    const texts: string[] = [];
    await Promise.all(
      clients.map(async (_, client) => {
        for (let i = 0; i < 128; i++) {
          const text = `${client}.${i}\n\u0001`.padEnd(i + 1, 'x').slice(0, i + 1); // 1 to 128 bytes
          texts.push(text);
          expect((await post({ url }, text, undefined)).status).toBe(202);
        }
      }),
    );
    await until('all clients have all frames', () => clients.every(({ frames }) => frames.length >= 1280));
    for (const { frames } of clients) expect(frames.toSorted()).toEqual(texts.toSorted());
    expect((await running.end()).code).toBe(0);
  });

  describe('a post of spread’s JSON', () => {
    const warningsOf = (lines: string[]) => lines.map((line) => JSON.parse(line).msg as string);

    test.each<[string, ServerOptions, readonly string[]]>([
      ['auto', {}, ["a client posted spread's JSON; its page needs --wire spread"]],
      ['gorilla', { wire: 'gorilla' }, ["a client posted spread's JSON; its page needs --wire spread"]],
      ['auto with its page', { web: 'test/contracts/pages/spread', port: 0 }, []],
      ['spread', { wire: 'spread' }, []],
      ['coder', { wire: 'coder' }, []],
    ])('is logged once where /subscribe does not speak it (wire %s)', async (_, options, expected) => {
      const lines: string[] = [];
      const log = pino({ level: 'warn' }, { write: (line: string) => lines.push(line) });
      const server = await start({ ...unlimited, ...options, log });
      lines.length = 0; // that of the page's port
      await post(server, 'raw');
      await post(server, '{"room_id":"red","message":"x"}', 'application/json');
      await post(server, '{"name":"ada"}', 'application/json');
      expect(lines).toEqual([]);
      for (const _ of [1, 2]) await post(server, '{"name":"ada","msg":"x"}', 'application/json');
      // Each worker logs it once.
      expect(variant.workers === 1 ? warningsOf(lines) : [...new Set(warningsOf(lines))]).toEqual(expected);
      expect(lines.length).toBeLessThanOrEqual(variant.workers);
    });
  });

  test('auto speaks the wire of the page it serves, and leaves other posts as they are', async () => {
    const server = await start({ ...unlimited, web: 'test/contracts/pages/spread' });
    const one = await subscriber(server);
    expect((await post(server, '{"name":"ada","msg":"hi"}', 'application/json')).status).toBe(204);
    expect((await post(server, 'from curl')).status).toBe(202);
    await until('both frames arrived', () => one.frames.length === 2);
    expect(one.frames.map((frame) => JSON.parse(frame))).toEqual([
      { name: 'ada', msg: 'hi' },
      { name: 'guest', msg: 'from curl' },
    ]);
  });

  test('a body over the limit has one response on every path, with the text of Go’s status', async () => {
    const server = await start({ ...unlimited });
    for (const path of ['/publish', '/login']) {
      const response = await fetch(server.url + path, { method: 'POST', body: 'x'.repeat(20_000) });
      expect([response.status, response.statusText, await response.text()]).toEqual([
        413,
        'Request Entity Too Large',
        'Request Entity Too Large\n',
      ]);
    }
  });

  describe('spread', () => {
    const wire = 'spread';

    test('reads keys without regard to case, and ignores unknown ones and null', async () => {
      const server = await start({ wire, ...unlimited });
      const one = await subscriber(server);
      expect((await post(server, '{"Name":"ada","name":null,"MSG":"hi","at":7}')).status).toBe(204);
      await until('the frame arrived', () => one.frames.length === 1);
      expect(JSON.parse(one.frames[0] as string)).toEqual({ name: 'ada', msg: 'hi' });
    });

    test('accepts any Content-Type', async () => {
      const server = await start({ wire, ...unlimited });
      expect((await post(server, '{"name":"ada","msg":"x"}', 'text/plain')).status).toBe(204);
      expect((await post(server, '{"name":"ada","msg":"x"}', undefined)).status).toBe(204);
    });

    test.each([
      ['GET', '/'],
      ['GET', '/publish'],
      ['GET', '/any/path'],
      ['POST', '/other'],
    ])('answers %s %s with the page', async (method, path) => {
      const server = await start({ wire, ...unlimited });
      const response = await fetch(server.url + path, { method });
      expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
    });

    test('closes with 1008 for data over the socket, and with 1001 and no reason at shutdown', async () => {
      const server = await start({ wire, ...unlimited, drainWindow: 1 });
      const [one, two] = [await subscriber(server), await subscriber(server)];
      one.socket.send('hello');
      expect(await one.closed).toEqual({ code: 1008, reason: 'unexpected data message' });
      await server.stop();
      expect(await two.closed).toEqual({ code: 1001, reason: '' });
    });

    test('closes a slow subscriber with 1001 and no reason, and continues to serve', async () => {
      const server = await start({ wire, ...unlimited });
      const slow = await subscriber(server);
      slow.socket.pause();
      const evicted = watchEvent(server, 'evicted');
      const body = JSON.stringify({ name: 'ada', msg: 'x'.repeat(8000) });
      for (let i = 0; i < 5000 && !evicted.happened; i++) await post(server, body);
      slow.socket.resume();
      expect(await slow.closed).toEqual({ code: 1001, reason: '' });
      expect((await post(server, body)).status).toBe(204);
    });
  });

  describe.each(['events', 'auto'] as const)('typed events (wire %s)', (wire) => {
    const login = async ({ url }: Server, body: unknown, type = 'text/plain;charset=UTF-8') => {
      const text = typeof body === 'string' ? body : JSON.stringify(body);
      const response = await fetch(`${url}/login`, { method: 'POST', body: text, headers: { 'content-type': type } });
      return { status: response.status, body: await response.text() };
    };
    const signIn = async (server: Server, username: string) => {
      const { body } = await login(server, { username, password: 'any' });
      return subscriber(server, `/ws?otp=${JSON.parse(body).otp}`);
    };
    const say = (message: string, from = 'x') => JSON.stringify({ type: 'send_message', payload: { message, from } });
    const change = (name: string) => JSON.stringify({ type: 'change_room', payload: { name } });

    test('answers a login with a ticket, invalid JSON with 400, and an empty name with 401', async () => {
      const server = await start({ wire, ...unlimited });
      const ok = await login(server, { username: 'ada', password: 'secret' });
      expect(ok.status).toBe(200);
      expect(JSON.parse(ok.body)).toEqual({ otp: expect.stringMatching(/^[0-9a-f-]{36}$/) });
      expect((await login(server, { username: 'ada', password: 'secret' }, 'application/json')).status).toBe(200);
      for (const invalid of ['', '{', '[]', '{"username":1}']) expect((await login(server, invalid)).status).toBe(400);
      expect(await login(server, { username: '', password: '' })).toEqual({ status: 401, body: '' });
    });

    test.each([
      '{"Username":"ada","PASSWORD":"x"}',
      '{"username":null,"Username":"ada","password":"x","remember":true}',
    ])('accepts the login %s, whose keys have any case', async (body) => {
      const server = await start({ wire, ...unlimited });
      expect((await login(server, body)).status).toBe(200);
    });

    test.each(['null', '{}', '{"username":null,"password":"x"}', '7'])(
      'rejects the login %s with 400',
      async (body) => {
        const server = await start({ wire, ...unlimited });
        expect((await login(server, body)).status).toBe(400);
      },
    );

    test.each(['PUT', 'PATCH', 'DELETE'])('accepts a login by %s', async (method) => {
      const server = await start({ wire, ...unlimited });
      const body = '{"username":"ada","password":"x"}';
      expect((await fetch(`${server.url}/login`, { method, body })).status).toBe(200);
      expect((await fetch(`${server.url}/login`)).status).toBe(wire === 'events' ? 400 : 404); // with auto, GET may request a page
    });

    test('accepts a ticket once, and answers a missing, invalid or used one with an empty 401', async () => {
      const server = await start({ wire, ...unlimited });
      const { otp } = JSON.parse((await login(server, { username: 'ada', password: 'x' })).body);
      const one = await subscriber(server, `/ws?otp=${otp}`);
      expect(one.socket.readyState).toBe(1);
      expect(await rejection(server, `/ws?otp=${otp}`)).toEqual({ status: 401, body: '' });
      expect(await rejection(server, '/ws?otp=no-such')).toEqual({ status: 401, body: '' });
      expect((await fetch(`${server.url}/ws?otp=no-such`)).status).toBe(401);
      if (wire === 'events') expect(await rejection(server, '/ws')).toEqual({ status: 401, body: '' });
      else expect((await subscriber(server, '/ws')).socket.readyState).toBe(1); // a client of gorilla's
    });

    test('keeps a ticket valid if its handshake is rejected for another reason', async () => {
      const server = await start({ wire, ...unlimited });
      const { otp } = JSON.parse((await login(server, { username: 'ada', password: 'x' })).body);
      expect((await rejection(server, `/ws?otp=${otp}`, { origin: 'http://evil.example' })).status).toBe(403);
      expect((await subscriber(server, `/ws?otp=${otp}`)).socket.readyState).toBe(1);
    });

    test('delivers a message to the whole room under the name that signed in', async () => {
      const server = await start({ wire, ...unlimited });
      const [ada, bob] = [await signIn(server, 'ada'), await signIn(server, 'bob')];
      ada.socket.send(say('hello', 'somebody else'));
      await until('both have the message', () => ada.frames.length === 1 && bob.frames.length === 1);
      expect(ada.frames).toEqual(bob.frames);
      const event = JSON.parse(ada.frames[0] as string);
      expect(event).toEqual({
        type: 'new_message',
        payload: {
          message: 'hello',
          from: 'ada',
          sent: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/),
        },
      });
    });

    test('changes the room with change_room; general and the empty name are the first room', async () => {
      const server = await start({ wire, ...unlimited });
      const [ada, bob] = [await signIn(server, 'ada'), await signIn(server, 'bob')];
      const received = (subscriber: typeof ada) => subscriber.frames.map((frame) => JSON.parse(frame).payload.message);
      ada.socket.send(change('den'));
      ada.socket.send(say('in the den'));
      await until('ada has her message', () => ada.frames.length === 1);
      bob.socket.send(say('in general'));
      await until('bob has his message', () => bob.frames.length === 1);
      for (const [first, text] of [
        ['general', 'back'],
        ['', 'again'],
      ] as const) {
        ada.socket.send(change('den'));
        ada.socket.send(change(first));
        ada.socket.send(say(text));
        await until('bob has the message of ada', () => received(bob).includes(text));
      }
      expect(received(ada)).toEqual(['in the den', 'back', 'again']);
      expect(received(bob)).toEqual(['in general', 'back', 'again']);
    });

    test('sends simultaneous messages in a frame each', async () => {
      const server = await start({ wire, ...unlimited });
      const ada = await signIn(server, 'ada');
      for (let i = 0; i < 50; i++) ada.socket.send(say(`${i}`));
      await until('all frames arrived', () => ada.frames.length === 50);
      expect(ada.frames.map((frame) => JSON.parse(frame).payload.message)).toEqual(
        Array.from({ length: 50 }, (_, i) => `${i}`),
      );
    });

    test.each([
      '{"type":"dance","payload":{}}',
      '{"type":"send_message","payload":7}',
      '{"type":"send_message"}',
      '{"type":"change_room","payload":{"name":9}}',
      '{"type":"send_message","payload":{"message":null}}',
      '{"type":"send_message","payload":null}',
      '{}',
      'null',
    ])('ignores %s', async (frame) => {
      const server = await start({ wire, ...unlimited });
      const ada = await signIn(server, 'ada');
      ada.socket.send(frame);
      ada.socket.send(say('still here'));
      await until('the message arrived', () => ada.frames.length === 1);
    });

    test('reads keys without regard to case, and ignores unknown ones', async () => {
      const server = await start({ wire, ...unlimited });
      const ada = await signIn(server, 'ada');
      ada.socket.send('{"Type":"send_message","id":7,"Payload":{"Message":"hello","to":"bob"}}');
      await until('the message arrived', () => ada.frames.length === 1);
      expect(JSON.parse(ada.frames[0] as string).payload.message).toBe('hello');
    });

    test('brings a client back to those who never left the first room', async () => {
      const server = await start({ wire, ...unlimited });
      const [ada, bob, eve] = [await signIn(server, 'ada'), await signIn(server, 'bob'), await signIn(server, 'eve')];
      ada.socket.send(change('den'));
      eve.socket.send(change('den'));
      ada.socket.send(change('general')); // the page's name of the first room
      eve.socket.send(change('')); // the demo's own name of it
      bob.socket.send(say('welcome back'));
      ada.socket.send(say('thanks'));
      eve.socket.send(say('me too'));
      await until('bob has all messages', () => bob.frames.length === 3);
      const newcomer = await signIn(server, 'fay');
      newcomer.socket.send(say('hello all'));
      await until('everyone has the last message', () =>
        [ada, bob, eve, newcomer].every(({ frames }) => frames.some((frame) => frame.includes('hello all'))),
      );
    });

    test.each(['hello', '[]', '"text"', ''])(
      'disconnects without a close frame for %j, which is not an envelope',
      async (frame) => {
        const server = await start({ wire, ...unlimited });
        const ada = await signIn(server, 'ada');
        ada.socket.send(frame);
        expect(await ada.closed).toEqual({ code: 1006, reason: '' });
      },
    );

    test('accepts an envelope of 512 bytes, and closes with 1009 for 513', async () => {
      const server = await start({ wire, ...unlimited });
      const ada = await signIn(server, 'ada');
      const padded = (bytes: number) => say('x'.repeat(bytes - say('').length));
      ada.socket.send(padded(512));
      await until('the frame arrived', () => ada.frames.length === 1);
      ada.socket.send(padded(513));
      expect((await ada.closed).code).toBe(1009);
    });
  });

  describe.each(['blueprints', 'auto'] as const)('the chapter’s room (wire %s)', (wire) => {
    test('delivers text and binary frames unchanged to everyone, one message a frame', async () => {
      const server = await start({ wire, ...unlimited });
      const [one, two] = [await subscriber(server, '/room'), await subscriber(server, '/room')];
      const texts = ['  hello\nthere ', '', 'é', '{"Message":1}'];
      for (const text of texts) one.socket.send(text);
      one.socket.send(Buffer.from('binary'), { binary: true });
      await until('all frames arrived', () => [one, two].every(({ frames }) => frames.length === 5));
      expect(one.frames).toEqual([...texts, 'binary']);
      expect(two.frames).toEqual(one.frames);
      expect(one.binary).toBe(0);
    });

    test('answers a plain GET of /room with 400, and closes with 1007 for binary that is not UTF-8', async () => {
      const server = await start({ wire, ...unlimited });
      expect((await fetch(`${server.url}/room`)).status).toBe(400);
      const one = await subscriber(server, '/room');
      one.socket.send(Buffer.from([0xff]), { binary: true });
      expect((await one.closed).code).toBe(1007);
    });
  });

  test('shares rooms between all wires, each in its own format', async () => {
    const server = await start({ ...unlimited });
    const { otp } = (await (
      await fetch(`${server.url}/login`, { method: 'POST', body: '{"username":"eve","password":"x"}' })
    ).json()) as { otp: string };
    const gorilla = await subscriber(server, '/ws');
    const coder = await subscriber(server);
    const blueprints = await subscriber(server, '/room');
    const native = await subscriber(server, '/ws?room=lobby&user=ada', ['pumphouse.v1']);
    const events = await subscriber(server, `/ws?otp=${otp}`);
    events.socket.send('{"type":"change_room","payload":{"name":"lobby"}}');
    native.socket.send('{"t":"send","room":"lobby","id":"1","data":{"text":"two\\nlines"}}');
    await until('the native client has the message', () =>
      native.messages().some((line) => line.includes('"t":"message"')),
    );
    gorilla.socket.send('from gorilla');
    blueprints.socket.send('from blueprints');
    await post(server, 'from coder');
    await post(server, '{"name":"sid","msg":"from spread"}', 'application/json');
    events.socket.send('{"type":"send_message","payload":{"message":"from events","from":"x"}}');
    const all = [gorilla, coder, blueprints, native, events];
    await until('all have the last message', () =>
      all.every(({ frames }) => frames.some((frame) => frame.includes('from events'))),
    );
    const texts = ['from gorilla', 'from blueprints', 'from coder', 'from spread', 'from events'];
    expect([...gorilla.messages()].sort()).toEqual(['two lines', ...texts].sort());
    expect([...coder.frames].sort()).toEqual(['two\nlines', ...texts].sort());
    expect([...blueprints.frames].sort()).toEqual(['two\nlines', ...texts].sort());
    const messages = native
      .messages()
      .map((line) => JSON.parse(line))
      .filter(({ t }) => t === 'message');
    expect(messages.map(({ from, data }) => [from, data.text]).sort(byText)).toEqual(
      [
        ['ada', 'two\nlines'],
        ['eve', 'from events'],
        ['guest', 'from coder'],
        ['sid', 'from spread'],
        [expect.stringMatching(/^c\d+$/), 'from blueprints'],
        [expect.stringMatching(/^c\d+$/), 'from gorilla'],
      ].sort(byText),
    );
    expect(events.frames.map((frame) => JSON.parse(frame).payload.from)).toContain('sid');
  });
});

interface Subscriber {
  readonly socket: WebSocket;
  readonly frames: string[];
  /** The number of binary frames received. */
  binary: number;
  readonly closed: Promise<{ code: number; reason: string }>;
  /** The messages, split from merged frames. */
  messages(): string[];
}

async function subscriber(
  { port }: Pick<Server, 'port'>,
  path = '/subscribe',
  protocols: string[] = [],
): Promise<Subscriber> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, protocols);
  const frames: string[] = [];
  const closed = once(socket, 'close').then(([code, reason]) => ({ code: Number(code), reason: String(reason) }));
  const result: Subscriber = {
    socket,
    frames,
    binary: 0,
    closed,
    messages: () => frames.flatMap((f) => f.split('\n')),
  };
  socket.on('message', (data, binary) => {
    if (binary) result.binary++;
    frames.push(String(data));
  });
  await once(socket, 'open');
  return result;
}

const byText = (a: unknown[], b: unknown[]) => `${a[1]}`.localeCompare(`${b[1]}`);

/**
 * Posts as a page does. Without a type it sends no Content-Type.
 *
 * @param timeout milliseconds to wait for the response.
 * @returns status 0 if the request timed out.
 */
async function post(
  { url }: Pick<Server, 'url'>,
  body: string | Uint8Array,
  type: string | undefined = 'text/plain;charset=UTF-8',
  timeout = 20_000,
) {
  const headers: Record<string, string> = type === undefined ? {} : { 'content-type': type };
  const signal = AbortSignal.timeout(timeout);
  try {
    return await send(`${url}/publish`, { method: 'POST', headers, body, signal });
  } catch (error) {
    if (signal.aborted) return { status: 0, body: '' };
    throw error;
  }
}

async function rejection({ port }: Server, path: string, headers: Record<string, string> = {}) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, { headers });
  socket.on('error', () => {});
  const [, response] = await once(socket, 'unexpected-response');
  let body = '';
  for await (const chunk of response) body += chunk;
  return { status: response.statusCode as number, body };
}

/** Records whether an event of the Hub has happened. */
function watchEvent({ hub }: Server, event: 'evicted') {
  const watched = { happened: false };
  hub.events.on(event, () => {
    watched.happened = true;
  });
  return watched;
}
