import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { runInNewContext as inAnotherRealm } from 'node:vm';
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

/** What a handshake is answered with: 101, or the refusal. */
async function handshake({ port }: Server, query = '', headers: Record<string, string> = {}) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws${query}`, 'pumphouse.v1', { headers });
  socket.on('error', () => {});
  const [answer] = await Promise.race([
    once(socket, 'unexpected-response').then(([, got]) => [got]),
    once(socket, 'upgrade'),
  ]);
  let body = '';
  if (answer.statusCode !== 101) for await (const chunk of answer) body += chunk;
  else socket.terminate();
  return { status: answer.statusCode, body: body.trim() };
}

const uws = 'factory' in loadUws();
const transports = [['uws'], ['ws']] as const;

describe.each(transports)('a server in a program, on %s', (transport) => {
  const on = async (options: ServerOptions) => start({ transport, ...options });
  const run = test.skipIf(transport === 'uws' && !uws);

  run('serves as the command does, and ends', async () => {
    const server = await on({});
    expect(await (await fetch(`${server.url}/healthz`)).text()).toBe('ok\n');
    const peer = await Peer.connect(server.port);
    expect(await peer.join('r')).toMatchObject({ seq: 0 });
    expect(server.hub.rooms).toBe(1);
    await server.stop();
    expect(await peer.closed).toEqual({ code: 1001, reason: 'the server is shutting down' });
  });

  run('what is posted by HTTP is asked about as what comes over a socket', async () => {
    const asked: unknown[] = [];
    const server = await on({
      hooks: {
        connect: ({ headers }) => (headers['x-token'] === 'good' ? { user: 'ada' } : 'no token'),
        join({ user }, room) {
          asked.push(['join', user, room]);
          return room !== 'closed';
        },
        async send({ user }, room, data) {
          asked.push(['send', user, room, data]);
          return room !== 'closed';
        },
      },
    });
    const post = async (body: object | string, token = 'good') => {
      const json = typeof body === 'string' ? {} : { 'content-type': 'application/json' };
      const text = typeof body === 'string' ? body : JSON.stringify(body);
      const init = { method: 'POST', body: text, headers: { 'x-token': token, ...json } };
      return (await fetch(`${server.url}/publish`, init)).status;
    };
    expect(await post('hello', 'bad')).toBe(403);
    expect(asked).toEqual([]);
    expect(await post('hello')).toBe(202);
    expect(await post({ room_id: 'closed', user_id: 'eve', message: 'x' })).toBe(403);
    expect(await post({ room_id: 'closed', user_id: 'eve' })).toBe(403);
    expect(asked).toEqual([
      ['send', 'ada', 'lobby', { text: 'hello' }],
      ['send', 'ada', 'closed', { text: 'x' }],
      ['join', 'ada', 'closed'],
    ]);
  });

  run('who hangs up while a hook thinks takes no session over', async () => {
    let [asked, goOn] = [0, () => {}];
    const thinking = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const server = await on({ hooks: { connect: async () => ++asked === 1 || thinking.then(() => true) } });
    const peer = await Peer.connect(server.port);
    const { resume } = await peer.next('welcome');
    const gone = new WebSocket(`ws://127.0.0.1:${server.port}/ws?resume=${resume}`, 'pumphouse.v1');
    gone.on('error', () => {});
    while (asked < 2) await sleep(5);
    gone.terminate();
    await sleep(30);
    goOn();
    await sleep(30);
    expect(await peer.join('r')).toMatchObject({ seq: 0 });
  });

  run.each([
    ['at once', <T>(answer: T) => answer],
    ['later', async <T>(answer: T) => sleep(20).then(() => answer)],
  ])('the connect hook decides %s who comes in, and as whom', async (_, answer) => {
    const asked: unknown[] = [];
    const server = await on({
      hooks: {
        connect({ path, query, headers, remoteAddress }) {
          asked.push([path, query.get('x'), headers['x-token'], remoteAddress]);
          const { 'x-token': token } = headers;
          return answer(token === 'ada' ? { user: 'ada' } : token === 'any' || (token ? 'no such token' : false));
        },
      },
    });
    expect(await handshake(server)).toEqual({ status: 403, body: 'Forbidden' });
    expect(await handshake(server, '?x=1', { 'x-token': 'bad' })).toEqual({ status: 403, body: 'no such token' });
    expect(asked[1]).toEqual(['/ws', '1', 'bad', '127.0.0.1']);
    expect(await handshake(server, '?user=eve', { 'x-token': 'any' })).toMatchObject({ status: 101 });
    const open = async (query: string, token: string) => {
      const socket = new WebSocket(`ws://127.0.0.1:${server.port}/ws${query}`, 'pumphouse.v1', {
        headers: { 'x-token': token },
      });
      const [data] = await once(socket, 'message');
      socket.terminate();
      return JSON.parse(String(data));
    };
    const eve = await open('?user=eve', 'any');
    expect(eve.user).toBe('eve');
    expect((await open(`?user=eve&resume=${eve.resume}`, 'any')).session).toBe(eve.session);
    const ada = await open(`?user=eve&resume=${eve.resume}`, 'ada');
    expect([ada.user, ada.session === eve.session]).toEqual(['ada', false]);
  });

  run('an answer that is none lets nobody in, and a promise of another make is a promise', async () => {
    const answers: Record<string, unknown> = {
      nothing: undefined,
      null: null,
      object: {},
      empty: { user: '' },
      long: { user: 'é'.repeat(33) },
      number: { user: 5 },
      thenNo: inAnotherRealm('Promise.resolve(false)'),
      thenAda: inAnotherRealm("Promise.resolve({ user: 'ada' })"),
    };
    const server = await on({ hooks: { connect: ({ query }) => answers[query.get('as') ?? ''] as boolean } });
    for (const as of Object.keys(answers)) {
      const wanted = as === 'thenAda' ? 101 : as === 'nothing' || as === 'thenNo' ? 403 : 503;
      expect([as, (await handshake(server, `?as=${as}`)).status]).toEqual([as, wanted]);
    }
  });

  run('what the join and the send hook do not allow is refused, and the rest goes on in its order', async () => {
    const server = await on({
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
    expect(peer.got.slice(1).filter(({ t }) => t !== 'presence' && t !== 'message')).toMatchObject([
      { t: 'error', code: 'forbidden', message: 'staff only', room: 'staff', retry: false },
      { t: 'joined', room: 'r' },
      { t: 'sent', id: '1', seq: 1 },
      { t: 'error', code: 'forbidden', id: '2', room: 'r' },
      { t: 'sent', id: '3', seq: 2 },
      { t: 'left' },
    ]);
    const boss = await Peer.connect(server.port, '?user=boss&room=staff');
    expect(await boss.next('joined')).toMatchObject({ room: 'staff' });
    const rooms = await Peer.connect(server.port, '?user=ada&room=staff&room=r');
    expect([await rooms.next('error'), await rooms.next('joined')]).toMatchObject([{ room: 'staff' }, { room: 'r' }]);
  });

  run('a hook that throws, rejects or takes too long refuses for now', async () => {
    const server = await on({
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

  run('who goes on sending while a hook thinks is told it is too much, and closes nothing else', async () => {
    let decide = (_: boolean) => {};
    const server = await on({ hooks: { join: () => new Promise((resolve) => (decide = resolve)) } });
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

  run('clients without errors are asked for too, and closed', async () => {
    const server = await on({
      hooks: {
        join: ({ user }) => user !== 'c1',
        send: async (_, __, data) => (data as { text: string }).text !== 'bad',
      },
    });
    const plain = async () => {
      const socket = new WebSocket(`ws://127.0.0.1:${server.port}/ws`);
      await once(socket, 'open');
      return socket;
    };
    const [code, reason] = await once(await plain(), 'close');
    expect([code, String(reason)]).toEqual([1008, 'not allowed']);
    const second = await plain();
    second.send('good');
    expect(String((await once(second, 'message'))[0])).toBe('good');
    second.send('bad');
    expect((await once(second, 'close'))[0]).toBe(1008);
  });

  run('a handshake that is decided after the client went, or the server goes, harms nothing', async () => {
    let decide = (_: boolean) => {};
    const server = await on({ hooks: { connect: () => new Promise((resolve) => (decide = resolve)) } });
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

test('an engine of its own keeps the rooms', async () => {
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

test('an option that cannot be used, or a taken port, is said in one line', async () => {
  await expect(createServer({ port: 'http' as unknown as number })).rejects.toThrow(ConfigError);
  await expect(createServer({ port: -1 })).rejects.toThrow('port: -1 is not a port (0 to 65535)');
  await expect(createServer({ prot: 1 } as ServerOptions)).rejects.toThrow(
    'unknown option "prot"; did you mean "port"?',
  );
  await expect(createServer({ publishRate: { perSecond: 0, burst: 1 } })).rejects.toThrow('publishRate');
  const server = await start({ publishRate: { perSecond: 5, burst: 7 } });
  const peer = await Peer.connect(server.port);
  expect((await peer.next('welcome')).limits.publishRate).toEqual({ perSecond: 5, burst: 7 });
  await expect(createServer({ port: server.port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
});
