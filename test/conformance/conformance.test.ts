import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { SignJWT } from 'jose';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { jwtAuthenticator, secretKey } from '../../src/auth/jwt.ts';
import { memory } from '../../src/engine/memory.ts';
import { systemClock } from '../../src/hub/time.ts';
import { Lives } from '../../src/lives/lives.ts';
import { closes, comesBack } from '../../src/protocol/close-codes.ts';
import {
  type ClientMessage,
  type ErrorMessage,
  errors,
  type HistoryRequest,
  type Json,
  type SendChange,
  type Sent,
  type ServerMessage,
} from '../../src/protocol/v1.ts';
import { localCluster } from '../../src/server/local-cluster.ts';
import { until } from '../integration/server.ts';
import type { ObservedHub } from '../workers/in-thread.ts';
import { variants } from '../workers/variants.ts';
import { type Options, type Peer, serve } from './server.ts';

const specification = readFileSync('PROTOCOL.md', 'utf8');
const rules = [...specification.matchAll(/^- \*\*([A-Z]\d+)\*\*/gm)].map(([, rule]) => rule as string);
const covered = new Set<string>();
// The client library's side of some rules. Its tests need the types of browsers.
const clientTests = readFileSync('test/sdk/conformance.test.ts', 'utf8');
for (const [, numbers] of clientTests.matchAll(/^ *rule\('([^']+)'/gm)) {
  for (const number of numbers?.split(' ') ?? []) covered.add(number);
}
// The rules of posts over HTTP. Such a test's name ends with them: `… (W3 W4)`.
for (const file of ['test/api/session.test.ts', 'test/sdk/fallback.test.ts']) {
  const names = readFileSync(file, 'utf8').matchAll(/\((W\d+(?: W\d+)*)\)['`],/g);
  for (const [, numbers] of names) for (const number of numbers?.split(' ') ?? []) covered.add(number);
}
// Events over HTTP.
const eventTests = readFileSync('test/conformance/events.test.ts', 'utf8');
for (const [, numbers] of eventTests.matchAll(/^ *rule\('([^']+)'/gm)) {
  for (const number of numbers?.split(' ') ?? []) covered.add(number);
}
// The servers' side of the rules of several nodes. Such a test's name ends with them: `… (N3 N4)`.
const coveredByNodes = new Set<string>();
for (const file of readdirSync('test/nodes').filter((name) => name.endsWith('.test.ts'))) {
  const names = readFileSync(`test/nodes/${file}`, 'utf8').matchAll(/\((N\d+(?: N\d+)*)\)['`],/g);
  for (const [, numbers] of names) for (const number of numbers?.split(' ') ?? []) coveredByNodes.add(number);
}

const SECRET = 'a secret of at least thirty-two bytes';
const authenticator = jwtAuthenticator(secretKey(SECRET));

/** Signs a token. @param expires seconds from now. */
function token(claims: Record<string, unknown>, expires = 60, secret = SECRET): Promise<string> {
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime(Math.floor(Date.now() / 1000) + expires)
    .sign(Buffer.from(secret));
}

/** Defines the test of some rules of PROTOCOL.md. @param numbers separated by spaces. */
function rule(numbers: string, behaviour: string, run: () => Promise<void>): void {
  for (const number of numbers.split(' ')) covered.add(number);
  test(`${numbers}: ${behaviour}`, run);
}

describe.each(variants)('pumphouse.v1 on $name', (variant) => {
  let close: () => Promise<void> = async () => {};
  afterEach(() => close());

  const start = async (options: Options = {}) => {
    const server = await serve(variant, options);
    close = server.close;
    return server;
  };

  /** Starts a server with two members of the room `r`. */
  const pair = async (options: Options = {}) => {
    const server = await start(options);
    const [ada, bob] = [await server.connect('?user=ada&room=r'), await server.connect('?user=bob&room=r')];
    await Promise.all([ada.next('joined'), bob.next('joined')]);
    return { ...server, ada, bob };
  };

  const welcomeOf = ({ got }: Peer) => got[0] as Extract<ServerMessage, { t: 'welcome' }>;

  /** Sorts the members of a presence. Several workers each list their own first. */
  const ordered = (presence: ServerMessage | undefined) =>
    variant.workers > 1 && presence?.t === 'presence' && presence.members
      ? { ...presence, members: [...presence.members].sort() }
      : presence;

  /** Returns the messages and the close frame of a refused connection. */
  const refusal = async (peer: Peer) => ({ close: await peer.closed, got: peer.got });

  const statusOfRejection = async (port: number, query: string) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/ws${query}`, 'pumphouse.v1');
    socket.on('error', () => {});
    const [, response] = await once(socket, 'unexpected-response');
    response.destroy();
    return response.statusCode;
  };

  /** Starts a pair of which bob stops reading, and sends until the Hub reports that he lags. */
  const stalled = async (options: Options) => {
    const context = await pair(options);
    const lag = watchLag(context.hub.events);
    context.bob.socket.pause();
    let sent = 0;
    const fill = async (messages: number) => {
      for (const end = sent + messages; sent < end; sent++) {
        context.ada.send({ t: 'send', room: 'r', id: `${sent}`, data: `${sent} `.padEnd(8000, '.') });
        if (sent % 50 === 49)
          await until(
            'ada has the acknowledgements',
            () => context.ada.got.filter(({ t }) => t === 'sent').length > sent,
          );
      }
    };
    while (!lag.seen) await fill(50);
    return { ...context, fill, sent: () => sent };
  };

  rule('C1 C4', 'selects the subprotocol and sends welcome first', async () => {
    const { connect } = await start({ publishRate: { perSecond: 20, burst: 40 } });
    const peer = await connect('?user=ada&room=r');
    expect(peer.socket.protocol).toBe('pumphouse.v1');
    await peer.next('joined');
    expect(peer.got[0]).toEqual({
      t: 'welcome',
      session: expect.stringMatching(/^[\w-]{16}$/),
      user: 'ada',
      resume: expect.any(String),
      limits: { message: 16_384, roomName: 128, rooms: 128, history: 1000, publishRate: { perSecond: 20, burst: 40 } },
      heartbeat: 25,
    });
  });

  rule('C2', 'takes the user name from the query, names guests, and rejects invalid names', async () => {
    const { connect, port } = await start();
    expect((await (await connect('?user=Ada%20L')).next('welcome')).user).toBe('Ada L');
    expect((await (await connect()).next('welcome')).user).toMatch(/^guest-/);
    expect(await statusOfRejection(port, '?user=')).toBe(400);
    expect(await statusOfRejection(port, `?user=${'x'.repeat(65)}`)).toBe(400);
  });

  rule('C3', 'joins the rooms of the query, and rejects invalid names', async () => {
    const { connect, port } = await start();
    const peer = await connect('?room=a&room=b&room=a');
    expect([(await peer.next('joined')).room, (await peer.next('joined')).room]).toEqual(['a', 'b']);
    expect(await statusOfRejection(port, '?room=')).toBe(400);
    expect(await statusOfRejection(port, `?room=${'x'.repeat(129)}`)).toBe(400);
  });

  rule('C5 C6', 'resumes the session of a valid secret, and closes its older connection with 4500', async () => {
    const { connect } = await start();
    const first = await connect('?user=ada');
    const { session, resume } = await first.next('welcome');
    const second = await connect('?user=mallory', [`resume.${resume}`]);
    expect(await second.next('welcome')).toMatchObject({ session, user: 'ada', resume });
    expect(second.socket.protocol).toBe('pumphouse.v1');
    expect((await first.closed).code).toBe(4500);
    const forgeries = [`${resume}x`, resume.slice(0, -1), resume.replace('YWRh', 'Ym9i'), '..', 'x', ''];
    for (const forged of forgeries) {
      for (const peer of [await connect('', [`resume.${forged}`]), await connect(`?resume=${forged}`)]) {
        expect((await peer.next('welcome')).session).not.toBe(session);
      }
    }
  });

  rule('C5', 'still resumes by the URL, and reports that this is deprecated', async () => {
    const { connect, hub } = await start();
    const deprecated: unknown[] = [];
    hub.events.on('deprecated', (event) => deprecated.push(event));
    const { session, resume } = await (await connect()).next('welcome');
    expect((await (await connect(`?resume=${resume}`)).next('welcome')).session).toBe(session);
    expect(deprecated).toEqual([
      {
        feature: '?resume=SECRET in the URL',
        instead: 'the subprotocol resume.SECRET',
        remoteAddress: '127.0.0.1',
      },
    ]);
    await (await connect(`?resume=${resume}x`, [`resume.${resume}`])).next('welcome');
    expect(deprecated).toHaveLength(1);
  });

  rule('C7 C10', 'closes a page of another origin with 4502, and sends it nothing', async () => {
    const { connect, hub } = await start({ origins: ['https://chat.example'] });
    const connected: unknown[] = [];
    hub.events.on('connected', (event) => connected.push(event));
    const foreign = await connect('?room=r', [], { origin: 'https://page.example' });
    foreign.send({ t: 'join', room: 'r' });
    expect(await refusal(foreign)).toEqual({ close: closes.originRefused, got: [] });
    expect(foreign.socket.protocol).toBe('pumphouse.v1');
    expect(connected).toEqual([]);
    expect(hub.rooms).toBe(0);
    await (await connect('', [], { origin: 'https://chat.example' })).next('welcome');
  });

  rule('C7', 'rejects by HTTP when many refused connections are open, and for other protocols', async () => {
    const { port } = await start({ hooks: { connect: () => false }, maxRefused: 0 });
    expect(await statusOfRejection(port, '')).toBe(403);
    await close();
    const other = await start({ hooks: { connect: () => false } });
    const plain = new WebSocket(`ws://127.0.0.1:${other.port}/ws`);
    await expect(once(plain, 'open')).rejects.toThrow('403');
    expect((await refusal(await other.connect())).close).toEqual(closes.refused);
  });

  rule('C8', 'closes a client over a limit of connections with 4005 and the time to return', async () => {
    for (const connections of [{ all: 1 }, { perAddress: 1 }]) {
      const { connect } = await start({ connections });
      const first = await connect();
      await first.next('welcome');
      const { close: closed, got } = await refusal(await connect());
      expect(closed).toEqual(closes.tooManyConnections);
      const retryAfter = expect.any(Number);
      expect(got).toEqual([{ t: 'error', code: 'too_many_connections', ...errors.too_many_connections, retryAfter }]);
      expect((got[0] as { retryAfter: number }).retryAfter).toBeGreaterThanOrEqual(1000);
      expect(first.socket.readyState).toBe(WebSocket.OPEN);
      await close();
    }
  });

  rule('C8', 'closes handshakes past the rate with 4005, each with a later time to return', async () => {
    const { connect } = await start({ maxHandshakes: 1 });
    const peers = await Promise.all(Array.from({ length: 12 }, () => connect()));
    await until('all are answered', () => peers.every(({ got }) => got.length > 0));
    const times = peers.flatMap(({ got: [first] }) => (first?.t === 'error' ? [first.retryAfter as number] : []));
    expect(times.length).toBeGreaterThanOrEqual(6);
    expect(Math.min(...times)).toBeGreaterThanOrEqual(1000);
    expect(Math.max(...times) - Math.min(...times)).toBeGreaterThan(3000);
    expect(new Set(times).size).toBe(times.length);
  });

  rule('C9', 'closes with 4006 and retryAfter when the connect hook fails or takes too long', async () => {
    const fails = () => Promise.reject(new Error('the database is down'));
    for (const connectHook of [fails, () => new Promise<never>(() => {})]) {
      const { connect } = await start({ hooks: { connect: connectHook } });
      const { close: closed, got } = await refusal(await connect());
      expect(closed).toEqual(closes.unavailable);
      expect(got).toMatchObject([{ t: 'error', code: 'unavailable', retry: true, retryAfter: 1000 }]);
      expect(JSON.stringify(got)).not.toContain('database');
      await close();
    }
  });

  rule('C11', 'closes with 4503 and the reason of the connect hook', async () => {
    const reasons: Record<string, string | false> = { no: false, why: 'members only', long: 'é'.repeat(100) };
    const { connect } = await start({ hooks: { connect: ({ query }) => reasons[query.get('as') ?? ''] ?? true } });
    expect(await refusal(await connect('?as=no'))).toEqual({ close: closes.refused, got: [] });
    expect(await refusal(await connect('?as=why'))).toEqual({ close: { code: 4503, reason: 'members only' }, got: [] });
    expect((await refusal(await connect('?as=long'))).close).toEqual({ code: 4503, reason: 'é'.repeat(61) });
    await (await connect()).next('welcome');
  });

  rule('C11', 'refuses a client that authenticated once open in the same way', async () => {
    const answers: Record<string, string | boolean> = { eve: 'members only' };
    const connectHook = async ({ query }: { query: URLSearchParams }) => answers[query.get('user') ?? ''] ?? true;
    const { connect } = await start({ authenticator, hooks: { connect: connectHook } });
    const eve = await connect('?user=eve');
    eve.send({ t: 'auth', token: await token({ sub: 'eve' }) });
    expect(await refusal(eve)).toEqual({ close: { code: 4503, reason: 'members only' }, got: [] });
  });

  rule('C12', 'closes a new connection with 1001 while the server shuts down', async () => {
    const { connect } = await start({ draining: () => true });
    expect(await refusal(await connect())).toEqual({ close: closes.goingAway, got: [] });
  });

  rule(
    'T1',
    'accepts a token in the header, query or subprotocol, and closes with 4501 for an invalid one',
    async () => {
      const { connect } = await start({ authenticator });
      const valid = await token({ sub: 'ada' });
      const places: [string, string[], Record<string, string>][] = [
        ['', [], { authorization: `Bearer ${valid}` }],
        [`?user=eve&token=${valid}`, [], {}],
        ['', [`bearer.${valid}`], {}],
      ];
      for (const [query, protocols, headers] of places) {
        const peer = await connect(query, protocols, headers);
        expect((await peer.next('welcome')).user).toBe('ada');
        expect(peer.socket.protocol).toBe('pumphouse.v1');
      }
      const expired = await token({ sub: 'ada' }, -1);
      const other = await token({ sub: 'ada' }, 60, 'another secret of thirty-two bytes!');
      for (const invalid of [
        '',
        'x',
        `${valid}x`,
        expired,
        other,
        await token({}),
        await token({ sub: '' }),
        'x'.repeat(2000),
      ]) {
        expect(await refusal(await connect(`?token=${invalid}`))).toEqual({ close: closes.unauthenticated, got: [] });
      }
    },
  );

  rule('T2', 'requires auth as the first message of a connection without a token', async () => {
    const { connect } = await start({ authenticator });
    const ada = await connect();
    ada.send({ t: 'auth', token: await token({ sub: 'ada' }) });
    expect((await ada.next('welcome')).user).toBe('ada');
    expect((await ada.join('r')).recovered).toBe(true);
    for (const [first, code] of [
      [{ t: 'auth', token: 'false' }, 'bad_token'],
      [{ t: 'join', room: 'r' }, 'unauthenticated'],
      [{ t: 'ping' }, 'unauthenticated'],
    ] as const) {
      const other = await connect();
      other.send(first);
      expect((await other.next('error')).code).toBe(code);
      expect(await other.closed).toEqual(closes.unauthenticated);
    }
    expect(ada.socket.readyState).toBe(WebSocket.OPEN);
  });

  rule('T3 T4', 'closes at the expiry of a token unless auth renews it', async () => {
    const { connect } = await start({ authenticator });
    const [ada, bob] = await Promise.all(
      ['ada', 'bob'].map(async (sub) => connect(`?token=${await token({ sub }, 3)}`)),
    );
    if (!ada || !bob) throw new Error('expected two peers');
    expect((await ada.next('welcome')).expiresIn).toBeLessThanOrEqual(3);
    ada.send({ t: 'auth', token: await token({ sub: 'bob' }) });
    expect((await ada.next('error')).code).toBe('bad_token');
    ada.send({ t: 'auth', token: await token({ sub: 'ada' }, 60) });
    const { user, expiresIn } = await ada.next('authenticated');
    expect(user).toBe('ada');
    expect(expiresIn).toBeGreaterThan(50);
    expect(expiresIn).toBeLessThanOrEqual(60);
    expect(await bob.closed).toEqual(closes.tokenExpired);
    expect(ada.socket.readyState).toBe(WebSocket.OPEN);
  });

  rule('T6', 'asks for a new token, and closes a client that does not send one in time', async () => {
    const { connect, ask } = await start({ authenticator });
    const connectAs = async (sub: string) => {
      const peer = await connect(`?token=${await token({ sub })}`);
      await peer.next('welcome');
      return peer;
    };
    const [ada, other, bob] = [await connectAs('ada'), await connectAs('ada'), await connectAs('bob')];
    ask({ kind: 'refresh', user: 'ada', within: 1 });
    for (const peer of [ada, other]) expect(await peer.next('refresh')).toEqual({ t: 'refresh', within: 1 });
    ada.send({ t: 'auth', token: await token({ sub: 'ada' }) });
    await ada.next('authenticated');
    other.send({ t: 'auth', token: 'x' });
    expect((await other.next('error')).code).toBe('bad_token');
    expect(await other.closed).toEqual(closes.tokenExpired);
    expect([ada.socket.readyState, bob.socket.readyState]).toEqual([WebSocket.OPEN, WebSocket.OPEN]);
    expect(await bob.all('refresh')).toEqual([]);
  });

  rule('T7', 'closes connections whose tokens are revoked, and refuses those tokens', async () => {
    const { revocations } = localCluster(systemClock);
    const checked = jwtAuthenticator(secretKey(SECRET), {}, revocations);
    const { connect, ask } = await start({ authenticator: checked, revocations });
    const [now, before] = [Math.floor(Date.now() / 1000), Date.now() - 10_000];
    const [older, newer, timeless] = await Promise.all(
      [now - 60, now - 5, undefined].map((iat) => token({ sub: 'ada', ...(iat && { iat }) })),
    );
    const ada = await connect(`?token=${older}`);
    const { resume, session } = await ada.next('welcome');
    const other = await connect(`?token=${newer}`);
    await other.next('welcome');
    await revocations.revoke('ada', before);
    ask({ kind: 'revoke', user: 'ada', before });
    expect(await ada.closed).toEqual(closes.tokenExpired);
    for (const revoked of [older, timeless]) {
      expect((await refusal(await connect(`?token=${revoked}`))).close.code).toBe(4501);
    }
    expect(other.socket.readyState).toBe(WebSocket.OPEN);
    const again = await connect(`?token=${newer}`, [`resume.${resume}`]);
    const welcome = await again.next('welcome');
    expect(welcome.session).toBe(session);
    expect(welcome.resume).not.toBe(resume);
    const sameSecond = (now - 4) * 1000 + 500;
    await revocations.revoke('ada', sameSecond);
    ask({ kind: 'revoke', user: 'ada', before: sameSecond });
    const late = await refusal(await connect(`?token=${await token({ sub: 'ada', iat: now - 4 })}`));
    expect([late.close, late.got[0]]).toEqual([closes.unavailable, expect.objectContaining({ retry: true })]);
  });

  rule('T7', 'refuses the revoked secrets of sessions where there are no tokens', async () => {
    const { revocations } = localCluster(systemClock);
    const { connect, ask } = await start({ revocations });
    const ada = await connect('?user=ada');
    const { resume, session } = await ada.next('welcome');
    const before = Date.now() + 1;
    await revocations.revoke('ada', before);
    ask({ kind: 'revoke', user: 'ada', before });
    expect(await ada.closed).toEqual(closes.unauthenticated);
    await until('a later session begins later', () => Date.now() >= before);
    expect((await (await connect('?user=ada', [`resume.${resume}`])).next('welcome')).session).not.toBe(session);
  });

  rule('T4', 'answers auth with bad_token if the server uses no tokens', async () => {
    const ada = await (await start()).connect();
    ada.send({ t: 'auth', token: 'any' });
    expect((await ada.next('error')).code).toBe('bad_token');
  });

  rule('T5', 'enforces the rooms of a token, and those of its replacement', async () => {
    const { connect } = await start({ authenticator });
    const rooms = [{ name: 'news', send: false }, { name: 'team-*' }, { name: 'drop', join: false }];
    const ada = await connect(`?token=${await token({ sub: 'ada', rooms })}`);
    await ada.join('news');
    await ada.join('team-red');
    await ada.say('team-red', 1);
    const bob = await connect(`?token=${await token({ sub: 'bob' })}`);
    await bob.join('news');
    await bob.join('team-red');
    for (const forbidden of [
      { t: 'send', room: 'news', id: '1', data: 1 },
      { t: 'signal', room: 'news', data: 'typing' },
      { t: 'join', room: 'drop' },
      { t: 'join', room: 'team' },
    ] as const) {
      ada.send(forbidden);
      expect(await ada.next('error')).toMatchObject({ code: 'forbidden', room: forbidden.room });
    }
    ada.send({ t: 'signal', room: 'team-red', data: 'typing' });
    await bob.next('signal');
    expect(bob.got.filter(({ t }) => t === 'signal')).toMatchObject([{ room: 'team-red', from: 'ada' }]);
    ada.send({ t: 'auth', token: await token({ sub: 'ada', rooms: [{ name: 'team' }] }) });
    await ada.next('authenticated');
    await ada.join('team');
    ada.send({ t: 'send', room: 'team-red', id: '2', data: 1 });
    expect(await ada.next('error')).toMatchObject({ code: 'forbidden', room: 'team-red' });
  });

  rule('F1 F4 F5', 'reads several messages from a frame, and the lines around an invalid one', async () => {
    const { ada } = await pair();
    ada.raw('{"t":"ping","more":1}\nnope\n[1]\n"x"\nnull\n{"t":"nope"}\n{}\n{"t":"toString"}\n{"t":"ping"}');
    await ada.all('error');
    const replies = ada.got.filter(({ t }) => t === 'error' || t === 'pong');
    expect(replies.map((reply) => ('code' in reply ? reply.code : reply.t))).toEqual([
      'pong',
      ...['not_json', 'not_json', 'not_json', 'not_json'],
      ...['unknown_type', 'unknown_type', 'unknown_type'],
      'pong',
      'pong',
    ]);
  });

  rule('F2', 'accepts a frame of the maximum size, and closes with 1009 for one more byte', async () => {
    const { ada } = await pair();
    const frame = (bytes: number) =>
      `{"t":"send","room":"r","id":"1","data":"${'x'.repeat(bytes - 42)}"}`.padEnd(bytes);
    ada.raw(frame(16_384));
    await ada.next('sent');
    ada.raw(frame(16_385));
    expect((await ada.closed).code).toBe(1009);
  });

  rule('F3', 'closes with 1003 for a binary frame', async () => {
    const { ada } = await pair();
    ada.socket.send(Buffer.from('{"t":"ping"}'));
    expect((await ada.closed).code).toBe(1003);
  });

  rule('F6', 'names an invalid field, with the id and the room of its message', async () => {
    const { ada } = await pair();
    const cases: [object, string, object][] = [
      [{ t: 'send', room: 'r', id: 'x' }, 'bad_field', { field: 'data', id: 'x', room: 'r' }],
      [{ t: 'send', room: 'r', id: '', data: 1 }, 'bad_field', { field: 'id', room: 'r' }],
      [{ t: 'send', room: 'r', id: 7, data: 1 }, 'bad_field', { field: 'id', room: 'r' }],
      [{ t: 'send', room: 'r', id: 'x'.repeat(129), data: 1 }, 'bad_field', { field: 'id', room: 'r' }],
      [{ t: 'send', room: '', id: 'x', data: 1 }, 'bad_room', { id: 'x' }],
      [{ t: 'send', id: 'x', data: 1 }, 'bad_room', { id: 'x' }],
      [{ t: 'join', room: 'é'.repeat(65) }, 'bad_room', {}],
      [{ t: 'join', room: 'r', since: 5 }, 'bad_field', { field: 'since', room: 'r' }],
      [{ t: 'join', room: 'r', since: { epoch: 'e', seq: -1 } }, 'bad_field', { field: 'since.seq', room: 'r' }],
      [{ t: 'join', room: 'r', since: { epoch: 'e', seq: 1.5 } }, 'bad_field', { field: 'since.seq', room: 'r' }],
      [{ t: 'join', room: 'r', history: 1001 }, 'bad_field', { field: 'history', room: 'r' }],
      [{ t: 'signal', room: 'r' }, 'bad_field', { field: 'data', room: 'r' }],
      [{ t: 'history', room: 'r', before: 'x' }, 'bad_field', { field: 'before', room: 'r' }],
      [{ t: 'history', room: 'r', before: 1, after: 1 }, 'bad_field', { field: 'after', room: 'r' }],
      [{ t: 'history', room: 'r', limit: 0 }, 'bad_field', { field: 'limit', room: 'r' }],
      [{ t: 'history', room: 'r', id: 'h', limit: 0 }, 'bad_field', { field: 'limit', id: 'h', room: 'r' }],
      [{ t: 'history', room: 'r', id: 7 }, 'bad_field', { field: 'id', room: 'r' }],
      [{ t: 'history', room: 'other', id: 'h' }, 'not_member', { id: 'h', room: 'other' }],
      [{ t: 'ack', room: 'r', seq: null }, 'bad_field', { field: 'seq', room: 'r' }],
    ];
    for (const [message, code, request] of cases) {
      ada.raw(JSON.stringify(message));
      const { message: text, retry, ...error } = await ada.next('error');
      expect(error).toEqual({ t: 'error', code, ...request });
      expect([text, retry]).toEqual([expect.any(String), false]);
      if ('field' in request) expect(text).toContain(`"${request.field}" must be`);
    }
  });

  rule('F7', 'packs messages into frames of at most 256 KiB without splitting any', async () => {
    const { ada, bob } = await pair();
    const messages = Array.from(
      { length: 600 },
      (_, i): ClientMessage => ({ t: 'send', room: 'r', id: `${i}`, data: 'é'.repeat(500) }),
    );
    for (const message of messages) ada.send(message);
    await until('all messages arrived', () => bob.got.filter(({ t }) => t === 'message').length === 600);
    const frames = bob.frames.filter((frame) => frame.includes('"message"'));
    expect(frames.length).toBeLessThan(300);
    for (const frame of frames) expect(Buffer.byteLength(frame)).toBeLessThanOrEqual(262_144);
  });

  rule('R1 R2 M1 M3', 'delivers the messages after the join, the sender’s own included, in order of seq', async () => {
    const { ada, bob, connect } = await pair();
    expect(await ada.say('r', 'one')).toMatchObject({ seq: 1 });
    expect(await bob.say('r', 'two')).toMatchObject({ seq: 2 });
    const late = await connect('?user=late');
    expect(await late.join('r')).toMatchObject({ seq: 2, recovered: true, count: 3 });
    await ada.say('r', 'three');
    const history = await connect('?user=history');
    expect(await history.join('r', { history: 2 })).toMatchObject({ seq: 1, recovered: true });
    await ada.say('r', 'four');
    const received = async (peer: Peer) =>
      (await peer.all('message')).map(({ seq, data, from }) => `${seq} ${data} ${from}`);
    expect(await received(ada)).toEqual(['1 one ada', '2 two bob', '3 three ada', '4 four ada']);
    expect(await received(bob)).toEqual(await received(ada));
    expect(await received(late)).toEqual(['3 three ada', '4 four ada']);
    expect(await received(history)).toEqual(['2 two bob', '3 three ada', '4 four ada']);
  });

  rule('R3', 'answers a second join without repeating messages', async () => {
    const { ada } = await pair();
    await ada.say('r', 'one');
    expect(await ada.join('r', { history: 10 })).toMatchObject({ seq: 1, recovered: true, count: 2 });
    await ada.say('r', 'two');
    expect((await ada.all('message')).map(({ seq }) => seq)).toEqual([1, 2]);
  });

  rule('R4', 'delivers earlier messages before left, and no later ones', async () => {
    const { ada, bob } = await pair();
    bob.send({ t: 'send', room: 'r', id: '1', data: 'before' }, { t: 'leave', room: 'r' });
    await bob.next('left');
    await ada.say('r', 'after');
    expect((await bob.all('message')).map(({ data }) => data)).toEqual(['before']);
    expect(bob.got.findIndex(({ t }) => t === 'message')).toBeLessThan(bob.got.findIndex(({ t }) => t === 'left'));
  });

  rule('R5', 'rejects a join past 128 rooms with too_many_rooms', async () => {
    const { connect } = await start();
    const peer = await connect();
    for (let i = 0; i < 129; i++) peer.send({ t: 'join', room: `room ${i}` });
    expect(await peer.next('error')).toMatchObject({ code: 'too_many_rooms', room: 'room 128' });
    expect(await peer.all('joined')).toHaveLength(128);
    for (let i = 0; i < 128; i++) peer.send({ t: 'send', room: `room ${i}`, id: `${i}`, data: i });
    await until('all messages arrived', () => peer.got.filter(({ t }) => t === 'message').length === 128);
    peer.send({ t: 'leave', room: 'room 0' }, { t: 'join', room: 'one more' });
    await peer.next('left');
    await peer.next('joined');
  });

  rule('R6', 'rejects requests for a room that the client is not in with not_member', async () => {
    const { connect } = await pair();
    const peer = await connect();
    peer.send(
      { t: 'send', room: 'r', id: 'x', data: 1 },
      { t: 'signal', room: 'r', data: 1 },
      { t: 'history', room: 'r' },
      { t: 'ack', room: 'r', seq: 0 },
      { t: 'leave', room: 'r' },
    );
    const rejected = await peer.all('error');
    expect(rejected.map(({ code, room, id }) => [code, room, id])).toEqual([
      ['not_member', 'r', 'x'],
      ...Array.from({ length: 4 }, () => ['not_member', 'r', undefined]),
    ]);
  });

  rule('R7', 'ends a membership for the server’s owner, and says so', async () => {
    const { ada, bob, ask } = await pair();
    const { seq } = await ada.say('r', 'before');
    const results = ask({ kind: 'leave', user: 'ada', room: 'r' }) as { left: number; closed: number }[];
    expect(results.reduce((sum, { left, closed }) => sum + left + closed, 0)).toBe(1);
    expect(await ada.next('left')).toEqual({ t: 'left', room: 'r', removed: true });
    await bob.say('r', 'after');
    ada.send({ t: 'send', room: 'r', id: 'late', data: 1 });
    expect(await ada.next('error')).toMatchObject({ code: 'not_member', room: 'r', id: 'late' });
    expect((await ada.all('message')).map((message) => message.seq)).toEqual([seq]);
    expect((await ada.join('r')).seq).toBe(seq + 1);
    ada.send({ t: 'leave', room: 'r' });
    expect(await ada.next('left')).toEqual({ t: 'left', room: 'r' });
  });

  rule('M2', 'delivers any JSON value unchanged, and messages of other wires as text', async () => {
    const { ada, bob, connect, port } = await pair();
    const values = [
      null,
      true,
      0,
      -1.5e300,
      '',
      'two\nlines \u2028 "quoted" 👋',
      [],
      [[{}]],
      { a: { b: [1, null] } },
      { __proto__: 1 },
    ];
    for (const value of values) await ada.say('r', value);
    expect((await bob.all('message')).map(({ data }) => data)).toEqual(values);
    const lobby = await connect('?room=lobby');
    const plain = new WebSocket(`ws://127.0.0.1:${port}/ws`);
    await once(plain, 'open');
    plain.send('from "another" wire');
    expect((await lobby.next('message')).data).toEqual({ text: 'from "another" wire' });
    const frame = once(plain, 'message');
    await lobby.say('lobby', { text: 'and\nback' });
    expect(String((await frame)[0]).split('\n')).toContain('and back');
    plain.close();
  });

  rule('M4', 'answers a repeated id of a session with the first seq, across connections too', async () => {
    const { ada, bob, connect } = await pair();
    const { resume } = ada.got[0] as { resume: string };
    ada.send(...Array.from({ length: 3 }, (): ClientMessage => ({ t: 'send', room: 'r', id: 'same', data: 1 })));
    expect((await ada.all('sent')).map(({ seq, duplicate }) => [seq, duplicate])).toEqual([
      [1, undefined],
      [1, true],
      [1, true],
    ]);
    await bob.say('r', 'another sender may use the same id', 'same');
    const resumed = await connect('?room=r', [`resume.${resume}`]);
    expect(await resumed.say('r', 1, 'same')).toMatchObject({ seq: 1, duplicate: true });
    expect((await bob.all('message')).map(({ seq, from }) => [seq, from])).toEqual([
      [1, 'ada'],
      [2, 'bob'],
    ]);
  });

  rule('M5', 'keeps the order of a client’s messages across frames', async () => {
    const { ada, bob } = await pair();
    for (let i = 0; i < 300; i++) ada.send({ t: 'send', room: 'r', id: `${i}`, data: i });
    await until('all messages arrived', () => bob.got.filter(({ t }) => t === 'message').length === 300);
    const messages = await bob.all('message');
    expect(messages.map(({ data }) => data)).toEqual(messages.map((_, i) => i));
    expect((await ada.all('sent')).map(({ id, seq }) => seq - Number(id))).toEqual(messages.map(() => 1));
  });

  /** Starts a server with ada, who knows changes, and bob, who does not, in the room `r`. */
  const changing = async (options: Options = {}) => {
    const server = await start(options);
    const [ada, bob] = [await server.connect('?user=ada'), await server.connect('?user=bob')];
    await ada.join('r', { changes: true });
    await bob.join('r');
    return { ...server, ada, bob };
  };
  const nextOf = async (peer: Peer, id: string): Promise<Sent> => {
    for (;;) {
      const sent = await peer.next('sent');
      if (sent.id === id) return sent;
    }
  };
  const say = (peer: Peer, data: Json, id = `s${Math.random()}`) => {
    peer.send({ t: 'send', room: 'r', id, data });
    return nextOf(peer, id);
  };
  /** Sends a change and waits for its answer. */
  const change = async (peer: Peer, fields: Pick<SendChange, 'op' | 'of' | 'data' | 'reaction'>) => {
    const id = `c${Math.random()}`;
    peer.send({ t: 'send', room: 'r', id, ...fields });
    await until('the change is answered', () => peer.got.some((message) => 'id' in message && isAnswer(message, id)));
    return peer.got.find((message): message is Sent | ErrorMessage => isAnswer(message, id)) as Sent | ErrorMessage;
  };
  const isAnswer = (message: ServerMessage, id: string) =>
    (message.t === 'sent' || message.t === 'error') && message.id === id;

  rule('X1 X5', 'a change is in the log with a seq of its own, and a member that knows changes gets it', async () => {
    const { ada, bob } = await changing();
    await say(ada, { text: 'helo' });
    expect(await change(bob, { op: 'react', of: 1, reaction: '👍' })).toMatchObject({ t: 'sent', seq: 2 });
    expect(await change(ada, { op: 'edit', of: 1, data: { text: 'hello' } })).toMatchObject({ t: 'sent', seq: 3 });
    expect(await change(bob, { op: 'unreact', of: 1, reaction: '👍' })).toMatchObject({ t: 'sent', seq: 4 });
    expect(await change(bob, { op: 'unreact', of: 1, reaction: '👍' })).toMatchObject({ t: 'sent', seq: 5 });
    expect(await change(ada, { op: 'delete', of: 1 })).toMatchObject({ t: 'sent', seq: 6 });
    expect(await ada.all('message')).toMatchObject([{ seq: 1, data: { text: 'helo' } }]);
    const changes = (await ada.all('change')).map(({ id: _, at: __, ...rest }) => rest);
    const common = { t: 'change', room: 'r', of: 1 };
    expect(changes).toEqual([
      { ...common, seq: 2, from: 'bob', op: 'react', reaction: '👍' },
      { ...common, seq: 3, from: 'ada', op: 'edit', data: { text: 'hello' } },
      { ...common, seq: 4, from: 'bob', op: 'unreact', reaction: '👍' },
      { ...common, seq: 5, from: 'bob', op: 'unreact', reaction: '👍' },
      { ...common, seq: 6, from: 'ada', op: 'delete' },
    ]);
    // A retry is recognized as that of a message is.
    ada.send({ t: 'send', room: 'r', id: 'again', op: 'react', of: 99, reaction: 'x' });
    expect(await ada.next('error')).toMatchObject({ code: 'not_found', id: 'again' });
    const { seq } = await say(bob, 'another');
    for (const duplicate of [undefined, true]) {
      ada.send({ t: 'send', room: 'r', id: 'again', op: 'react', of: seq, reaction: 'x' });
      expect(await nextOf(ada, 'again')).toMatchObject({ seq: seq + 1, ...(duplicate && { duplicate }) });
    }
  });

  rule('X2', 'only its session may edit or delete a message where nobody is authenticated', async () => {
    const { ada, bob, connect } = await changing();
    await say(ada, { text: 'mine' });
    const another = await connect('?user=ada&room=r');
    await another.next('joined');
    for (const peer of [bob, another]) {
      expect(await change(peer, { op: 'edit', of: 1, data: 'x' })).toMatchObject({ t: 'error', code: 'forbidden' });
      expect(await change(peer, { op: 'delete', of: 1 })).toMatchObject({ t: 'error', code: 'forbidden' });
    }
    expect(await change(ada, { op: 'edit', of: 1, data: 'x' })).toMatchObject({ t: 'sent' });
  });

  rule('X2', 'any session of an authenticated user may change what another has sent', async () => {
    const { connect } = await start({ authenticator });
    const tokens = await Promise.all(['ada', 'ada', 'bob'].map((sub) => token({ sub })));
    const [first, second, bob] = (await Promise.all(tokens.map((each) => connect(`?token=${each}&room=r`)))) as [
      Peer,
      Peer,
      Peer,
    ];
    await Promise.all([first, second, bob].map((peer) => peer.next('joined')));
    await say(first, { text: 'from my phone' });
    expect(await change(bob, { op: 'delete', of: 1 })).toMatchObject({ t: 'error', code: 'forbidden', retry: false });
    expect(await change(second, { op: 'edit', of: 1, data: 'x' })).toMatchObject({ t: 'sent' });
  });

  rule(
    'X3',
    'a change of no message, of a deleted one and of a change is refused; the first of a race counts',
    async () => {
      const { ada, bob } = await changing();
      await say(ada, { text: 'a' });
      await change(bob, { op: 'react', of: 1, reaction: 'x' });
      for (const of of [2, 3, 4_000_000]) {
        expect(await change(ada, { op: 'edit', of, data: 'x' })).toMatchObject({ t: 'error', code: 'not_found' });
      }
      ada.send(
        { t: 'send', room: 'r', id: 'd', op: 'delete', of: 1 },
        { t: 'send', room: 'r', id: 'e', op: 'edit', of: 1, data: 'late' },
      );
      expect(await nextOf(ada, 'd')).toMatchObject({ seq: 3 });
      expect(await ada.next('error')).toMatchObject({ id: 'e', code: 'not_found', room: 'r', retry: false });
    },
  );

  rule('X4', 'a message has at most 32 different reactions', async () => {
    const { ada } = await changing();
    await say(ada, 'a');
    for (let i = 0; i < 32; i++)
      expect(await change(ada, { op: 'react', of: 1, reaction: `${i}` })).toMatchObject({ t: 'sent' });
    expect(await change(ada, { op: 'react', of: 1, reaction: '32' })).toMatchObject({ code: 'too_many_reactions' });
    expect(await change(ada, { op: 'react', of: 1, reaction: '31' })).toMatchObject({ t: 'sent' });
  });

  rule('X6', 'who comes later gets each message with its changes, and the changes after it once more', async () => {
    const { ada, bob, connect } = await changing();
    await say(ada, { text: 'a' }, 'a1');
    await say(ada, { text: 'b' }, 'a2');
    await change(ada, { op: 'edit', of: 1, data: { text: 'secret' } });
    await change(ada, { op: 'edit', of: 1, data: { text: 'A' } });
    await change(bob, { op: 'react', of: 1, reaction: '👍' });
    await change(ada, { op: 'delete', of: 2 });
    const late = await connect('?user=eve');
    await late.join('r', { history: 100, changes: true });
    const messages = (await late.all('message')).map(({ at: _, ...rest }) => rest);
    const reactions = [{ reaction: '👍', count: 1, users: ['bob'] }];
    const common = { t: 'message', room: 'r', from: 'ada' };
    expect(messages).toEqual([
      { ...common, seq: 1, id: 'a1', data: { text: 'A' }, edited: 4, reactions, changed: 5 },
      { ...common, seq: 2, id: 'a2', deleted: true, changed: 6 },
    ]);
    const changes = await late.all('change');
    expect(changes).toMatchObject([{ seq: 3 }, { seq: 4, data: { text: 'A' } }, { seq: 5 }, { seq: 6 }]);
    expect(changes[0]).not.toHaveProperty('data');
    expect(late.frames.join()).not.toContain('secret');
  });

  rule('X7', 'who knows no changes gets an edit as a message, and nothing for the rest', async () => {
    const { ada, bob, connect } = await changing();
    await say(ada, { text: 'helo' }, 'a1');
    await change(ada, { op: 'edit', of: 1, data: { text: 'hello', more: 1 } });
    await change(bob, { op: 'react', of: 1, reaction: '👍' });
    await change(ada, { op: 'edit', of: 1, data: [1] });
    await say(ada, { text: 'b' });
    await change(ada, { op: 'delete', of: 5 });
    await say(ada, { text: 'c' });
    await until('the last message came', () => bob.got.some((message) => message.t === 'message' && message.seq === 7));
    const shown = (await bob.all('message')).map(({ seq, data }) => [seq, data]);
    expect(shown).toEqual([
      [1, { text: 'helo' }],
      [2, { text: '(edited) hello', more: 1 }],
      [4, [1]],
      [5, { text: 'b' }],
      [7, { text: 'c' }],
    ]);
    expect([await bob.all('change'), await bob.all('gap')]).toEqual([[], []]);
    const late = await connect('?user=eve');
    await late.join('r', { history: 100 });
    const later = (await late.all('message')).map(({ seq, data }) => [seq, data]);
    expect(later).toEqual([
      [1, [1]],
      [4, [1]],
      [7, { text: 'c' }],
    ]);
    // A join with the other setting continues at the same place.
    await late.join('r', { changes: true });
    await change(bob, { op: 'react', of: 7, reaction: 'x' });
    expect(await late.all('change')).toMatchObject([{ seq: 8 }]);
    await late.join('r');
    await change(bob, { op: 'unreact', of: 7, reaction: 'x' });
    expect(await late.all('change')).toHaveLength(1);
  });

  rule('X8', 'history has messages with their changes, and names what it covers', async () => {
    const { ada, bob } = await changing();
    await say(ada, { text: 'a' });
    await say(ada, { text: 'b' });
    await change(ada, { op: 'delete', of: 1 });
    await change(ada, { op: 'edit', of: 2, data: { text: 'B' } });
    await say(ada, { text: 'c' });
    for (let i = 0; i < 4; i++) await change(bob, { op: i % 2 ? 'unreact' : 'react', of: 5, reaction: 'x' });
    const history = async (peer: Peer, fields: Omit<HistoryRequest, 't' | 'room'>) => {
      peer.send({ t: 'history', room: 'r', ...fields });
      const { messages, from, to, more } = await peer.next('history');
      return [messages.map(({ seq }) => seq), from, to, more];
    };
    expect(await history(ada, {})).toEqual([[1, 2, 5], 1, 9, false]);
    expect(await history(bob, {})).toEqual([[2, 5], 1, 9, false]);
    expect(await history(bob, { changes: true })).toEqual([[1, 2, 5], 1, 9, false]);
    // A page that has nothing but changes goes on to the next message.
    expect(await history(bob, { limit: 2 })).toEqual([[5], 4, 9, true]);
    expect(await history(bob, { before: 5, limit: 2 })).toEqual([[2], 1, 4, false]);
    expect(await history(ada, { after: 2, limit: 1 })).toEqual([[5], 3, 5, true]);
    expect(await history(ada, { after: 5 })).toEqual([[], 6, 9, false]);
    expect(await history(ada, { after: 9 })).toEqual([[], 10, 9, false]);
  });

  rule('X9', 'a reply names an earlier message', async () => {
    const { ada, bob } = await changing();
    ada.send({ t: 'send', room: 'r', id: 'r1', data: 'x', reply: 1 });
    expect(await ada.next('error')).toMatchObject({ code: 'not_found', id: 'r1' });
    await say(ada, 'a');
    ada.send({ t: 'send', room: 'r', id: 'r2', data: 'x', reply: 1 });
    await nextOf(ada, 'r2');
    await bob.next('message');
    await bob.next('message');
    for (const peer of [ada, bob])
      expect((await peer.all('message'))[1]).toMatchObject({ seq: 2, reply: 1, data: 'x' });
  });

  rule('B1 B2', 'resumes after since without a gap or a repeat, even for a client that received nothing', async () => {
    const { ada, bob, connect } = await pair();
    const { epoch, seq } = (await ada.all('joined'))[0] as { epoch: string; seq: number };
    for (let i = 1; i <= 2500; i++) ada.send({ t: 'send', room: 'r', id: `${i}`, data: i });
    await until('some messages arrived', () => ada.got.filter(({ t }) => t === 'message').length > 1000);
    const [fromStart, fromMiddle] = [await connect(), await connect()];
    const joined = await Promise.all([
      fromStart.join('r', { since: { epoch, seq } }),
      fromMiddle.join('r', { since: { epoch, seq: 700 }, history: 5 }),
    ]);
    expect(joined).toMatchObject([
      { recovered: true, seq: 0 },
      { recovered: true, seq: 700 },
    ]);
    await until('all messages arrived', () =>
      [ada, bob, fromStart].every(({ got }) => got.filter(({ t }) => t === 'message').length >= 2500),
    );
    const seqs = async (peer: Peer) => (await peer.all('message')).map(({ seq }) => seq);
    const whole = Array.from({ length: 2500 }, (_, i) => i + 1);
    expect(await seqs(fromStart)).toEqual(whole);
    expect(await seqs(fromMiddle)).toEqual(whole.slice(700));
  });

  rule('B3', 'names trimmed messages in a gap, and sends the remaining ones', async () => {
    const { ada, connect } = await pair({
      engine: memory({ retention: { records: 8, bytes: 1e6 } }),
      settings: smallWindow,
    });
    for (let i = 1; i <= 100; i++) await ada.say('r', i);
    const { epoch } = (await ada.all('joined'))[0] as { epoch: string };
    const returning = await connect();
    const { recovered, seq } = await returning.join('r', { since: { epoch, seq: 3 } });
    expect(recovered).toBe(false);
    expect(await returning.next('gap')).toEqual({ t: 'gap', room: 'r', from: 4, to: seq, why: 'trimmed' });
    const seqs = (await returning.all('message')).map((message) => message.seq);
    expect(seqs).toEqual(Array.from({ length: 100 - seq }, (_, i) => seq + 1 + i));
    expect(seqs.length).toBeGreaterThanOrEqual(8);
  });

  rule('B4 B5', 'does not recover from another epoch or a seq beyond the head', async () => {
    const { ada, connect } = await pair();
    for (let i = 1; i <= 5; i++) await ada.say('r', i);
    const { epoch } = (await ada.all('joined'))[0] as { epoch: string };
    const [foreign, future] = [await connect(), await connect()];
    expect(await foreign.join('r', { since: { epoch: 'another', seq: 3 }, history: 2 })).toMatchObject({
      recovered: false,
      seq: 3,
      epoch,
    });
    expect(await foreign.next('gap')).toEqual({ t: 'gap', room: 'r', from: 1, to: 3, why: 'epoch' });
    expect(await future.join('r', { since: { epoch, seq: 6 }, history: 2 })).toMatchObject({
      recovered: false,
      seq: 5,
    });
    expect((await foreign.all('message')).map(({ seq }) => seq)).toEqual([4, 5]);
    expect(await future.all('message')).toEqual([]);
  });

  rule('S1', 'delivers a signal to the other members without storing it', async () => {
    const { ada, bob } = await pair();
    ada.send({ t: 'signal', room: 'r', data: { typing: true } });
    expect(await bob.next('signal')).toEqual({ t: 'signal', room: 'r', from: 'ada', data: { typing: true } });
    expect(await ada.all('signal')).toEqual([]);
    expect(await ada.say('r', 'first')).toMatchObject({ seq: 1 });
  });

  rule('P1 P2 P3', 'reports joins and leaves, and above the limit only their count', async () => {
    const { ada, connect } = await pair({ settings: { namedMembers: 3 } });
    await until('ada has the presence of 2', () =>
      ada.got.some((message) => message.t === 'presence' && message.count === 2),
    );
    const third = await connect('?user=carol&room=r');
    expect(await third.next('joined')).toMatchObject({ count: 3, members: ['ada', 'bob'] });
    await until('ada has the presence of 3', () =>
      ada.got.some((message) => message.t === 'presence' && message.count === 3),
    );
    expect(ada.got.findLast(({ t }) => t === 'presence')).toEqual({
      t: 'presence',
      room: 'r',
      count: 3,
      joined: ['carol'],
      left: [],
    });
    const fourth = await connect('?user=dan');
    const { members, count } = await fourth.join('r');
    expect([members, count]).toEqual([undefined, 4]);
    await until('ada has the presence of 4', () =>
      ada.got.some((message) => message.t === 'presence' && message.count === 4),
    );
    expect(ada.got.findLast(({ t }) => t === 'presence')).toEqual({ t: 'presence', room: 'r', count: 4 });
    fourth.socket.terminate();
    const last = () => ada.got.findLast(({ t }) => t === 'presence');
    await until('presence lists the members again', () => 'members' in (last() ?? {}));
    expect(ordered(last())).toEqual({ t: 'presence', room: 'r', count: 3, members: ['ada', 'bob', 'carol'] });
    third.socket.terminate();
    await until('ada has the leave', () => 'left' in (last() ?? {}));
    expect(last()).toEqual({ t: 'presence', room: 'r', count: 2, joined: [], left: ['carol'] });
  });

  rule('P3', 'sends the whole list to a client that missed a presence', async () => {
    const { bob, connect, sent } = await stalled({ settings: { sendBuffer: { records: 1e6, bytes: 1e9 } } });
    const carol = await connect('?user=carol&room=r');
    await carol.next('joined');
    bob.socket.resume();
    await until('bob has all messages', () => bob.got.filter(({ t }) => t === 'message').length === sent());
    await until('bob has the list', () =>
      bob.got.some((message) => message.t === 'presence' && message.members !== undefined),
    );
    const presence = bob.got.find((message) => message.t === 'presence' && message.members !== undefined);
    expect(ordered(presence)).toEqual({ t: 'presence', room: 'r', count: 3, members: ['ada', 'bob', 'carol'] });
  });

  rule('H1 H2', 'returns history before and after a seq, in replies of one frame', async () => {
    const { ada } = await pair();
    for (let i = 1; i <= 120; i++) ada.send({ t: 'send', room: 'r', id: `${i}`, data: i });
    await until('all are acknowledged', () => ada.got.filter(({ t }) => t === 'sent').length === 120);
    const request = async (fields: object) => {
      ada.send({ t: 'history', room: 'r', ...fields });
      const { messages, more } = await ada.next('history');
      return [messages.map(({ seq }) => seq), more];
    };
    const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
    expect(await request({})).toEqual([range(71, 120), true]);
    expect(await request({ limit: 1000 })).toEqual([range(1, 120), false]);
    expect(await request({ before: 11, limit: 5 })).toEqual([range(6, 10), true]);
    expect(await request({ before: 6, limit: 5 })).toEqual([range(1, 5), false]);
    expect(await request({ before: 1 })).toEqual([[], false]);
    expect(await request({ after: 117 })).toEqual([range(118, 120), false]);
    expect(await request({ after: 10, limit: 3 })).toEqual([range(11, 13), true]);
    expect(await request({ after: 120 })).toEqual([[], false]);
    expect(await request({ before: 9999, limit: 2 })).toEqual([range(119, 120), true]);
    ada.send({ t: 'history', room: 'r', id: 'mine', limit: 1 });
    expect(await ada.next('history')).toMatchObject({ id: 'mine', more: true });
    for (let i = 0; i < 20; i++) await ada.say('r', 'x'.repeat(10_000));
    const [seqs, more] = await request({ limit: 20 });
    expect([(seqs as number[]).at(-1), (seqs as number[]).length < 8, more]).toEqual([140, true, true]);
    for (const frame of ada.frames) expect(Buffer.byteLength(frame)).toBeLessThanOrEqual(65_536);
  });

  rule('A1', 'reports an ack to the server, and rejects one beyond what was sent', async () => {
    const { ada, hub } = await pair();
    const acknowledged: unknown[] = [];
    hub.events.on('shown', ({ user, room, seq }) => acknowledged.push([user, room, seq]));
    await ada.say('r', 'one');
    await ada.next('message');
    ada.send({ t: 'ack', room: 'r', seq: 1 }, { t: 'ack', room: 'r', seq: 0 }, { t: 'ack', room: 'r', seq: 2 });
    const message = 'ack: "seq" must be at most 1, the seq of the last message sent to this client';
    expect(await ada.all('error')).toMatchObject([{ code: 'bad_field', field: 'seq', message }]);
    expect(acknowledged).toEqual([['ada', 'r', 1]]);
  });

  rule('A2 A3', 'tells the devices of an authenticated user how far the user has read', async () => {
    const { connect } = await start({ authenticator });
    const [ada, bob] = await Promise.all(['ada', 'bob'].map((sub) => token({ sub })));
    const phone = await connect(`?token=${ada}&room=r`);
    const other = await connect(`?token=${bob}&room=r`);
    await Promise.all([phone.next('joined'), other.next('joined')]);
    for (let i = 1; i <= 3; i++) await other.say('r', i);
    while ((await phone.next('message')).seq < 3);
    phone.send({ t: 'ack', room: 'r', seq: 2 });
    expect(await phone.all('read')).toEqual([]);

    const desk = await connect(`?token=${ada}&room=r`);
    expect(await desk.next('read')).toEqual({ t: 'read', room: 'r', seq: 2 });
    const [joined, read] = desk.got.filter(({ t }) => t === 'joined' || t === 'read');
    expect([joined?.t, read?.t]).toEqual(['joined', 'read']);
    phone.send({ t: 'ack', room: 'r', seq: 3 });
    expect(await desk.next('read')).toEqual({ t: 'read', room: 'r', seq: 3 });
    await other.say('r', 4);
    while ((await desk.next('message')).seq < 4);
    desk.send({ t: 'ack', room: 'r', seq: 1 }, { t: 'ack', room: 'r', seq: 4 });
    expect(await phone.next('read')).toEqual({ t: 'read', room: 'r', seq: 4 });
    expect((await phone.all('read')).length).toBe(1);
    expect((await desk.all('read')).length).toBe(2);
    expect(await other.all('read')).toEqual([]);
  });

  rule('A2', 'tells nothing to clients that merely have the same name', async () => {
    const { connect } = await start();
    const [one, two] = [await connect('?user=ada&room=r'), await connect('?user=ada&room=r')];
    await Promise.all([one.next('joined'), two.next('joined')]);
    await one.say('r', 1);
    await one.next('message');
    one.send({ t: 'ack', room: 'r', seq: 1 });
    await one.all('read');
    expect(await two.all('read')).toEqual([]);
    const three = await connect('?user=ada&room=r');
    await three.next('joined');
    expect(await three.all('read')).toEqual([]);
  });

  rule('D1', 'takes no report where the welcome does not ask for one', async () => {
    const { ada } = await pair();
    expect(welcomeOf(ada).reports).toBeUndefined();
    ada.send({ t: 'report', reason: '', after: 1, away: 1 });
    expect(await ada.next('error')).toMatchObject({ code: 'unknown_type', retry: false });
  });

  rule('D1 D2 D4', 'takes one report of a connection, without an answer', async () => {
    const lives = new Lives(systemClock);
    const { ada } = await pair({ lives });
    const { session, reports } = welcomeOf(ada);
    expect(reports).toBe(true);
    const report = { code: 1006, reason: 'lost', after: 5000, away: 300, online: true, visible: false };
    ada.send({ t: 'report', ...report }, { t: 'ping' });
    await ada.next('pong');
    expect(await ada.all('error')).toEqual([]);
    ada.send({ t: 'report', ...report });
    expect(await ada.next('error')).toMatchObject({ code: 'forbidden', retry: false });
    expect(lives.find({ by: 'session', name: session }, []).reports).toMatchObject([{ session, report }]);
    expect(lives.find({ by: 'user', name: 'ada' }, []).reports).toMatchObject([{ session, report }]);
  });

  rule('D3', 'rejects a report with an invalid field, and keeps nothing of it', async () => {
    const lives = new Lives(systemClock);
    const { ada } = await pair({ lives });
    const valid = { t: 'report', reason: '', after: 0, away: 0 } as const;
    const invalid: [field: string, value: unknown][] = [
      ['code', 999],
      ['code', 5000],
      ['code', '1006'],
      ['reason', 'é'.repeat(62)],
      ['reason', 7],
      ['after', -1],
      ['after', 1.5],
      ['away', 2 ** 53],
      ['online', 1],
      ['visible', 'no'],
    ];
    for (const [field, value] of invalid) {
      ada.send({ ...valid, [field]: value } as unknown as ClientMessage);
      expect(await ada.next('error')).toMatchObject({ code: 'bad_field', field });
    }
    expect(lives.find({ by: 'user', name: 'ada' }, []).reports).toEqual([]);
    ada.send({ ...valid, reason: `${'é'.repeat(61)}!`, code: 4999, after: Number.MAX_SAFE_INTEGER }, { t: 'ping' });
    await ada.next('pong');
    expect(lives.find({ by: 'user', name: 'ada' }, []).reports).toHaveLength(1);
  });

  rule('G1 G2', 'answers ping, and closes a client that sends no pong with 4002', async () => {
    const { connect, hub } = await start({ limits: { pingPeriod: 40, pongWait: 200 } });
    const codes: unknown[] = [];
    hub.events.on('disconnected', ({ close: { code } }) => codes.push(code));
    const responsive = await connect();
    const mute = await connect();
    mute.socket.pong = () => {};
    Object.assign(mute.socket, { _autoPong: false });
    responsive.send({ t: 'ping' });
    expect(await responsive.next('pong')).toEqual({ t: 'pong' });
    expect((await mute.closed).code).toBe(4002);
    expect(responsive.socket.readyState).toBe(WebSocket.OPEN);
    await until('the event is emitted', () => codes.length > 0);
    expect(codes).toEqual([4002]);
  });

  rule('L1', 'closes a client that is too far behind with 4000 and the place to resume from', async () => {
    const { bob, fill, sent, connect } = await stalled({ settings: { sendBuffer: { records: 100, bytes: 1e9 } } });
    await fill(300);
    bob.socket.resume();
    const { code, reason } = await bob.closed;
    expect(code).toBe(4000);
    const [, epoch, seq] = /resume (\S+) after (\d+)/.exec(reason) ?? [];
    const received = bob.got.filter((message) => message.t === 'message').map((message) => message.seq);
    expect(received).toEqual(Array.from({ length: Number(seq) }, (_, i) => i + 1));
    const returning = await connect();
    expect(await returning.join('r', { since: { epoch: epoch as string, seq: Number(seq) } })).toMatchObject({
      recovered: true,
    });
    await until(
      'the rest arrived',
      () => returning.got.filter(({ t }) => t === 'message').length === sent() - Number(seq),
    );
  });

  rule('L2', 'closes a client that accepts no data for writeWait with 4001', async () => {
    const { hub } = await stalled({
      limits: { writeWait: 150 },
      settings: { sendBuffer: { records: 1e6, bytes: 1e9 } },
    });
    const reasons: unknown[] = [];
    hub.events.on('evicted', ({ why }) => reasons.push(why));
    await until('bob is evicted', () => reasons.length > 0);
    expect(reasons).toEqual([closes.writeTimeout.reason]);
  });

  rule('L3', 'continues a slow client at the head with a gap where the policy is skip', async () => {
    const { ada, bob, fill, sent } = await stalled({
      settings: { sendBuffer: { records: 100, bytes: 1e9 }, slow: () => 'skip' },
    });
    await fill(300);
    bob.socket.resume();
    await until('bob has the gap', () => bob.got.some(({ t }) => t === 'gap'));
    await ada.say('r', 'new');
    await until('bob has the new message', () =>
      bob.got.some((message) => message.t === 'message' && message.data === 'new'),
    );
    expect(accountedFor(bob)).toEqual({ last: sent() + 1, gaps: ['slow'] });
  });

  rule('L4', 'continues a slow client at the newest message where the policy is latest', async () => {
    const { bob, fill, sent } = await stalled({
      settings: { sendBuffer: { records: 100, bytes: 1e9 }, slow: () => 'latest' },
    });
    await fill(10);
    bob.socket.resume();
    await until('bob has the newest message', () =>
      bob.got.some((message) => message.t === 'message' && message.seq === sent()),
    );
    expect(accountedFor(bob)).toEqual({ last: sent(), gaps: ['slow'] });
  });

  rule(
    'L5 L6',
    'rejects messages over the rate with retryAfter, and closes a client that persists with 4003',
    async () => {
      const { ada, connect } = await pair({ publishRate: { perSecond: 20, burst: 40 } });
      for (let i = 0; i < 60; i++) ada.send({ t: 'send', room: 'r', id: `${i}`, data: i });
      const rejected = await ada.all('error');
      expect(rejected.length).toBeGreaterThan(10);
      expect(rejected[0]).toMatchObject({ code: 'rate_limited', retry: true, retryAfter: 1000, id: '40', room: 'r' });
      expect((await ada.all('sent')).length + rejected.length).toBe(60);
      for (let i = 0; i < 200; i++) ada.send({ t: 'send', room: 'r', id: `more ${i}`, data: i });
      expect((await ada.closed).code).toBe(4003);
      const pinging = await connect();
      for (let i = 0; i < 250; i++) pinging.send({ t: 'ping' });
      const answers = () => pinging.got.filter(({ t }) => t === 'pong' || t === 'error').map(({ t }) => t);
      await until('all pings are answered', () => answers().length === 250);
      expect(answers().indexOf('error')).toBeGreaterThanOrEqual(5 * 40);
      const noisy = await connect();
      for (let i = 0; i < 200; i++) noisy.raw('noise');
      expect((await noisy.closed).code).toBe(1002);
    },
  );

  rule('E1 E2', 'sends drain before 1001, and classifies every close code', async () => {
    const { ada, clients } = await pair();
    for (const client of clients()) client.goAway(340);
    expect(await ada.next('drain')).toEqual({ t: 'drain', reconnectIn: 340 });
    expect((await ada.closed).code).toBe(1001);
    const reconnects = (code: number) =>
      [1001, 1005, 1006, 1011, 1012, 1013].includes(code) || (code >= 4000 && code < 4500);
    for (let code = 1000; code < 5000; code++) expect(comesBack(code)).toBe(reconnects(code));
  });

  rule('E2', 'lists in PROTOCOL.md each close code of its own, and whether to reconnect', async () => {
    for (const { code } of Object.values(closes)) {
      if (code < 4000) continue;
      expect(specification).toMatch(new RegExp(`\\| ${code}  \\| ${comesBack(code) ? 'yes' : 'no'} `));
    }
  });

  rule('E3', 'lists in PROTOCOL.md each error of the code, and each error has a text', async () => {
    for (const [code, { retry, message }] of Object.entries(errors)) {
      expect(specification).toMatch(new RegExp(`\\| \`${code}\` +\\| ${retry ? 'yes' : 'no'} `));
      expect(message.length).toBeGreaterThan(5);
    }
    expect(specification.match(/^\| `[a-z_]+` +\| (yes|no) /gm)).toHaveLength(Object.keys(errors).length);
  });
});

/** Limits small enough that the log in memory is shorter than the engine's retention. */
const smallWindow = {
  sendBuffer: { records: 4, bytes: 1e6 },
  window: { records: 8, bytes: 1e6 },
  turn: { commands: 2, bytes: 1e6 },
  hold: { records: 2, bytes: 100 },
};

/** Checks that the messages and gaps of a peer cover every seq once, in order. */
function accountedFor(peer: Peer): { last: number; gaps: string[] } {
  let next = 1;
  const gaps: string[] = [];
  for (const message of peer.got) {
    if (message.t === 'message') expect(message.seq).toBe(next++);
    if (message.t !== 'gap') continue;
    expect(message.from).toBe(next);
    next = message.to + 1;
    gaps.push(message.why);
  }
  return { last: next - 1, gaps };
}

/** Records whether any member has lagged. */
function watchLag(events: ObservedHub['events']): { seen: boolean } {
  const lag = { seen: false };
  events.on('lagging', () => {
    lag.seen = true;
  });
  return lag;
}

test('covers every rule of PROTOCOL.md, and names only existing rules', () => {
  expect(rules.length).toBeGreaterThan(40);
  expect(new Set(rules).size).toBe(rules.length);
  const isCovered = (number: string) => (number.startsWith('N') ? coveredByNodes : covered).has(number);
  expect(rules.filter((number) => !isCovered(number))).toEqual([]);
  expect([...covered, ...coveredByNodes].filter((number) => !rules.includes(number))).toEqual([]);
});
