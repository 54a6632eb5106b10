import { once } from 'node:events';
import { request } from 'node:http';
import { closes, createServer, goWebsockets, type Server, type ServerOptions } from 'pumphouse';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { transports, until } from '../integration/server.ts';

// What clients written for six existing chat systems send and expect. Each rule is run on each transport.

const servers: Server[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

describe.each(transports)('the contracts, on %s', (transport) => {
  const start = async (options: ServerOptions) => {
    const server = await createServer({ port: 0, drainWindow: 0, transport, ...options });
    servers.push(server);
    return server;
  };
  const fast = { publishRate: 'off' } as const;

  describe.each(['coder', 'go-websockets-basic', 'auto'] as const)('raw text by HTTP (wire %s)', (wire) => {
    test('what is posted reaches each subscriber as a text frame of its own, its bytes unaltered', async () => {
      const server = await start({ wire, ...fast });
      const [one, two] = [await subscriber(server), await subscriber(server)];
      const said = [' spaces \n and newlines\n', '', '\u0001\u007f', 'é\u{1f600}', '{"json":1}', 'x'.repeat(8192)];
      for (const text of said) expect(await post(server, text)).toMatchObject({ status: 202, body: '' });
      await until('all came', () => one.frames.length === said.length && two.frames.length === said.length);
      expect(one.frames).toEqual(said);
      expect(two.frames).toEqual(said);
      expect(one.binary + two.binary).toBe(0);
    });

    test('whatever its Content-Type says, or when it has none', async () => {
      const server = await start({ wire, ...fast });
      const one = await subscriber(server);
      for (const type of ['text/plain;charset=UTF-8', 'application/octet-stream', undefined]) {
        expect((await post(server, 'hello', type)).status).toBe(202);
      }
      await until('all came', () => one.frames.length === 3);
    });

    test('8192 bytes are taken, 8193 are 413', async () => {
      const server = await start({ wire, ...fast });
      expect((await post(server, 'x'.repeat(8192))).status).toBe(202);
      expect(await post(server, 'x'.repeat(8193))).toMatchObject({ status: 413, body: 'Request Entity Too Large\n' });
    });

    test.each(['GET', 'PUT', 'DELETE'])('%s is 405', async (method) => {
      const server = await start({ wire, ...fast });
      const answer = await fetch(`${server.url}/publish`, { method });
      expect([answer.status, await answer.text()]).toEqual([405, 'Method Not Allowed\n']);
    });

    test('what is not UTF-8 is 400 and reaches nobody: as a text frame it would end browsers', async () => {
      const server = await start({ wire, ...fast });
      const one = await subscriber(server);
      expect((await post(server, Buffer.from([0xff, 0xfe]))).status).toBe(400);
      await post(server, 'after');
      await until('the next came', () => one.frames.length > 0);
      expect(one.frames).toEqual(['after']);
    });

    test('data over the socket is answered with 1008', async () => {
      const server = await start({ wire, ...fast });
      const one = await subscriber(server);
      one.socket.send('hello');
      expect(await one.closed).toEqual({ code: 1008, reason: 'unexpected data message' });
    });

    test('who has its 101 gets what is posted from then on', async () => {
      const server = await start({ wire, ...fast });
      for (let round = 0; round < 20; round++) {
        const one = await subscriber(server);
        const text = 'x'.repeat(512) + round;
        expect((await post(server, text)).status).toBe(202);
        await until('it came', () => one.frames.includes(text));
        one.socket.terminate();
      }
    });

    test('16 clients that post 128 messages each, some of them empty, each read exactly 2048', async () => {
      const server = await start({ wire, ...fast });
      const clients = await Promise.all(Array.from({ length: 16 }, () => subscriber(server)));
      const said: string[] = [];
      await Promise.all(
        clients.map(async (_, client) => {
          for (let i = 0; i < 128; i++) {
            const text = (i % 8 === 0 ? '' : `\u0000${client}\n${i}`).padEnd(i % 3 === 0 ? i : 0, '\u0002');
            said.push(text);
            expect((await post(server, text, undefined)).status).toBe(202);
          }
        }),
      );
      await until('all read all', () => clients.every(({ frames }) => frames.length >= 2048));
      for (const { frames } of clients) {
        expect(frames.length).toBe(2048);
        expect(new Set(frames)).toEqual(new Set(said));
        expect(frames).toEqual(clients[0]?.frames);
      }
    });

    test('no notices of who comes and goes', async () => {
      const server = await start({ wire, ...fast });
      const one = await subscriber(server);
      (await subscriber(server)).socket.terminate();
      await post(server, 'only this');
      await until('it came', () => one.frames.length > 0);
      expect(one.frames).toEqual(['only this']);
    });

    test('plain GET where one subscribes is 426 and says what to upgrade to, POST 405', async () => {
      const server = await start({ wire, ...fast });
      const answer = await fetch(`${server.url}/subscribe`);
      expect([answer.status, answer.headers.get('upgrade')]).toEqual([426, 'websocket']);
      expect((await fetch(`${server.url}/subscribe`, { method: 'POST' })).status).toBe(405);
    });

    test('a page of another host is 403, and is told which', async () => {
      const server = await start({ wire, ...fast });
      expect(await refusal(server, '/subscribe', { origin: 'http://evil.example' })).toEqual({
        status: 403,
        body: `request Origin "http://evil.example" is not authorized for Host "127.0.0.1:${server.port}"\n`,
      });
    });

    test('what a page of another host posts is 403 and reaches nobody', async () => {
      const server = await start({ wire, ...fast });
      const one = await subscriber(server);
      const headers = { origin: 'http://evil.example', 'content-type': 'text/plain' };
      expect((await fetch(`${server.url}/publish`, { method: 'POST', body: 'x', headers })).status).toBe(403);
      await post(server, 'after');
      await until('the next came', () => one.frames.length > 0);
      expect(one.frames).toEqual(['after']);
    });

    test('at the end subscribers are told of a restart: after 1001 their pages would not come back', async () => {
      const server = await start({ wire, ...fast, drainWindow: 1 });
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
    test('is closed with 1008 once more than 16 messages wait, and the others get all', async () => {
      const server = await start({ wire, ...fast });
      const [slow, quick] = [await subscriber(server), await subscriber(server)];
      slow.socket.pause();
      const evicted = noted(server, 'evicted');
      let posts = 0;
      for (const text = 'x'.repeat(8192); posts < 5000 && !evicted.happened; posts++) await post(server, text);
      expect(evicted.happened).toBe(true);
      slow.socket.resume();
      expect(await slow.closed).toEqual({ code: 1008, reason });
      await until('the quick one has all', () => quick.messages().length >= posts);
    });
  });

  describe('the rate of posts', () => {
    test.each(['coder', 'go-websockets', 'auto'] as const)(
      '%s: 8 at once, then one in 100 ms: the next are late, and none is lost',
      async (wire) => {
        const server = await start({ wire });
        const one = await subscriber(server);
        const begun = performance.now();
        const answers = await Promise.all(Array.from({ length: 13 }, (_, i) => post(server, `${i}`)));
        const took = performance.now() - begun;
        expect(answers.every(({ status }) => status === 202)).toBe(true);
        expect(took).toBeGreaterThan(400);
        expect(took).toBeLessThan(2_000);
        await until('all came', () => one.frames.length >= 13);
      },
    );

    test('who posts without end is refused at some point, and nobody else waits', async () => {
      const server = await start({ wire: 'coder' });
      const flood = Promise.all(Array.from({ length: 90 }, () => post(server, 'flood', undefined, 1500)));
      await new Promise((resolve) => setTimeout(resolve, 200));
      const begun = performance.now();
      const other = request(`${server.url}/publish`, { method: 'POST', localAddress: '127.0.0.2' });
      other.end('from another address');
      const [answer] = await once(other, 'response');
      expect([answer.statusCode, performance.now() - begun < 300]).toEqual([202, true]);
      expect((await flood).filter(({ status }) => status === 429).length).toBeGreaterThanOrEqual(10);
    });
  });

  describe('go-websockets (master)', () => {
    const wire = 'go-websockets';

    test('a message is JSON with its type and the time', async () => {
      const server = await start({ wire, ...fast });
      const one = await subscriber(server);
      await until('it is welcomed', () => one.frames.length === 1);
      const before = Date.now();
      expect((await post(server, 'he said "hi"\n')).status).toBe(202);
      await until('it came', () => one.frames.length === 2);
      const message = JSON.parse(one.frames[1] as string);
      expect(Object.keys(message)).toEqual(['message', 'messageType', 'created']);
      expect(message).toMatchObject({ message: 'he said "hi"\n', messageType: 'MESSAGE' });
      // Its page takes the time between the T and the eighth letter after it.
      expect(message.created.split('T')[1].slice(0, 8)).toMatch(/^\d\d:\d\d:\d\d$/);
      expect(Math.abs(Date.parse(message.created) - before)).toBeLessThan(5_000);
    });

    test('who comes is welcomed by a name of four letters, in a frame everyone gets, the newcomer too', async () => {
      const server = await start({ wire, ...fast });
      const one = await subscriber(server);
      await until('it is welcomed', () => one.frames.length === 1);
      expect(JSON.parse(one.frames[0] as string)).toMatchObject({
        message: expect.stringMatching(/^Welcome new user: [a-zA-Z]{4}$/),
        messageType: 'WELCOME_MESSAGE',
        created: expect.stringContaining('T'),
      });
      const two = await subscriber(server);
      await until('both are told', () => one.frames.length === 2 && two.frames.length === 1);
      expect(one.frames[1]).toBe(two.frames[0]);
    });

    test('who goes is told to the others, under the same name', async () => {
      const server = await start({ wire, ...fast });
      const one = await subscriber(server);
      const two = await subscriber(server);
      await until('both are welcomed', () => one.frames.length === 2);
      const name = JSON.parse(two.frames[0] as string).message.slice(-4);
      two.socket.terminate();
      await until('one is told', () => one.frames.length === 3);
      const told = JSON.parse(one.frames[2] as string);
      expect(told).toMatchObject({ message: `User Logged out: ${name}`, messageType: 'LEAVE_MESSAGE' });
    });

    test('many who come at once are each welcomed in a frame of their own', async () => {
      const server = await start({ wire, ...fast });
      const all = await Promise.all(Array.from({ length: 10 }, () => subscriber(server)));
      await until('each knows', () => all.some(({ frames }) => frames.length === 10));
      for (const frame of all.flatMap(({ frames }) => frames))
        expect(JSON.parse(frame).messageType).toBe('WELCOME_MESSAGE');
    });

    test('what has no words of its own there ends with 1011, as its handler does', () => {
      expect(goWebsockets().closeFrame(closes.pongTimeout)).toEqual({ code: 1011, reason: 'Closed in defer' });
    });
  });

  describe.each(['go-websockets', 'go-websockets-basic', 'auto'] as const)('rooms by HTTP (wire %s)', (wire) => {
    const json = 'application/json';
    const inRoom = (frames: string[]) =>
      frames.map((frame) => (frame.startsWith('{') ? (JSON.parse(frame).message as string) : frame));

    test.each<[string, (fields: Record<string, string>) => readonly [string, string]]>([
      ['JSON', (fields) => [JSON.stringify(fields), json]],
      ['a form', (fields) => [new URLSearchParams(fields).toString(), 'application/x-www-form-urlencoded']],
    ])('room_id, user_id and message as %s reach that room and no other', async (_, write) => {
      const server = await start({ wire, ...fast });
      const [red, blue] = [
        await subscriber(server, '/subscribe?room_id=red&user_id=ada'),
        await subscriber(server, '/subscribe?room_id=blue'),
      ];
      const lobby = await subscriber(server);
      expect((await post(server, ...write({ room_id: 'red', user_id: 'bob', message: 'to red' }))).status).toBe(202);
      expect((await post(server, ...write({ room_id: 'blue', user_id: 'bob', message: 'to blue' }))).status).toBe(202);
      await until('both came', () =>
        [red, blue].every(({ frames }) => inRoom(frames).some((m) => m.startsWith('to '))),
      );
      expect(inRoom(red.frames).filter((m) => m.startsWith('to '))).toEqual(['to red']);
      expect(inRoom(blue.frames).filter((m) => m.startsWith('to '))).toEqual(['to blue']);
      expect(inRoom(lobby.frames).filter((m) => m.startsWith('to '))).toEqual([]);
    });

    test('without message the arrival is announced, where that is understood', async () => {
      const server = await start({ wire, ...fast });
      const red = await subscriber(server, '/subscribe?room_id=red');
      expect((await post(server, '{"room_id":"red","user_id":"bob"}', json)).status).toBe(202);
      await post(server, '{"room_id":"red","user_id":"bob","message":"after"}', json);
      await until('the message came', () => inRoom(red.frames).includes('after'));
      expect(inRoom(red.frames).includes('Welcome new user: bob')).toBe(wire === 'go-websockets');
    });

    test.each([
      ['{"room_id":"","user_id":"bob","message":"x"}', 'room_id'],
      [`{"room_id":"${'r'.repeat(129)}","message":"x"}`, 'room_id'],
      ['{"room_id":["red"],"message":"x"}', 'room_id'],
      ['{"room_id":"red","user_id":7,"message":"x"}', 'user_id'],
      [`{"room_id":"red","user_id":"${'u'.repeat(65)}","message":"x"}`, 'user_id'],
      ['{"room_id":"red","message":{}}', 'message'],
    ])('%s is 400 and names what is wrong', async (body, named) => {
      const server = await start({ wire, ...fast });
      const { status, body: why } = await post(server, body, json);
      expect([status, why]).toEqual([400, expect.stringContaining(named)]);
    });
  });

  describe.each(['spread', 'auto'] as const)('name and msg by HTTP (wire %s)', (wire) => {
    const json = 'application/json';

    test('is 204 and reaches everyone', async () => {
      const server = await start({ wire, ...fast });
      const one = await subscriber(server);
      expect(await post(server, '{"name":"ada","msg":"hi \\"all\\""}', json)).toMatchObject({ status: 204, body: '' });
      await until('it came', () => one.frames.length === 1);
      if (wire === 'spread') expect(JSON.parse(one.frames[0] as string)).toEqual({ name: 'ada', msg: 'hi "all"' });
      else expect(one.frames[0]).toBe('hi "all"'); // who only subscribes does not tell which system it is of
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
    ])('%s is 400 and says why', async (body) => {
      const server = await start({ wire, ...fast });
      const { status, body: why } = await post(server, body, json);
      expect(status).toBe(400);
      expect(why).toMatch(body === '{' ? /JSON/ : /^name and msg are required\n$/);
    });
  });

  describe('spread', () => {
    const wire = 'spread';

    test('the Content-Type does not matter', async () => {
      const server = await start({ wire, ...fast });
      expect((await post(server, '{"name":"ada","msg":"x"}', 'text/plain')).status).toBe(204);
      expect((await post(server, '{"name":"ada","msg":"x"}', undefined)).status).toBe(204);
    });

    test.each([
      ['GET', '/'],
      ['GET', '/publish'],
      ['GET', '/any/path'],
      ['POST', '/other'],
    ])('%s %s gets the page', async (method, path) => {
      const server = await start({ wire, ...fast });
      const answer = await fetch(server.url + path, { method });
      expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
    });

    test('data over the socket is 1008, the end is 1001 without a reason', async () => {
      const server = await start({ wire, ...fast, drainWindow: 1 });
      const [one, two] = [await subscriber(server), await subscriber(server)];
      one.socket.send('hello');
      expect(await one.closed).toEqual({ code: 1008, reason: 'unexpected data message' });
      await server.stop();
      expect(await two.closed).toEqual({ code: 1001, reason: '' });
    });

    test('a slow subscriber gets 1001 without a reason, and the server goes on', async () => {
      const server = await start({ wire, ...fast });
      const slow = await subscriber(server);
      slow.socket.pause();
      const evicted = noted(server, 'evicted');
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
      const answer = await fetch(`${url}/login`, { method: 'POST', body: text, headers: { 'content-type': type } });
      return { status: answer.status, body: await answer.text() };
    };
    const enter = async (server: Server, username: string) => {
      const { body } = await login(server, { username, password: 'any' });
      return subscriber(server, `/ws?otp=${JSON.parse(body).otp}`);
    };
    const say = (message: string, from = 'x') => JSON.stringify({ type: 'send_message', payload: { message, from } });
    const change = (name: string) => JSON.stringify({ type: 'change_room', payload: { name } });

    test('a login is 200 with a ticket, whatever its Content-Type; what is no JSON is 400; no name is 401', async () => {
      const server = await start({ wire, ...fast });
      const ok = await login(server, { username: 'ada', password: 'secret' });
      expect(ok.status).toBe(200);
      expect(JSON.parse(ok.body)).toEqual({ otp: expect.stringMatching(/^[0-9a-f-]{36}$/) });
      expect((await login(server, { username: 'ada', password: 'secret' }, 'application/json')).status).toBe(200);
      for (const bad of ['', '{', '[]', '{"username":1}']) expect((await login(server, bad)).status).toBe(400);
      expect(await login(server, { username: '', password: '' })).toEqual({ status: 401, body: '' });
    });

    test.each(['PUT', 'PATCH', 'DELETE'])('a login by %s is a login too', async (method) => {
      const server = await start({ wire, ...fast });
      const body = '{"username":"ada","password":"x"}';
      expect((await fetch(`${server.url}/login`, { method, body })).status).toBe(200);
      expect((await fetch(`${server.url}/login`)).status).toBe(wire === 'events' ? 400 : 404); // it may be a page
    });

    test('a ticket opens one connection; without, with a false or a spent one it is 401 with an empty body', async () => {
      const server = await start({ wire, ...fast });
      const { otp } = JSON.parse((await login(server, { username: 'ada', password: 'x' })).body);
      const one = await subscriber(server, `/ws?otp=${otp}`);
      expect(one.socket.readyState).toBe(1);
      expect(await refusal(server, `/ws?otp=${otp}`)).toEqual({ status: 401, body: '' });
      expect(await refusal(server, '/ws?otp=no-such')).toEqual({ status: 401, body: '' });
      expect((await fetch(`${server.url}/ws?otp=no-such`)).status).toBe(401);
      if (wire === 'events') expect(await refusal(server, '/ws')).toEqual({ status: 401, body: '' });
      else expect((await subscriber(server, '/ws')).socket.readyState).toBe(1); // gorilla's client
    });

    test('a ticket that was refused for another reason is still good', async () => {
      const server = await start({ wire, ...fast });
      const { otp } = JSON.parse((await login(server, { username: 'ada', password: 'x' })).body);
      expect((await refusal(server, `/ws?otp=${otp}`, { origin: 'http://evil.example' })).status).toBe(403);
      expect((await subscriber(server, `/ws?otp=${otp}`)).socket.readyState).toBe(1);
    });

    test('a message comes to all in the room, its sender too, from who signed in', async () => {
      const server = await start({ wire, ...fast });
      const [ada, bob] = [await enter(server, 'ada'), await enter(server, 'bob')];
      ada.socket.send(say('hello', 'somebody else'));
      await until('both have it', () => ada.frames.length === 1 && bob.frames.length === 1);
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

    test('change_room takes it to another room; general and the empty name are where all begin', async () => {
      const server = await start({ wire, ...fast });
      const [ada, bob] = [await enter(server, 'ada'), await enter(server, 'bob')];
      const heard = (who: typeof ada) => who.frames.map((frame) => JSON.parse(frame).payload.message);
      ada.socket.send(change('den'));
      ada.socket.send(say('in the den'));
      await until('ada hears herself', () => ada.frames.length === 1);
      bob.socket.send(say('in general'));
      await until('bob hears himself', () => bob.frames.length === 1);
      for (const [back, text] of [
        ['general', 'back'],
        ['', 'again'],
      ] as const) {
        ada.socket.send(change('den'));
        ada.socket.send(change(back));
        ada.socket.send(say(text));
        await until('bob hears her', () => heard(bob).includes(text));
      }
      expect(heard(ada)).toEqual(['in the den', 'back', 'again']);
      expect(heard(bob)).toEqual(['in general', 'back', 'again']);
    });

    test('several messages at once are a frame each', async () => {
      const server = await start({ wire, ...fast });
      const ada = await enter(server, 'ada');
      for (let i = 0; i < 50; i++) ada.socket.send(say(`${i}`));
      await until('all came', () => ada.frames.length === 50);
      expect(ada.frames.map((frame) => JSON.parse(frame).payload.message)).toEqual(
        Array.from({ length: 50 }, (_, i) => `${i}`),
      );
    });

    test.each([
      '{"type":"dance","payload":{}}',
      '{"type":"send_message","payload":7}',
      '{"type":"send_message"}',
      '{"type":"change_room","payload":{"name":9}}',
      '{}',
    ])('%s is passed over', async (frame) => {
      const server = await start({ wire, ...fast });
      const ada = await enter(server, 'ada');
      ada.socket.send(frame);
      ada.socket.send(say('still here'));
      await until('she is heard', () => ada.frames.length === 1);
    });

    test.each(['hello', '[]', '"text"', ''])(
      '%j is no envelope and ends the connection without a close frame',
      async (frame) => {
        const server = await start({ wire, ...fast });
        const ada = await enter(server, 'ada');
        ada.socket.send(frame);
        expect(await ada.closed).toEqual({ code: 1006, reason: '' });
      },
    );

    test('512 bytes of envelope are taken, 513 are 1009', async () => {
      const server = await start({ wire, ...fast });
      const ada = await enter(server, 'ada');
      const padded = (bytes: number) => say('x'.repeat(bytes - say('').length));
      ada.socket.send(padded(512));
      await until('it came', () => ada.frames.length === 1);
      ada.socket.send(padded(513));
      expect((await ada.closed).code).toBe(1009);
    });
  });

  describe.each(['blueprints', 'auto'] as const)('the chapter’s room (wire %s)', (wire) => {
    test('what is said over /room comes back verbatim to all, a message a frame, text or binary in', async () => {
      const server = await start({ wire, ...fast });
      const [one, two] = [await subscriber(server, '/room'), await subscriber(server, '/room')];
      const said = ['  hello\nthere ', '', 'é', '{"Message":1}'];
      for (const text of said) one.socket.send(text);
      one.socket.send(Buffer.from('binary'), { binary: true });
      await until('all came', () => [one, two].every(({ frames }) => frames.length === 5));
      expect(one.frames).toEqual([...said, 'binary']);
      expect(two.frames).toEqual(one.frames);
      expect(one.binary).toBe(0);
    });

    test('plain GET of /room is 400, binary that is no text 1007', async () => {
      const server = await start({ wire, ...fast });
      expect((await fetch(`${server.url}/room`)).status).toBe(400);
      const one = await subscriber(server, '/room');
      one.socket.send(Buffer.from([0xff]), { binary: true });
      expect((await one.closed).code).toBe(1007);
    });
  });

  test('every wire shares its room with every other, each in its own form', async () => {
    const server = await start({ ...fast });
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
    await until('the native one has it', () => native.messages().some((line) => line.includes('"t":"message"')));
    gorilla.socket.send('from gorilla');
    blueprints.socket.send('from blueprints');
    await post(server, 'from coder');
    await post(server, '{"name":"sid","msg":"from spread"}', 'application/json');
    events.socket.send('{"type":"send_message","payload":{"message":"from events","from":"x"}}');
    const all = [gorilla, coder, blueprints, native, events];
    await until('all have the last', () =>
      all.every(({ frames }) => frames.some((frame) => frame.includes('from events'))),
    );
    const texts = ['from gorilla', 'from blueprints', 'from coder', 'from spread', 'from events'];
    expect([...gorilla.messages()].sort()).toEqual(['two lines', ...texts].sort());
    expect([...coder.frames].sort()).toEqual(['two\nlines', ...texts].sort());
    expect([...blueprints.frames].sort()).toEqual(['two\nlines', ...texts].sort());
    const told = native
      .messages()
      .map((line) => JSON.parse(line))
      .filter(({ t }) => t === 'message');
    expect(told.map(({ from, data }) => [from, data.text]).sort(byText)).toEqual(
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

interface Subscribed {
  readonly socket: WebSocket;
  readonly frames: string[];
  /** Binary frames that came. */
  binary: number;
  readonly closed: Promise<{ code: number; reason: string }>;
  /** What merged frames hold. */
  messages(): string[];
}

async function subscriber({ port }: Server, path = '/subscribe', protocols: string[] = []): Promise<Subscribed> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, protocols);
  const frames: string[] = [];
  const closed = once(socket, 'close').then(([code, reason]) => ({ code: Number(code), reason: String(reason) }));
  const subscribed: Subscribed = {
    socket,
    frames,
    binary: 0,
    closed,
    messages: () => frames.flatMap((f) => f.split('\n')),
  };
  socket.on('message', (data, binary) => {
    if (binary) subscribed.binary++;
    frames.push(String(data));
  });
  await once(socket, 'open');
  return subscribed;
}

const byText = (a: unknown[], b: unknown[]) => `${a[1]}`.localeCompare(`${b[1]}`);

/** Posts as a page does; without a type it sends no Content-Type. @param patience gives up waiting for the answer after so many ms. */
async function post(
  { url }: Server,
  body: string | Uint8Array,
  type: string | undefined = 'text/plain;charset=UTF-8',
  patience = 20_000,
) {
  const headers: Record<string, string> = type === undefined ? {} : { 'content-type': type };
  const content = type === undefined ? Buffer.from(body) : body;
  try {
    const signal = AbortSignal.timeout(patience);
    const answer = await fetch(`${url}/publish`, { method: 'POST', body: content, headers, signal });
    return { status: answer.status, body: await answer.text() };
  } catch (error) {
    if ((error as Error).name === 'TimeoutError') return { status: 0, body: '' };
    throw error;
  }
}

async function refusal({ port }: Server, path: string, headers: Record<string, string> = {}) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, { headers });
  socket.on('error', () => {});
  const [, answer] = await once(socket, 'unexpected-response');
  let body = '';
  for await (const chunk of answer) body += chunk;
  return { status: answer.statusCode as number, body };
}

/** Notes when an event of the Hub happens. */
function noted({ hub }: Server, event: 'evicted') {
  const told = { happened: false };
  hub.events.on(event, () => {
    told.happened = true;
  });
  return told;
}
