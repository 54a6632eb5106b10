import { once } from 'node:events';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ServerOptions } from 'pumphouse';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { Users } from '../../src/auth/users.ts';
import { closes } from '../../src/protocol/close-codes.ts';
import { Peer } from '../conformance/server.ts';
import { waitUntil } from '../redis/wait.ts';
import { createVariantServer } from '../workers/in-thread.ts';
import { variant } from '../workers/variants.ts';
import { ApiClient, JWT_SECRET, newFolder, now, tokenOf } from './api-client.ts';

const jwt = { auth: 'jwt', jwtSecret: JWT_SECRET } as const;

describe.each([1, 2])('with %i workers', (workers) => {
  /** Starts a server, and returns it with a client of its API. */
  async function start(options: ServerOptions = {}) {
    const api = new ApiClient();
    const server = await createVariantServer(
      { ...variant, workers },
      { port: 0, drainWindow: 0, keys: api.file, revocations: join(newFolder(), 'revoked.json'), ...options },
    );
    onTestFinished(() => server.stop());
    const { url, port } = server;
    return {
      url,
      port,
      api,
      get: (path: string) => api.get(url, path),
      post: (path: string, body?: unknown) => api.post(url, path, body),
      /** Connects a client, which is in its rooms when it resolves. */
      join: async (user: string, ...rooms: string[]) => {
        const peer = await Peer.connect(port, `?user=${user}${rooms.map((room) => `&room=${room}`).join('')}`);
        await peer.next('welcome');
        for (const _ of rooms) await peer.next('joined');
        return peer;
      },
      /** Connects with a token, in the rooms `r` and `s`. */
      signIn: async (token: string) => {
        const peer = await Peer.connect(port, '?room=r&room=s', [`bearer.${token}`]);
        await peer.next('joined');
        await peer.next('joined');
        return peer;
      },
    };
  }

  test('lists the rooms that have members, in pages', async () => {
    const { get, join, api } = await start();
    const peers = await Promise.all(
      ['ada', 'ada', 'bob', 'eve', 'kim', 'leo'].map((user, i) => join(user, 'all', `room:${i}`, `x${i % 2}`)),
    );
    const rooms = [0, 1, 2, 3, 4, 5].map((i) => ({ room: `room:${i}`, members: 1 }));
    const all = [{ room: 'all', members: 6 }, ...rooms, { room: 'x0', members: 3 }, { room: 'x1', members: 3 }];
    expect(await get('/rooms')).toEqual({ status: 200, body: { rooms: all, missing: 0 } });
    expect((await get('/rooms?prefix=room:')).body).toEqual({ rooms, missing: 0 });
    expect((await get('/rooms?limit=2')).body).toEqual({ rooms: all.slice(0, 2), next: 'room:0', missing: 0 });
    const second = (await get('/rooms?limit=2&after=room:0')).body;
    expect(second).toEqual({ rooms: all.slice(2, 4), next: 'room:2', missing: 0 });
    expect((await get('/rooms?limit=2&after=x0')).body).toEqual({ rooms: all.slice(-1), missing: 0 });
    for (const bad of ['limit=0', 'limit=1001', 'limit=x', 'sort=up']) {
      expect((await get(`/rooms?${bad}`)).status).toBe(400);
    }
    api.limit(['read'], ['room:*', 'x1']);
    expect((await get('/rooms?limit=3&after=room:3')).body).toEqual({
      rooms: [rooms[4], rooms[5], { room: 'x1', members: 3 }],
      missing: 0,
    });
    api.limit(['admin']);
    expect((await get('/rooms')).status).toBe(403);
    for (const { socket } of peers) socket.terminate();
  });

  test('lists the members of a room with their connections, in pages', async () => {
    const { get, join, api } = await start();
    await Promise.all(['eve', 'ada', 'ada', 'bob', 'ada'].map((user) => join(user, 'r')));
    await join('kim', 'other');
    const members = [
      { user: 'ada', connections: 3 },
      { user: 'bob', connections: 1 },
      { user: 'eve', connections: 1 },
    ];
    expect(await get('/rooms/r/members')).toEqual({ status: 200, body: { room: 'r', count: 5, members, missing: 0 } });
    expect((await get('/rooms/r/members?limit=1')).body).toEqual({
      room: 'r',
      count: 5,
      members: members.slice(0, 1),
      next: 'ada',
      missing: 0,
    });
    expect((await get('/rooms/r/members?limit=5&after=ada')).body).toMatchObject({ members: members.slice(1) });
    expect((await get('/rooms/nobody/members')).body).toEqual({ room: 'nobody', count: 0, members: [], missing: 0 });
    api.limit(['read'], ['s']);
    expect((await get('/rooms/r/members')).status).toBe(403);
  });

  test('disconnects a user, with a code after which clients stay away unless the program wants them back', async () => {
    const { post, join, api } = await start();
    const peers = await Promise.all(['ada', 'ada', 'ada', 'ada', 'ada', 'bob'].map((user) => join(user, 'r')));
    const bob = peers.pop() as Peer;
    expect(await post('/users/ada/disconnect', { reason: 'bye 👋' })).toEqual({
      status: 200,
      body: { closed: 5, missing: 0 },
    });
    for (const { closed } of peers) expect(await closed).toEqual({ code: 4504, reason: 'bye 👋' });
    expect(bob.socket.readyState).toBe(WebSocket.OPEN);
    expect((await post('/users/ada/disconnect')).body).toEqual({ closed: 0, missing: 0 });
    expect((await post('/users/bob/disconnect', { reconnect: true })).body).toEqual({ closed: 1, missing: 0 });
    expect(await bob.closed).toEqual(closes.reconnect);
    const again = await join('bob');
    expect((await post('/users/bob/disconnect')).body).toEqual({ closed: 1, missing: 0 });
    expect(await again.closed).toEqual(closes.disconnected);
    expect((await post('/users/ada/disconnect', { reason: 'x'.repeat(124) })).body).toMatchObject({
      status: 400,
      detail: 'The field "reason" must be a string of at most 123 bytes.',
    });
    expect((await post('/users/ada/disconnect', { reconnect: 1 })).status).toBe(400);
    expect((await post(`/users/${'x'.repeat(65)}/disconnect`)).status).toBe(400);
    api.limit(['admin'], ['r']);
    expect((await post('/users/ada/disconnect')).status).toBe(403);
    api.limit(['publish', 'read']);
    expect((await post('/users/ada/disconnect')).status).toBe(403);
  });

  test('removes a user from a room, and closes clients that could not learn it', async () => {
    const { post, get, join, port, api } = await start();
    const [ada, other, bob] = await Promise.all([join('ada', 'r', 's'), join('ada', 's'), join('bob', 'r')]);
    const { seq } = await ada.say('r', 'before');
    expect(await post('/users/ada/leave', { room: 'r' })).toEqual({
      status: 200,
      body: { left: 1, closed: 0, missing: 0 },
    });
    expect(await ada.next('left')).toEqual({ t: 'left', room: 'r', removed: true });
    ada.send({ t: 'send', room: 'r', id: 'late', data: 'after' });
    expect(await ada.next('error')).toMatchObject({ code: 'not_member', room: 'r', id: 'late' });
    await ada.say('s', 'still here');
    expect(await other.all('left')).toEqual([]);
    expect((await get('/rooms/r/members')).body).toMatchObject({ count: 1, members: [{ user: 'bob' }] });
    expect((await ada.join('r', { history: 1 })).seq).toBe(seq - 1);
    expect((await post('/users/ada/leave', { room: 'nowhere' })).body).toEqual({ left: 0, closed: 0, missing: 0 });
    const plain = new WebSocket(`ws://127.0.0.1:${port}/ws`); // of gorilla's example, in the room lobby
    const closed = once(plain, 'close');
    await once(plain, 'open');
    let user = '';
    await waitUntil('it is in the room', async () => {
      const { members } = (await get('/rooms/lobby/members')).body as { members: { user: string }[] };
      user = members[0]?.user ?? '';
      return user !== '';
    });
    expect((await post(`/users/${user}/leave`, { room: 'r' })).body).toMatchObject({ closed: 0 });
    expect((await post(`/users/${user}/leave`, { room: 'lobby' })).body).toEqual({
      left: 0,
      closed: 1,
      missing: 0,
    });
    expect((await closed)[0]).toBe(4504);
    expect((await post('/users/ada/leave')).status).toBe(400);
    api.limit(['admin'], ['s']);
    expect((await post('/users/bob/leave', { room: 'r' })).status).toBe(403);
    expect((await post('/users/ada/leave', { room: 's' })).body).toMatchObject({ left: 2 });
    expect(bob.socket.readyState).toBe(WebSocket.OPEN);
  });

  test('asks for new tokens, and closes clients that send none in time', async () => {
    const { post, port, signIn } = await start(jwt);
    const token = await tokenOf('ada');
    const [answers, silent, bob] = await Promise.all([signIn(token), signIn(token), signIn(await tokenOf('bob'))]);
    const plain = new WebSocket(`ws://127.0.0.1:${port}/ws?token=${token}`);
    const closed = once(plain, 'close');
    await once(plain, 'open');
    expect(await post('/users/ada/refresh', { within: 2 })).toEqual({
      status: 200,
      body: { asked: 2, closed: 1, unaffected: 0, missing: 0 },
    });
    expect((await closed)[0]).toBe(closes.tokenExpired.code);
    for (const peer of [answers, silent]) expect(await peer.next('refresh')).toEqual({ t: 'refresh', within: 2 });
    const limited = await tokenOf('ada', now(), { rooms: [{ name: 'r' }] });
    answers.send({ t: 'auth', token: limited });
    expect((await answers.next('authenticated')).expiresIn).toBeGreaterThan(500);
    expect(await silent.closed).toEqual(closes.tokenExpired);
    expect(answers.socket.readyState).toBe(WebSocket.OPEN);
    answers.send({ t: 'send', room: 's', id: '1', data: 1 });
    expect(await answers.next('error')).toMatchObject({ code: 'forbidden', room: 's' });
    expect(await bob.all('refresh')).toEqual([]);
    expect((await post('/users/ada/refresh')).body).toEqual({ asked: 1, closed: 0, unaffected: 0, missing: 0 });
    expect(await answers.next('refresh')).toEqual({ t: 'refresh', within: 30 });
    for (const within of [0, 3601, 1.5, '1']) {
      expect((await post('/users/ada/refresh', { within })).status).toBe(400);
    }
  });

  test('leaves clients without a token alone, and counts them', async () => {
    const { post, join } = await start();
    const ada = await join('ada', 'r');
    expect((await post('/users/ada/refresh', { within: 1 })).body).toEqual({
      asked: 0,
      closed: 0,
      unaffected: 1,
      missing: 0,
    });
    expect(await ada.all('refresh')).toEqual([]);
  });

  test('revokes the tokens of a user from before a time', async () => {
    const { post, port, signIn, url } = await start(jwt);
    const old = await tokenOf('ada', now() - 60);
    const [first, timeless, recent, bob] = await Promise.all([
      signIn(old),
      signIn(await tokenOf('ada', null)),
      signIn(await tokenOf('ada', now() - 10)),
      signIn(await tokenOf('bob', now() - 60)),
    ]);
    const { resume } = first.got.find(({ t }) => t === 'welcome') as { resume: string };
    const before = (now() - 30) * 1000;
    expect(await post('/users/ada/revoke', { before })).toEqual({
      status: 200,
      body: { before, closed: 2, missing: 0 },
    });
    for (const { closed } of [first, timeless]) expect(await closed).toEqual(closes.tokenExpired);
    for (const { socket } of [recent, bob]) expect(socket.readyState).toBe(WebSocket.OPEN);
    const refused = await Peer.connect(port, '', [`bearer.${old}`]);
    expect((await refused.closed).code).toBe(closes.unauthenticated.code);
    const late = await Peer.connect(port);
    late.send({ t: 'auth', token: old });
    expect((await late.closed).code).toBe(closes.unauthenticated.code);
    recent.send({ t: 'auth', token: old });
    expect(await recent.next('error')).toMatchObject({ code: 'bad_token' });
    expect((await fetch(`${url}/publish?token=${old}`, { method: 'POST', body: 'x' })).status).toBe(401);
    const again = await Peer.connect(port, '', [`resume.${resume}`, `bearer.${await tokenOf('ada')}`]);
    const welcome = await again.next('welcome'); // the token is new, so the session may go on
    expect(welcome.session).toBe((first.got[0] as { session: string }).session);
    expect(welcome.resume).not.toBe(resume);
    expect((await post('/users/ada/revoke', { before: before - 60_000 })).body).toMatchObject({ closed: 0 });
    const stillRefused = await Peer.connect(port, '', [`bearer.${old}`]);
    expect((await stillRefused.closed).code).toBe(closes.unauthenticated.code);
    for (const invalid of [now(), -1, 'now', 1.5e12 + 0.5]) {
      expect((await post('/users/ada/revoke', { before: invalid })).body).toMatchObject({ status: 400 });
    }
  });

  test('lets a client come back with a token of the second of the revocation, once it has a newer one', async () => {
    const { post, port, signIn } = await start(jwt);
    await waitUntil('a second begins', () => Date.now() % 1000 < 100);
    const token = await tokenOf('ada');
    const ada = await signIn(token);
    const { body } = await post('/users/ada/revoke');
    expect(body).toMatchObject({ closed: 1 });
    expect(Math.floor((body as { before: number }).before / 1000)).toBe(now());
    expect(await ada.closed).toEqual(closes.tokenExpired);
    const refused = await Peer.connect(port, '', [`bearer.${token}`]);
    expect((await refused.closed).code).toBe(closes.unavailable.code);
    const error = { t: 'error', code: 'unavailable', message: 'a newer token is needed', retry: true };
    expect(refused.got).toEqual([{ ...error, retryAfter: 1000 }]);
    await waitUntil('a second has passed', () => Date.now() > (body as { before: number }).before + 1000);
    const back = await Peer.connect(port, '', [`bearer.${await tokenOf('ada')}`]);
    expect(await back.next('welcome')).toMatchObject({ user: 'ada' });
  });

  test('revokes the sessions of a user with a password', async () => {
    const users = join(newFolder(), 'users.json');
    await new Users(users).set('ada', 'secret');
    const { post, port } = await start({ auth: 'otp', users });
    const authorization = `Basic ${Buffer.from('ada:secret').toString('base64')}`;
    const first = await Peer.connect(port, '', [], { authorization });
    const { resume, session } = await first.next('welcome');
    const second = await Peer.connect(port, '', [`resume.${resume}`]);
    expect((await second.next('welcome')).session).toBe(session);
    await first.closed;
    expect((await post('/users/ada/revoke')).body).toMatchObject({ closed: 1 });
    expect(await second.closed).toEqual(closes.unauthenticated);
    const third = await Peer.connect(port, '', [`resume.${resume}`]);
    expect((await third.closed).code).toBe(closes.unauthenticated.code);
    const again = await Peer.connect(port, '', [`resume.${resume}`], { authorization });
    const welcome = await again.next('welcome');
    expect(welcome.session).toBe(session);
    const resumed = await Peer.connect(port, '', [`resume.${welcome.resume}`]);
    expect((await resumed.next('welcome')).session).toBe(session);
  });

  test('revokes a session that began in the same millisecond', async () => {
    vi.useFakeTimers({ toFake: ['Date'] }); // stops the date
    onTestFinished(() => void vi.useRealTimers());
    const { post, join } = await start();
    const ada = await join('ada');
    expect((await post('/users/ada/revoke')).body).toMatchObject({ closed: 1 });
    expect(await ada.closed).toEqual(closes.unauthenticated);
  });

  test('starts a new session for a revoked secret where everybody is admitted', async () => {
    const { post, port, join } = await start();
    const ada = await join('ada');
    const { resume, session } = ada.got[0] as { resume: string; session: string };
    expect((await post('/users/ada/revoke')).body).toMatchObject({ closed: 1 });
    expect(await ada.closed).toEqual(closes.unauthenticated);
    const again = await Peer.connect(port, '?user=ada', [`resume.${resume}`]);
    expect((await again.next('welcome')).session).not.toBe(session);
  });
});

