import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { runInNewContext as evaluateInAnotherRealm } from 'node:vm';
import { pino } from 'pino';
import { ConfigError, createServer, type Engine, memory, type Server, type ServerOptions } from 'pumphouse';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { loadUws } from '../../src/transport/uws.ts';
import { Peer } from '../conformance/server.ts';

const servers: Server[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

async function start(options: ServerOptions): Promise<Server> {
  const server = await createServer({ port: 0, publishRate: 'off', drainWindow: 0, ...options });
  servers.push(server);
  return server;
}

/** Returns the response to a handshake of the wire `gorilla`: 101 or the rejection. */
async function handshake({ port }: Server, query = '', headers: Record<string, string> = {}) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws${query}`, { headers });
  socket.on('error', () => {});
  const [response] = await Promise.race([
    once(socket, 'unexpected-response').then(([, rejection]) => [rejection]),
    once(socket, 'upgrade'),
  ]);
  let body = '';
  if (response.statusCode !== 101) for await (const chunk of response) body += chunk;
  else socket.terminate();
  return { status: response.statusCode, body: body.trim() };
}

const hasUws = 'factory' in loadUws();
const transports = [['uws'], ['ws']] as const;

describe.each(transports)('an embedded server on %s', (transport) => {
  const startOn = async (options: ServerOptions) => start({ transport, ...options });
  const run = test.skipIf(transport === 'uws' && !hasUws);

  run('serves like the command, and stops', async () => {
    const server = await startOn({});
    expect(await (await fetch(`${server.url}/healthz`)).text()).toBe('ok\n');
    const peer = await Peer.connect(server.port);
    expect(await peer.join('r')).toMatchObject({ seq: 0 });
    expect(server.hub.rooms).toBe(1);
    await server.stop();
    expect(await peer.closed).toEqual({ code: 1001, reason: 'the server is shutting down' });
  });

  run('calls the hooks for HTTP posts as for messages over a socket', async () => {
    const calls: unknown[] = [];
    const server = await startOn({
      hooks: {
        connect: ({ headers }) => (headers['x-token'] === 'good' ? { user: 'ada' } : 'no token'),
        join({ user }, room) {
          calls.push(['join', user, room]);
          return room !== 'closed';
        },
        async send({ user }, room, data) {
          calls.push(['send', user, room, data]);
          return room !== 'closed';
        },
      },
    });
    const post = async (body: object | string, token = 'good') => {
      const type = typeof body === 'string' ? {} : { 'content-type': 'application/json' };
      const text = typeof body === 'string' ? body : JSON.stringify(body);
      const init = { method: 'POST', body: text, headers: { 'x-token': token, ...type } };
      return (await fetch(`${server.url}/publish`, init)).status;
    };
    expect(await post('hello', 'bad')).toBe(403);
    expect(calls).toEqual([]);
    expect(await post('hello')).toBe(202);
    expect(await post({ room_id: 'closed', user_id: 'eve', message: 'x' })).toBe(403);
    expect(await post({ room_id: 'closed', user_id: 'eve' })).toBe(403);
    expect(calls).toEqual([
      ['send', 'ada', 'lobby', { text: 'hello' }],
      ['send', 'ada', 'closed', { text: 'x' }],
      ['join', 'ada', 'closed'],
    ]);
  });

  run('keeps a session with its connection when a second one disconnects during the connect hook', async () => {
    let [calls, decide] = [0, () => {}];
    const decided = new Promise<void>((resolve) => {
      decide = resolve;
    });
    const server = await startOn({ hooks: { connect: async () => ++calls === 1 || decided.then(() => true) } });
    const peer = await Peer.connect(server.port);
    const { resume } = await peer.next('welcome');
    const gone = new WebSocket(`ws://127.0.0.1:${server.port}/ws`, ['pumphouse.v1', `resume.${resume}`]);
    gone.on('error', () => {});
    while (calls < 2) await sleep(5);
    gone.terminate();
    await sleep(30);
    decide();
    await sleep(30);
    expect(await peer.join('r')).toMatchObject({ seq: 0 });
  });

  run.each([
    ['at once', <T>(answer: T) => answer],
    ['later', async <T>(answer: T) => sleep(20).then(() => answer)],
  ])('lets the connect hook decide %s whether a client may connect, and its name', async (_, answer) => {
    const calls: unknown[] = [];
    const server = await startOn({
      hooks: {
        connect({ path, query, headers, remoteAddress }) {
          calls.push([path, query.get('x'), headers['x-token'], remoteAddress]);
          const { 'x-token': token } = headers;
          return answer(token === 'ada' ? { user: 'ada' } : token === 'any' || (token ? 'no such token' : false));
        },
      },
    });
    expect(await handshake(server)).toEqual({ status: 403, body: 'Forbidden' });
    expect(await handshake(server, '?x=1', { 'x-token': 'bad' })).toEqual({ status: 403, body: 'no such token' });
    expect(calls[1]).toEqual(['/ws', '1', 'bad', '127.0.0.1']);
    expect(await handshake(server, '?user=eve', { 'x-token': 'any' })).toMatchObject({ status: 101 });
    const open = async (token: string, ...more: string[]) => {
      const protocols = ['pumphouse.v1', ...more];
      const socket = new WebSocket(`ws://127.0.0.1:${server.port}/ws?user=eve`, protocols, {
        headers: { 'x-token': token },
      });
      const [data] = await once(socket, 'message');
      socket.terminate();
      return JSON.parse(String(data));
    };
    const eve = await open('any');
    expect(eve.user).toBe('eve');
    expect((await open('any', `resume.${eve.resume}`)).session).toBe(eve.session);
    const ada = await open('ada', `resume.${eve.resume}`);
    expect([ada.user, ada.session === eve.session]).toEqual(['ada', false]);
  });

  run('rejects on an invalid answer of the connect hook, and awaits any thenable', async () => {
    const answers: Record<string, unknown> = {
      nothing: undefined,
      null: null,
      object: {},
      empty: { user: '' },
      long: { user: 'é'.repeat(33) },
      number: { user: 5 },
      thenNo: evaluateInAnotherRealm('Promise.resolve(false)'),
      thenAda: evaluateInAnotherRealm("Promise.resolve({ user: 'ada' })"),
    };
    const server = await startOn({ hooks: { connect: ({ query }) => answers[query.get('as') ?? ''] as boolean } });
    for (const as of Object.keys(answers)) {
      const expected = as === 'thenAda' ? 101 : as === 'nothing' || as === 'thenNo' ? 403 : 503;
      expect([as, (await handshake(server, `?as=${as}`)).status]).toEqual([as, expected]);
    }
  });

  run('rejects what the join and send hooks deny, and keeps the order of the rest', async () => {
    const server = await startOn({
      hooks: {
        join: ({ user }, room) => sleep(10, room !== 'staff' || user === 'boss' || 'staff only'),
        send: (_, room, data) => sleep(data === 'slow' ? 30 : 1, room === 'r' && data !== 'bad'),
      },
    });
    const peer = await Peer.connect(server.port, '?user=ada');
    const send = (id: string, data: string) => ({ t: 'send', room: 'r', id, data }) as const;
    peer.send(
      { t: 'join', room: 'staff' },
      { t: 'join', room: 'r' },
      send('1', 'slow'),
      send('2', 'bad'),
      send('3', 'x'),
    );
    peer.send({ t: 'leave', room: 'r' });
    await peer.next('left');
    // A rejection comes at once, and `sent` in the Hub's turn.
    expect(peer.got.filter(({ t }) => t === 'error')).toMatchObject([
      { code: 'forbidden', message: 'staff only', room: 'staff', retry: false },
      { code: 'forbidden', id: '2', room: 'r' },
    ]);
    expect(peer.got.slice(1).filter(({ t }) => !['error', 'presence', 'message'].includes(t))).toMatchObject([
      { t: 'joined', room: 'r' },
      { t: 'sent', id: '1', seq: 1 },
      { t: 'sent', id: '3', seq: 2 },
      { t: 'left' },
    ]);
    const boss = await Peer.connect(server.port, '?user=boss&room=staff');
    expect(await boss.next('joined')).toMatchObject({ room: 'staff' });
    const rooms = await Peer.connect(server.port, '?user=ada&room=staff&room=r');
    expect([await rooms.next('error'), await rooms.next('joined')]).toMatchObject([{ room: 'staff' }, { room: 'r' }]);
  });

  run('rejects with a retryable error when a hook throws, rejects or takes too long', async () => {
    const server = await startOn({
      hookTimeout: 50,
      hooks: {
        connect: ({ query }) => {
          if (query.has('fail')) throw new Error('connect');
          return true;
        },
        join: (_, room) => (room === 'never' ? new Promise(() => {}) : Promise.resolve(true)),
        send: () => Promise.reject(new Error('send')),
      },
    });
    expect(await handshake(server, '?fail=1')).toEqual({ status: 503, body: 'Try again later' });
    const peer = await Peer.connect(server.port);
    peer.send({ t: 'join', room: 'never' }, { t: 'join', room: 'r' }, { t: 'send', room: 'r', id: 'a', data: 1 });
    expect(await peer.next('error')).toMatchObject({ code: 'unavailable', room: 'never', retry: true });
    expect(await peer.next('error')).toMatchObject({ code: 'unavailable', room: 'r', id: 'a', retry: true });
  });

  run('rejects commands past 64 that wait for a hook, and stays healthy when their client disconnects', async () => {
    let decide = (_: boolean) => {};
    const server = await startOn({ hooks: { join: () => new Promise((resolve) => (decide = resolve)) } });
    const peer = await Peer.connect(server.port);
    peer.send({ t: 'join', room: 'r' });
    for (let i = 0; i < 80; i++) peer.send({ t: 'send', room: 'r', id: `${i}`, data: i });
    for (let i = 64; i < 80; i++) expect(await peer.next('error')).toMatchObject({ code: 'busy', id: `${i}` });
    decide(true);
    for (let i = 0; i < 64; i++) expect(await peer.next('sent')).toMatchObject({ id: `${i}`, seq: i + 1 });
    const gone = await Peer.connect(server.port);
    gone.send({ t: 'join', room: 'r' });
    await sleep(20);
    gone.socket.terminate();
    await gone.closed;
    decide(true);
    await sleep(20);
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
  });

  run('calls the hooks for clients whose wire has no errors, and closes them on a denial', async () => {
    const server = await startOn({
      hooks: {
        join: ({ user }) => user !== 'c1',
        send: async (_, __, data) => (data as { text: string }).text !== 'bad',
      },
    });
    const connectPlain = async () => {
      const socket = new WebSocket(`ws://127.0.0.1:${server.port}/ws`);
      await once(socket, 'open');
      return socket;
    };
    const [code, reason] = await once(await connectPlain(), 'close');
    expect([code, String(reason)]).toEqual([1008, 'not allowed']);
    const second = await connectPlain();
    second.send('good');
    expect(String((await once(second, 'message'))[0])).toBe('good');
    second.send('bad');
    expect((await once(second, 'close'))[0]).toBe(1008);
  });

  run('survives a handshake decided after its client disconnected, or while the server stops', async () => {
    let decide = (_: boolean) => {};
    const server = await startOn({ hooks: { connect: () => new Promise((resolve) => (decide = resolve)) } });
    const gone = new WebSocket(`ws://127.0.0.1:${server.port}/ws`);
    gone.on('error', () => {});
    await sleep(50);
    gone.terminate();
    await sleep(50);
    decide(true);
    const late = handshake(server).catch(() => ({ status: 503 }));
    await sleep(50);
    const stopped = server.stop();
    decide(true);
    expect(await late).toMatchObject({ status: 503 });
    await stopped;
  });
});

