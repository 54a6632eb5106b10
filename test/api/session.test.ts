import { SignJWT } from 'jose';
import { createServer, type Server, type ServerOptions } from 'pumphouse';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { createWires } from '../../src/accept/select-wire.ts';
import { createSession } from '../../src/api/session.ts';
import type { SessionCommands } from '../../src/api/session-commands.ts';
import { openAuthenticator } from '../../src/auth/open.ts';
import { Sessions } from '../../src/auth/sessions.ts';
import { Tickets } from '../../src/auth/tickets.ts';
import { systemClock } from '../../src/hub/time.ts';
import type { ClientMessage, ServerMessage } from '../../src/protocol/v1.ts';
import { LocalTickets } from '../../src/server/local-cluster.ts';

const SECRET = 'a secret of at least thirty-two bytes';
const JWT = { auth: 'jwt', jwtSecret: SECRET } as const;

function tokenOf(claims: Record<string, unknown>): Promise<string> {
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime(Math.floor(Date.now() / 1000) + 60)
    .sign(Buffer.from(SECRET));
}

describe.each(['uws', 'ws'] as const)('POST /api/v1/session on %s', (transport) => {
  const start = async (options: ServerOptions = {}): Promise<Server> => {
    const server = await createServer({ port: 0, transport, publishRate: 'off', ...options });
    onTestFinished(() => server.stop());
    return server;
  };

  /** Connects a member of the room `r`, whose session sends over HTTP. */
  const connect = async (server: Server, user: string, token?: string) => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const socket = new WebSocket(`${server.url.replace('http', 'ws')}/ws?user=${user}`, ['pumphouse.v1'], { headers });
    onTestFinished(() => socket.terminate());
    const received: ServerMessage[] = [];
    socket.on('message', (data) => {
      for (const line of String(data).split('\n')) received.push(JSON.parse(line) as ServerMessage);
    });
    await vi.waitUntil(() => received.some(({ t }) => t === 'welcome'));
    const welcome = received.find((message) => message.t === 'welcome');
    const join = async (room: string) => {
      socket.send(JSON.stringify({ t: 'join', room }));
      await vi.waitUntil(() => received.some((message) => message.t === 'joined' && message.room === room));
    };
    return { socket, received, join, secret: welcome?.resume as string, session: welcome?.session as string };
  };

  const post = async (server: Server, secret: string, body: string | ClientMessage[], headers: object = {}) => {
    const response = await fetch(`${server.url}/api/v1/session`, {
      method: 'POST',
      headers: { 'pumphouse-session': secret, ...headers },
      body: typeof body === 'string' ? body : body.map((message) => JSON.stringify(message)).join('\n'),
    });
    const text = await response.text();
    const isProblem = response.headers.get('content-type') === 'application/problem+json';
    const lines = text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as ServerMessage);
    return {
      status: response.status,
      headers: response.headers,
      problem: isProblem ? JSON.parse(text) : undefined,
      lines,
    };
  };

  const send = (id: string, data: string | number = id, room = 'r') => ({ t: 'send', room, id, data }) as const;

  test('stores messages in order, once, and delivers them (W3 W4)', async () => {
    const server = await start();
    const [ada, bob] = [await connect(server, 'ada'), await connect(server, 'bob')];
    await bob.join('r');
    const first = await post(server, ada.secret, [send('a'), send('b')]);
    expect(first).toMatchObject({
      status: 200,
      lines: [
        { t: 'sent', room: 'r', id: 'a', seq: 1 },
        { t: 'sent', room: 'r', id: 'b', seq: 2 },
      ],
    });
    expect(first.headers.get('cache-control')).toBe('no-store');
    expect((await post(server, ada.secret, [send('a')])).lines).toEqual([
      { t: 'sent', room: 'r', id: 'a', seq: 1, duplicate: true },
    ]);
    // A retry over the WebSocket counts as one, too.
    await ada.join('r');
    ada.socket.send(JSON.stringify(send('b')));
    await vi.waitUntil(() => ada.received.some(({ t }) => t === 'sent'));
    expect(ada.received.find(({ t }) => t === 'sent')).toMatchObject({ id: 'b', seq: 2, duplicate: true });
    const messages = bob.received.filter((message) => message.t === 'message');
    expect(messages.map(({ from, data }) => [from, data])).toEqual([
      ['ada', 'a'],
      ['ada', 'b'],
    ]);
  });

  test('answers history, ping and invalid messages, and reports an ack (W3)', async () => {
    const server = await start();
    const ada = await connect(server, 'ada');
    await ada.join('r');
    const shown: unknown[] = [];
    server.hub.events.on('shown', (event) => shown.push(event));
    await post(server, ada.secret, [send('a'), send('b')]);
    const { lines } = await post(server, ada.secret, [
      { t: 'ping' },
      { t: 'history', room: 'r', id: 'h', limit: 1 },
      { t: 'ack', room: 'r', seq: 1 },
      { t: 'history', room: 'r', limit: 0 },
    ]);
    expect(lines).toMatchObject([
      { t: 'pong' },
      { t: 'error', code: 'bad_field', field: 'limit', room: 'r' },
      { t: 'history', id: 'h', messages: [{ seq: 2, data: 'b' }], more: true },
    ]);
    await vi.waitUntil(() => shown.length > 0);
    expect(shown).toEqual([{ client: ada.session, user: 'ada', room: 'r', seq: 1 }]);
    expect((await post(server, ada.secret, 'no json')).lines).toMatchObject([{ code: 'not_json' }]);
  });

  test('takes a report where the admin listener is on, and once of a connection that is here (W3)', async () => {
    const report = { t: 'report', code: 1006, reason: 'lost', after: 5, away: 5 } as const;
    const unknown = await start();
    const bob = await connect(unknown, 'bob');
    expect((await post(unknown, bob.secret, [report])).lines).toMatchObject([{ t: 'error', code: 'unknown_type' }]);
    const server = await start({ adminListen: { host: '127.0.0.1', port: 0 } });
    const ada = await connect(server, 'ada');
    expect((await post(server, ada.secret, [report, { t: 'ping' }])).lines).toEqual([{ t: 'pong' }]);
    const invalid = { ...report, after: -1 };
    expect((await post(server, ada.secret, [invalid])).lines).toMatchObject([{ code: 'bad_field', field: 'after' }]);
    expect((await post(server, ada.secret, [report])).lines).toMatchObject([{ t: 'error', code: 'forbidden' }]);
    ada.socket.terminate();
  });

  test('rejects the messages that belong to the stream (W3)', async () => {
    const server = await start();
    const ada = await connect(server, 'ada');
    const { lines } = await post(server, ada.secret, [
      { t: 'join', room: 'r' },
      { t: 'leave', room: 'r' },
      { t: 'auth', token: 'x' },
    ]);
    expect(lines).toMatchObject(
      [{ room: 'r' }, { room: 'r' }, {}].map((subject) => ({ code: 'unknown_type', ...subject })),
    );
  });

  test('passes a signal to the other members, not to its sender (W5)', async () => {
    const server = await start();
    const [ada, bob] = [await connect(server, 'ada'), await connect(server, 'bob')];
    await Promise.all([ada.join('r'), bob.join('r')]);
    expect(await post(server, ada.secret, [{ t: 'signal', room: 'r', data: 'typing' }])).toMatchObject({
      status: 200,
      lines: [],
    });
    await vi.waitUntil(() => bob.received.some(({ t }) => t === 'signal'));
    ada.socket.send('{"t":"ping"}');
    await vi.waitUntil(() => ada.received.some(({ t }) => t === 'pong'));
    expect(ada.received.filter(({ t }) => t === 'signal')).toEqual([]);
  });

  test('needs no connection of the session', async () => {
    const server = await start();
    const ada = await connect(server, 'ada');
    ada.socket.terminate();
    expect((await post(server, ada.secret, [send('a')])).lines).toMatchObject([{ t: 'sent', seq: 1 }]);
  });

  test('rejects a request without the secret of a session (W2)', async () => {
    const server = await start();
    for (const secret of ['', 'x', 'a.b.c']) {
      const { status, problem } = await post(server, secret, [send('a')]);
      expect([status, problem]).toMatchObject([401, { type: '/problems#unauthorized' }]);
    }
  });

  test('needs the token of the session’s user, and applies its grants (W2 W5)', async () => {
    const server = await start(JWT);
    const rooms = [{ name: 'r' }, { name: 'quiet', send: false }, { name: 'blind', join: false }];
    const [token, other] = [await tokenOf({ sub: 'ada', rooms }), await tokenOf({ sub: 'bob' })];
    const ada = await connect(server, '', token);
    for (const authorization of ['', 'Bearer x', `Bearer ${other}`]) {
      expect((await post(server, ada.secret, [send('a')], { authorization })).status).toBe(401);
    }
    const authorization = `Bearer ${token}`;
    const all = ['r', 'quiet', 'blind', 'other'].map((room) => send('a', 1, room));
    expect((await post(server, ada.secret, all, { authorization })).lines).toMatchObject([
      { code: 'forbidden', room: 'quiet', id: 'a' },
      { code: 'forbidden', room: 'blind' },
      { code: 'forbidden', room: 'other' },
      { t: 'sent', room: 'r' },
    ]);
    const { lines } = await post(server, ada.secret, [{ t: 'history', room: 'quiet', id: 'h' }], { authorization });
    expect(lines).toMatchObject([{ t: 'history', id: 'h' }]);
  });

  test('asks the hooks, join only for rooms that the session is not in (W5)', async () => {
    const calls: string[] = [];
    let admitted = true;
    const server = await start({
      hooks: {
        connect: () => admitted || 'banned',
        join: async ({ user }, room) => {
          calls.push(`join ${user} ${room}`);
          return room !== 'closed' || 'members only';
        },
        send: async ({ user }, room, data) => {
          calls.push(`send ${user} ${room} ${data}`);
          return data !== 'rude' || 'be kind';
        },
      },
    });
    const ada = await connect(server, 'ada');
    await ada.join('r');
    calls.length = 0;
    const { lines } = await post(server, ada.secret, [
      send('a', 1),
      send('b', 'rude'),
      send('c', 2, 'open'),
      send('d', 3, 'closed'),
      send('e', 4),
    ]);
    expect(lines.map((line) => [line.t, 'id' in line && line.id, 'message' in line && line.message])).toEqual(
      expect.arrayContaining([
        ['sent', 'a', false],
        ['error', 'b', 'be kind'],
        ['sent', 'c', false],
        ['error', 'd', 'members only'],
        ['sent', 'e', false],
      ]),
    );
    expect(calls).toEqual([
      'send ada r 1',
      'send ada r rude',
      'join ada open',
      'send ada open 2',
      'join ada closed',
      'send ada r 4',
    ]);
    admitted = false;
    const { status, problem } = await post(server, ada.secret, [send('f')]);
    expect([status, problem.detail]).toEqual([403, 'banned']);
  });

  test('limits the rate of a session (W6)', async () => {
    const server = await start({ publishRate: { perSecond: 1, burst: 2 } });
    const [ada, bob] = [await connect(server, 'ada'), await connect(server, 'bob')];
    const { lines } = await post(server, ada.secret, [send('a'), send('b'), send('c')]);
    expect(lines).toMatchObject([
      { t: 'error', code: 'rate_limited', id: 'c', retry: true, retryAfter: 1000 },
      { t: 'sent', id: 'a' },
      { t: 'sent', id: 'b' },
    ]);
    expect((await post(server, bob.secret, [send('a')])).lines).toMatchObject([{ t: 'sent' }]);
    const statuses: number[] = [];
    for (let i = 0; i < 12; i++) statuses.push((await post(server, ada.secret, 'no json')).status);
    expect(statuses.at(0)).toBe(200);
    expect(statuses.at(-1)).toBe(429);
    const limited = await post(server, ada.secret, [send('d')]);
    expect(limited).toMatchObject({ status: 429, problem: { type: '/problems#too-many-requests' } });
    expect(limited.headers.get('retry-after')).toBe('1');
  });

  test('limits the body and the number of its messages (W6)', async () => {
    const server = await start();
    const ada = await connect(server, 'ada');
    expect((await post(server, ada.secret, [send('a', 'x'.repeat(16 * 1024))])).status).toBe(413);
    expect((await post(server, ada.secret, '{}\n'.repeat(129))).status).toBe(413);
    expect((await post(server, ada.secret, '{}\n'.repeat(128))).lines.length).toBe(128);
  });

  test('answers pages of allowed origins only (W7)', async () => {
    const server = await start({ origin: ['https://chat.example'] });
    const ada = await connect(server, 'ada');
    const allowed = await post(server, ada.secret, [send('a')], { origin: 'https://chat.example' });
    expect(allowed.status).toBe(200);
    expect(allowed.headers.get('access-control-allow-origin')).toBe('https://chat.example');
    const evil = await post(server, ada.secret, [send('b')], { origin: 'https://evil.example' });
    expect(evil.status).toBe(403);
    expect(evil.headers.get('access-control-allow-origin')).toBeNull();
    const preflight = await fetch(`${server.url}/api/v1/session`, {
      method: 'OPTIONS',
      headers: { origin: 'https://chat.example', 'access-control-request-method': 'POST' },
    });
    expect([preflight.status, preflight.headers.get('access-control-allow-methods')]).toEqual([204, 'POST']);
  });

  test('rejects other methods', async () => {
    const server = await start();
    const response = await fetch(`${server.url}/api/v1/session`);
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'OPTIONS, POST']);
  });
});

