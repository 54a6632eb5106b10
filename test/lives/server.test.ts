import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { explainEnd } from '../../src/protocol/explain-life.ts';
import { JWT_SECRET, tokenOf } from '../api/api-client.ts';
import { transports } from '../workers/variants.ts';
import { isEnded, lifeOf, livesOf, Native, read, serve, sessionOf } from './admin.ts';

const WAIT = { timeout: 10_000 };

describe.each(transports)('on %s', (transport) => {
  test('records the connections of every wire', async () => {
    const { server, admin } = await serve({ transport });
    const ws = server.url.replace('http', 'ws');
    const native = new Native(server.url, 'user=ada&room=lobby');
    await native.next('joined');
    const sockets = [
      [`${ws}/ws`, 'gorilla'],
      [`${ws}/room`, 'blueprints'],
      [`${ws}/subscribe`, 'coder'],
    ] as const;
    for (const [url] of sockets) {
      const socket = new WebSocket(url);
      onTestFinished(() => socket.terminate());
      await once(socket, 'open');
    }
    const streams = new AbortController();
    onTestFinished(() => streams.abort());
    const { signal } = streams;
    await fetch(`${server.url}/api/v1/rooms/lobby/events?user=eve`, { signal });
    await fetch(`${server.url}/api/v1/session/events?user=sam`, { method: 'POST', body: '', signal });
    const life = await lifeOf(admin, 'ada', ({ events }) => events.length > 0);
    expect(life).toMatchObject({
      wire: 'v1',
      authentication: 'none',
      resumed: false,
      events: [{ kind: 'joined', room: 'lobby' }],
      cursors: [{ room: 'lobby', seq: 0, behind: 0 }],
      forgotten: 0,
    });
    expect(await lifeOf(admin, 'eve', () => true)).toMatchObject({ wire: 'sse' });
    expect(await lifeOf(admin, 'sam', () => true)).toMatchObject({ wire: 'v1-sse' });
    const others = await Promise.all(['c1', 'c2', 'c3'].map((id) => sessionOf(admin, id)));
    expect(others.map(({ connections: [first] }) => first?.wire)).toEqual(['gorilla', 'blueprints', 'coder']);
    native.socket.close(1000, 'bye');
    expect(await lifeOf(admin, 'ada', isEnded)).toMatchObject({ end: { code: 1000, reason: 'bye', by: 'peer' } });
    streams.abort();
    expect((await lifeOf(admin, 'eve', isEnded)).end).toMatchObject({ code: 1006, by: 'peer' });
  });

  test('shows how long a client that stops reading was parked, and where it was evicted', async () => {
    const { server, admin } = await serve({ transport, sendBuffer: 2_000 });
    const reader = new Native(server.url, 'user=ada&room=r');
    const writer = new Native(server.url, 'user=bob&room=r');
    await Promise.all([reader.next('joined'), writer.next('joined')]);
    const data = 'x'.repeat(12_000);
    let id = 0;
    const session = (reader.received[0] as { session: string }).session;
    const sendUntil = async (event: 'lagging' | 'evicted') => {
      let seen = false;
      const off = server.hub.events.on(event, ({ client }) => {
        if (client === session) seen = true;
      });
      onTestFinished(off);
      while (!seen) {
        for (let i = 0; i < 50; i++) writer.send({ t: 'send', room: 'r', id: `${id++}`, data });
        await new Promise((resolve) => setImmediate(resolve));
        const acknowledged = () => writer.received.filter(({ t }) => t === 'sent').length;
        await vi.waitUntil(() => acknowledged() >= id, WAIT);
      }
    };
    reader.socket.pause();
    await sendUntil('lagging');
    expect(
      (await lifeOf(admin, 'ada', ({ events }) => events.some(({ kind }) => kind === 'parked'))).events,
    ).toMatchObject([{ kind: 'joined' }, { kind: 'parked', room: 'r' }]);
    reader.socket.resume();
    const span = await lifeOf(
      admin,
      'ada',
      ({ events: [, parked] }) => parked?.kind === 'parked' && parked.until !== undefined,
    );
    expect(span.events[1]).toMatchObject({ kind: 'parked', behind: expect.any(Number) });
    reader.socket.pause();
    await sendUntil('evicted');
    reader.socket.resume();
    expect(await reader.closed).toBe(4000);
    const life = await lifeOf(admin, 'ada', isEnded);
    expect(life.end).toMatchObject({
      code: 4000,
      by: 'server',
      reason: expect.stringMatching(/^reading too slowly; resume /),
    });
    const [cursor] = life.cursors;
    const place = /resume (\S+) after (\d+)/.exec(life.end?.reason ?? '');
    expect(cursor).toMatchObject({ room: 'r', epoch: place?.[1], seq: Number(place?.[2]) });
    expect(cursor?.behind).toBeGreaterThan(0);
    const parked = life.events.filter((event) => event.kind === 'parked');
    expect(Math.max(...parked.map(({ behind }) => behind))).toBeGreaterThanOrEqual(cursor?.behind ?? Number.NaN);
    expect(explainEnd(life).meaning).toContain('read too slowly');
  }, 30_000);
});