describe('the file of revocations', () => {
  async function startWith(revocations: string, api: ApiClient) {
    return createVariantServer(
      { ...variant, workers: 1 },
      { port: 0, drainWindow: 0, keys: api.file, revocations, ...jwt },
    );
  }

  test('survives a restart', async () => {
    const [folder, api] = [newFolder(), new ApiClient()];
    const file = join(folder, 'revoked.json');
    const first = await startWith(file, api);
    expect(existsSync(file)).toBe(false);
    const token = await tokenOf('ada', now() - 5);
    expect((await api.post(first.url, '/users/ada/revoke')).status).toBe(200);
    await first.stop();
    expect(Object.keys(JSON.parse(readFileSync(file, 'utf8')).revoked)).toEqual(['ada']);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const second = await startWith(file, api);
    onTestFinished(() => second.stop());
    const refused = await Peer.connect(second.port, '', [`bearer.${token}`]);
    expect((await refused.closed).code).toBe(closes.unauthenticated.code);
  });

  test('stops the start, and refuses tokens and revocations, when it is broken', async () => {
    const [folder, api] = [newFolder(), new ApiClient()];
    const file = join(folder, 'revoked.json');
    writeFileSync(file, '{');
    await expect(startWith(file, api)).rejects.toThrow(/the file of revocations .* cannot be read \(not a file of/);
    writeFileSync(file, '{"revoked":{}}');
    const server = await startWith(file, api);
    onTestFinished(() => server.stop());
    writeFileSync(file, '{"revoked":');
    expect(await api.post(server.url, '/users/ada/revoke')).toMatchObject({ status: 503 });
    const refused = await Peer.connect(server.port, '', [`bearer.${await tokenOf('ada')}`]);
    expect((await refused.closed).code).toBe(closes.unavailable.code);
  });
});