test('stores rooms in an engine that the program provides', async () => {
  const appended: string[] = [];
  const inner = memory();
  const engine: Engine = {
    ...inner,
    append(room, drafts) {
      appended.push(room);
      inner.append(room, drafts);
    },
  };
  const server = await start({ engine });
  const peer = await Peer.connect(server.port, '?room=r');
  await peer.next('joined');
  await peer.say('r', 1);
  expect(appended).toEqual(['r']);
});

test('rejects an invalid option, and a port in use, in one line', async () => {
  await expect(createServer({ port: 'http' as unknown as number })).rejects.toThrow(ConfigError);
  await expect(createServer({ port: -1 })).rejects.toThrow('port: -1 is not a port (0 to 65535)');
  await expect(createServer({ prot: 1 } as ServerOptions)).rejects.toThrow(
    'unknown option "prot"; did you mean "port"?',
  );
  await expect(createServer({ publishRate: { perSecond: 0, burst: 1 } })).rejects.toThrow('publishRate');
  await expect(createServer({ workers: 2 } as ServerOptions)).rejects.toThrow(
    'workers: createServer has one thread; start several with pumphouse serve --workers N',
  );
  await expect(createServer({ hooks: './rules.mjs' } as unknown as ServerOptions)).rejects.toThrow(
    'hooks: is a string; import the module, and pass its functions connect, join and send',
  );
  const server = await start({ publishRate: { perSecond: 5, burst: 7 } });
  const peer = await Peer.connect(server.port);
  expect((await peer.next('welcome')).limits.publishRate).toEqual({ perSecond: 5, burst: 7 });
  await expect(createServer({ port: server.port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
});

test('rejects options that contradict each other, and logs those without an effect', async () => {
  await expect(start({ users: 'users.json' })).rejects.toThrow(
    new ConfigError('users has no effect without auth: "otp"; add that or remove users'),
  );
  const lines: string[] = [];
  const log = pino({ level: 'warn' }, { write: (line) => lines.push(line) });
  await start({ data: 'rooms', log });
  expect(lines.map((line) => JSON.parse(line).msg)).toEqual([
    'data has no effect with engine: "memory"; set engine: "lmdb" to store rooms on disk',
  ]);
});