test('records the death of a client, which sends no close frame', async () => {
  const { server, admin } = await serve();
  const script = `
    import { WebSocket } from 'ws';
    new WebSocket('${server.url.replace('http', 'ws')}/ws?user=ada&room=r', ['pumphouse.v1']).on('message', () => console.log('up'));
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  const life = await lifeOf(admin, 'ada', isEnded);
  expect(life.end).toMatchObject({ code: 1006, by: 'peer' });
  expect(explainEnd(life).meaning).toContain('has not come back');
});

test('keeps the refusals of a client, and who it is, but no secret and no text', async () => {
  const { server, admin, log } = await serve({ auth: 'jwt', jwtSecret: JWT_SECRET });
  const token = await tokenOf('ada');
  const first = new Native(server.url, `token=${token}&room=r`);
  const { session, resume } = await first.next('welcome');
  await first.next('joined');
  const text = 'a text that nobody else may read';
  first.send({ t: 'send', room: 'r', id: 'an-id', data: { text } }, { t: 'signal', room: 'r', data: text });
  first.send({ t: 'history', room: 'elsewhere' }, { t: 'history', room: 'elsewhere' });
  first.send({ t: 'auth', token: 'not-a-token' });
  await vi.waitUntil(() => first.received.filter(({ t }) => t === 'error').length === 3, WAIT);
  const second = new Native(server.url, `token=${token}`, [`resume.${resume}`]);
  await second.next('welcome');
  expect(await first.closed).toBe(4500);
  const answer = await sessionOf(admin, session);
  expect(answer).toMatchObject({ session, user: 'ada', missing: 0 });
  expect(answer.connections).toMatchObject([
    { authentication: 'token', resumed: true, remoteAddress: '127.0.0.1' },
    {
      authentication: 'token',
      resumed: false,
      end: { code: 4500, by: 'server' },
      events: [
        { kind: 'joined', room: 'r' },
        { kind: 'refused', code: 'not_member', room: 'elsewhere', count: 2 },
        { kind: 'refused', code: 'bad_token', count: 1 },
      ],
      cursors: [{ room: 'r', seq: 1 }],
    },
  ]);
  const shown = (await read(admin, `sessions/${session}`)).text + (await read(admin, 'users/ada/sessions')).text;
  for (const secret of [token, resume, resume.split('.')[2] as string, JWT_SECRET, text, 'an-id', 'not-a-token']) {
    expect(shown).not.toContain(secret);
  }
  expect(log()).toContain(session);
});

test('answers 404 for what is not remembered, and 400 and 405 for invalid requests', async () => {
  const { admin } = await serve();
  const statuses = async (...paths: string[]) =>
    Promise.all(paths.map(async (path) => (await read(admin, path)).status));
  expect(await statuses('sessions/nobody', 'users/nobody/sessions')).toEqual([404, 404]);
  expect(await statuses('sessions/', 'sessions/a%20b', `sessions/${'x'.repeat(65)}`, 'sessions/%ff')).toEqual([
    400, 400, 400, 400,
  ]);
  expect(await statuses('users//sessions', `users/${'x'.repeat(65)}/sessions`, 'users/%ff/sessions')).toEqual([
    400, 400, 400,
  ]);
  expect((await fetch(`${admin}/admin/v1/sessions/a`, { method: 'POST' })).status).toBe(405);
  expect((await read(admin, 'users/nobody/sessions')).text).toBe('no connection of this user is remembered\n');
});

test('records nothing without an admin listener', async () => {
  const { server } = await serve({ adminListen: undefined });
  const client = new Native(server.url, 'user=ada&room=r');
  expect((await client.next('welcome')).reports).toBeUndefined();
  expect(await livesOf(server.url, 'ada')).toEqual([]);
});