describe('a POST to /api/v1/session', () => {
  /** Sends a request whose body is given, to a server that may be shutting down. */
  const answer = (body: Promise<Uint8Array | undefined>, draining = false, revoked: boolean | 'unknown' = false) => {
    const sessions = new Sessions(Buffer.from('secret'));
    const handle = createSession({
      commands: {} as SessionCommands,
      wire: createWires().v1,
      rates: { takeRequest: () => true },
      origins: [],
      authenticator: openAuthenticator(new Tickets(new LocalTickets(systemClock), 'open', () => systemClock.now())),
      sessions,
      addressOf: () => '',
      prepareConnect: () => () => ({ kind: 'admitted' }),
      isRevoked: () => revoked,
      draining: () => draining,
    });
    const headers: Record<string, string> = { 'pumphouse-session': sessions.create('ada').resume };
    return handle({
      method: 'POST',
      path: '/api/v1/session',
      query: '',
      remoteAddress: '',
      headers,
      header: (name) => headers[name] ?? '',
      body: () => body,
    });
  };

  test.each([
    [true, 401, 'The session is revoked.'],
    ['unknown', 503, 'The session cannot be checked now.'],
  ] as const)('is rejected where the revocation of its session is %s', async (revoked, status, detail) => {
    const response = await answer(Promise.resolve(Buffer.from('{"t":"ping"}')), false, revoked);
    expect([response.status, JSON.parse(String(response.body)).detail]).toEqual([status, detail]);
  });

  test('is rejected while the server shuts down', async () => {
    const { status, headers } = await answer(Promise.resolve(Buffer.from('{}')), true);
    expect([status, headers['Retry-After']]).toEqual([503, '1']);
  });

  test('is rejected when its body takes 30 seconds, and its connection is closed', async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const response = answer(new Promise(() => {}));
    await vi.advanceTimersByTimeAsync(30_000);
    expect(await response).toMatchObject({ status: 408, headers: { Connection: 'close' } });
  });
});
