import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { SignJWT } from 'jose';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { jwtAuthenticator, secretKey } from '../../src/auth/jwt.ts';
import { memory } from '../../src/engine/memory.ts';
import type { Events } from '../../src/hub/events.ts';
import { closes, comesBack } from '../../src/protocol/close-codes.ts';
import { type ClientMessage, errors } from '../../src/protocol/v1.ts';
import { transports, until } from '../integration/server.ts';
import { type Options, type Peer, serve } from './server.ts';

const specification = readFileSync('PROTOCOL.md', 'utf8');
const rules = [...specification.matchAll(/^- \*\*([A-Z]\d+)\*\*/gm)].map(([, rule]) => rule as string);
const covered = new Set<string>();

const SECRET = 'a secret of at least thirty-two bytes';
const authority = jwtAuthenticator(secretKey(SECRET));

/** A token with these claims. @param expires seconds from now. */
function token(claims: Record<string, unknown>, expires = 60, secret = SECRET): Promise<string> {
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime(Math.floor(Date.now() / 1000) + expires)
    .sign(Buffer.from(secret));
}

/** A case of these rules of PROTOCOL.md, by their numbers. */
function rule(numbers: string, what: string, run: () => Promise<void>): void {
  for (const number of numbers.split(' ')) covered.add(number);
  test(`${numbers}: ${what}`, run);
}

describe.each(transports)('pumphouse.v1 on %s', (transport) => {
  let close: () => Promise<void> = async () => {};
  afterEach(() => close());

  const start = async (options: Options = {}) => {
    const server = await serve(transport, options);
    close = server.close;
    return server;
  };

  /** Two members of a room. */
  const pair = async (options: Options = {}) => {
    const server = await start(options);
    const [ada, bob] = [await server.connect('?user=ada&room=r'), await server.connect('?user=bob&room=r')];
    await Promise.all([ada.next('joined'), bob.next('joined')]);
    return { ...server, ada, bob };
  };

  const refusedWith = async (port: number, query: string) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/ws${query}`, 'pumphouse.v1');
    socket.on('error', () => {});
    const [, response] = await once(socket, 'unexpected-response');
    response.destroy();
    return response.statusCode;
  };

  /** A peer that stops to read, until the Hub says that it lags behind. */
  const stalled = async (options: Options) => {
    const scene = await pair(options);
    const lagging = seen(scene.hub.events);
    scene.bob.socket.pause();
    let sent = 0;
    const fill = async (messages: number) => {
      for (const end = sent + messages; sent < end; sent++) {
        scene.ada.send({ t: 'send', room: 'r', id: `${sent}`, data: `${sent} `.padEnd(8000, '.') });
        if (sent % 50 === 49)
          await until('ada has them', () => scene.ada.got.filter(({ t }) => t === 'sent').length > sent);
      }
    };
    while (!lagging.seen) await fill(50);
    return { ...scene, fill, sent: () => sent };
  };

  rule('C1 C4', 'the subprotocol is answered, and welcome comes first', async () => {
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

  rule('C2', 'a user has the name it gives, a guest one of the server', async () => {
    const { connect, port } = await start();
    expect((await (await connect('?user=Ada%20L')).next('welcome')).user).toBe('Ada L');
    expect((await (await connect()).next('welcome')).user).toMatch(/^guest-/);
    expect(await refusedWith(port, '?user=')).toBe(400);
    expect(await refusedWith(port, `?user=${'x'.repeat(65)}`)).toBe(400);
  });

  rule('C3', 'rooms in the address are joined at once', async () => {
    const { connect, port } = await start();
    const peer = await connect('?room=a&room=b&room=a');
    expect([(await peer.next('joined')).room, (await peer.next('joined')).room]).toEqual(['a', 'b']);
    expect(await refusedWith(port, '?room=')).toBe(400);
    expect(await refusedWith(port, `?room=${'x'.repeat(129)}`)).toBe(400);
  });

  rule(
    'C5 C6',
    'with its secret a client is the same session again, and its older connection ends with 4500',
    async () => {
      const { connect } = await start();
      const first = await connect('?user=ada');
      const { session, resume } = await first.next('welcome');
      const second = await connect(`?resume=${resume}&user=mallory`);
      expect(await second.next('welcome')).toMatchObject({ session, user: 'ada', resume });
      expect((await first.closed).code).toBe(4500);
      for (const forged of [`${resume}x`, resume.slice(0, -1), resume.replace('YWRh', 'Ym9i'), '..', 'x']) {
        expect((await (await connect(`?resume=${forged}`)).next('welcome')).session).not.toBe(session);
      }
    },
  );

  rule('T1', 'a token comes with the handshake in one of three ways, and a false one is 401', async () => {
    const { port, connect } = await start({ authority });
    const good = await token({ sub: 'ada' });
    const ways: [string, string[], Record<string, string>][] = [
      ['', [], { authorization: `Bearer ${good}` }],
      [`?user=eve&token=${good}`, [], {}],
      ['', [`bearer.${good}`], {}],
    ];
    for (const [query, protocols, headers] of ways) {
      const peer = await connect(query, protocols, headers);
      expect((await peer.next('welcome')).user).toBe('ada');
      expect(peer.socket.protocol).toBe('pumphouse.v1');
    }
    const expired = await token({ sub: 'ada' }, -1);
    const other = await token({ sub: 'ada' }, 60, 'another secret of thirty-two bytes!');
    for (const bad of [
      '',
      'x',
      `${good}x`,
      expired,
      other,
      await token({}),
      await token({ sub: '' }),
      'x'.repeat(2000),
    ]) {
      expect(await refusedWith(port, `?token=${bad}`)).toBe(401);
    }
  });

  rule('T2', 'who connects without a token shows it first, or is closed', async () => {
    const { connect } = await start({ authority });
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

  rule('T3 T4', 'a token expires, unless another one of the same user is shown in time', async () => {
    const { connect } = await start({ authority });
    const [ada, bob] = await Promise.all(
      ['ada', 'bob'].map(async (sub) => connect(`?token=${await token({ sub }, 3)}`)),
    );
    if (!ada || !bob) throw new Error('two connect');
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

  rule('T4', 'a server that asks for no tokens knows none', async () => {
    const ada = await (await start()).connect();
    ada.send({ t: 'auth', token: 'any' });
    expect((await ada.next('error')).code).toBe('bad_token');
  });

  rule('T5', 'a token may name rooms, and a new one other rooms', async () => {
    const { connect } = await start({ authority });
    const rooms = [{ name: 'news', send: false }, { name: 'team-*' }, { name: 'drop', join: false }];
    const ada = await connect(`?token=${await token({ sub: 'ada', rooms })}`);
    await ada.join('news');
    await ada.join('team-red');
    await ada.say('team-red', 1);
    for (const refused of [
      { t: 'send', room: 'news', id: '1', data: 1 },
      { t: 'join', room: 'drop' },
      { t: 'join', room: 'team' },
    ] as const) {
      ada.send(refused);
      expect(await ada.next('error')).toMatchObject({ code: 'forbidden', room: refused.room });
    }
    ada.send({ t: 'auth', token: await token({ sub: 'ada', rooms: [{ name: 'team' }] }) });
    await ada.next('authenticated');
    await ada.join('team');
    ada.send({ t: 'send', room: 'team-red', id: '2', data: 1 });
    expect(await ada.next('error')).toMatchObject({ code: 'forbidden', room: 'team-red' });
  });

  rule('F1 F4 F5', 'a frame holds several messages, and a bad line spoils no other', async () => {
    const { ada } = await pair();
    ada.raw('{"t":"ping","more":1}\nnope\n[1]\n"x"\nnull\n{"t":"nope"}\n{}\n{"t":"toString"}\n{"t":"ping"}');
    await ada.all('error');
    const answers = ada.got.filter(({ t }) => t === 'error' || t === 'pong');
    expect(answers.map((answer) => ('code' in answer ? answer.code : answer.t))).toEqual([
      'pong',
      ...['not_json', 'not_json', 'not_json', 'not_json'],
      ...['unknown_type', 'unknown_type', 'unknown_type'],
      'pong',
      'pong',
    ]);
  });

  rule('F2', 'a frame of the limit is read, one more byte is 1009', async () => {
    const { ada } = await pair();
    const frame = (bytes: number) =>
      `{"t":"send","room":"r","id":"1","data":"${'x'.repeat(bytes - 42)}"}`.padEnd(bytes);
    ada.raw(frame(16_384));
    await ada.next('sent');
    ada.raw(frame(16_385));
    expect((await ada.closed).code).toBe(1009);
  });

  rule('F3', 'a binary frame is 1003', async () => {
    const { ada } = await pair();
    ada.socket.send(Buffer.from('{"t":"ping"}'));
    expect((await ada.closed).code).toBe(1003);
  });

  rule('F6', 'a bad field is named with what it belongs to', async () => {
    const { ada } = await pair();
    const cases: [object, string, object][] = [
      [{ t: 'send', room: 'r', id: 'x' }, 'bad_field', { id: 'x', room: 'r' }],
      [{ t: 'send', room: 'r', id: '', data: 1 }, 'bad_field', { room: 'r' }],
      [{ t: 'send', room: 'r', id: 7, data: 1 }, 'bad_field', { room: 'r' }],
      [{ t: 'send', room: 'r', id: 'x'.repeat(129), data: 1 }, 'bad_field', { room: 'r' }],
      [{ t: 'send', room: '', id: 'x', data: 1 }, 'bad_room', { id: 'x' }],
      [{ t: 'send', id: 'x', data: 1 }, 'bad_room', { id: 'x' }],
      [{ t: 'join', room: 'é'.repeat(65) }, 'bad_room', {}],
      [{ t: 'join', room: 'r', since: 5 }, 'bad_field', { room: 'r' }],
      [{ t: 'join', room: 'r', since: { epoch: 'e', seq: -1 } }, 'bad_field', { room: 'r' }],
      [{ t: 'join', room: 'r', since: { epoch: 'e', seq: 1.5 } }, 'bad_field', { room: 'r' }],
      [{ t: 'join', room: 'r', history: 1001 }, 'bad_field', { room: 'r' }],
      [{ t: 'signal', room: 'r' }, 'bad_field', { room: 'r' }],
      [{ t: 'history', room: 'r', before: 'x' }, 'bad_field', { room: 'r' }],
      [{ t: 'history', room: 'r', before: 1, after: 1 }, 'bad_field', { room: 'r' }],
      [{ t: 'history', room: 'r', limit: 0 }, 'bad_field', { room: 'r' }],
      [{ t: 'history', room: 'r', id: 'h', limit: 0 }, 'bad_field', { id: 'h', room: 'r' }],
      [{ t: 'history', room: 'r', id: 7 }, 'bad_field', { room: 'r' }],
      [{ t: 'history', room: 'other', id: 'h' }, 'not_member', { id: 'h', room: 'other' }],
      [{ t: 'ack', room: 'r', seq: null }, 'bad_field', { room: 'r' }],
    ];
    for (const [message, code, named] of cases) {
      ada.raw(JSON.stringify(message));
      const { message: words, retry, ...error } = await ada.next('error');
      expect(error).toEqual({ t: 'error', code, ...named });
      expect([words, retry]).toEqual([expect.any(String), false]);
    }
  });

  rule('F7', 'messages share frames of at most 256 KiB, and none is split', async () => {
    const { ada, bob } = await pair();
    const messages = Array.from(
      { length: 600 },
      (_, i): ClientMessage => ({ t: 'send', room: 'r', id: `${i}`, data: 'é'.repeat(500) }),
    );
    for (const message of messages) ada.send(message);
    await until('all came', () => bob.got.filter(({ t }) => t === 'message').length === 600);
    const frames = bob.frames.filter((frame) => frame.includes('"message"'));
    expect(frames.length).toBeLessThan(300);
    for (const frame of frames) expect(Buffer.byteLength(frame)).toBeLessThanOrEqual(262_144);
  });

  rule('R1 R2 M1 M3', 'a member gets what is said after its join, its own too, by seq', async () => {
    const { ada, bob, connect } = await pair();
    expect(await ada.say('r', 'one')).toMatchObject({ seq: 1 });
    expect(await bob.say('r', 'two')).toMatchObject({ seq: 2 });
    const late = await connect('?user=late');
    expect(await late.join('r')).toMatchObject({ seq: 2, recovered: true, count: 3 });
    await ada.say('r', 'three');
    const history = await connect('?user=history');
    expect(await history.join('r', { history: 2 })).toMatchObject({ seq: 1, recovered: true });
    await ada.say('r', 'four');
    const heard = async (peer: Peer) =>
      (await peer.all('message')).map(({ seq, data, from }) => `${seq} ${data} ${from}`);
    expect(await heard(ada)).toEqual(['1 one ada', '2 two bob', '3 three ada', '4 four ada']);
    expect(await heard(bob)).toEqual(await heard(ada));
    expect(await heard(late)).toEqual(['3 three ada', '4 four ada']);
    expect(await heard(history)).toEqual(['2 two bob', '3 three ada', '4 four ada']);
  });

  rule('R3', 'joining twice is being in once', async () => {
    const { ada } = await pair();
    await ada.say('r', 'one');
    expect(await ada.join('r', { history: 10 })).toMatchObject({ seq: 1, recovered: true, count: 2 });
    await ada.say('r', 'two');
    expect((await ada.all('message')).map(({ seq }) => seq)).toEqual([1, 2]);
  });

  rule('R4', 'leaving ends after what was said before', async () => {
    const { ada, bob } = await pair();
    bob.send({ t: 'send', room: 'r', id: '1', data: 'before' }, { t: 'leave', room: 'r' });
    await bob.next('left');
    await ada.say('r', 'after');
    expect((await bob.all('message')).map(({ data }) => data)).toEqual(['before']);
    expect(bob.got.findIndex(({ t }) => t === 'message')).toBeLessThan(bob.got.findIndex(({ t }) => t === 'left'));
  });

  rule('R5', '128 rooms are as many as there may be', async () => {
    const { connect } = await start();
    const peer = await connect();
    for (let i = 0; i < 129; i++) peer.send({ t: 'join', room: `room ${i}` });
    expect(await peer.next('error')).toMatchObject({ code: 'too_many_rooms', room: 'room 128' });
    expect(await peer.all('joined')).toHaveLength(128);
    for (let i = 0; i < 128; i++) peer.send({ t: 'send', room: `room ${i}`, id: `${i}`, data: i });
    await until('all came', () => peer.got.filter(({ t }) => t === 'message').length === 128);
    peer.send({ t: 'leave', room: 'room 0' }, { t: 'join', room: 'one more' });
    await peer.next('left');
    await peer.next('joined');
  });

  rule('R6', 'who is not in a room cannot act in it', async () => {
    const { connect } = await pair();
    const peer = await connect();
    peer.send(
      { t: 'send', room: 'r', id: 'x', data: 1 },
      { t: 'signal', room: 'r', data: 1 },
      { t: 'history', room: 'r' },
      { t: 'ack', room: 'r', seq: 0 },
      { t: 'leave', room: 'r' },
    );
    const refused = await peer.all('error');
    expect(refused.map(({ code, room, id }) => [code, room, id])).toEqual([
      ['not_member', 'r', 'x'],
      ...Array.from({ length: 4 }, () => ['not_member', 'r', undefined]),
    ]);
  });

  rule('M2', 'any JSON value arrives as it is, and what other wires say as text', async () => {
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
    const heard = once(plain, 'message');
    await lobby.say('lobby', { text: 'and\nback' });
    expect(String((await heard)[0]).split('\n')).toContain('and back');
    plain.close();
  });

  rule('M4', 'the same id of the same session is said once, across connections too', async () => {
    const { ada, bob, connect } = await pair();
    const { resume } = ada.got[0] as { resume: string };
    ada.send(...Array.from({ length: 3 }, (): ClientMessage => ({ t: 'send', room: 'r', id: 'same', data: 1 })));
    expect((await ada.all('sent')).map(({ seq, duplicate }) => [seq, duplicate])).toEqual([
      [1, undefined],
      [1, true],
      [1, true],
    ]);
    await bob.say('r', 'another sender may use the same id', 'same');
    const again = await connect(`?resume=${resume}&room=r`);
    expect(await again.say('r', 1, 'same')).toMatchObject({ seq: 1, duplicate: true });
    expect((await bob.all('message')).map(({ seq, from }) => [seq, from])).toEqual([
      [1, 'ada'],
      [2, 'bob'],
    ]);
  });

  rule('M5', 'what one client sends keeps its order, over rooms and frames', async () => {
    const { ada, bob } = await pair();
    for (let i = 0; i < 300; i++) ada.send({ t: 'send', room: 'r', id: `${i}`, data: i });
    await until('all came', () => bob.got.filter(({ t }) => t === 'message').length === 300);
    const messages = await bob.all('message');
    expect(messages.map(({ data }) => data)).toEqual(messages.map((_, i) => i));
    expect((await ada.all('sent')).map(({ id, seq }) => seq - Number(id))).toEqual(messages.map(() => 1));
  });

  rule(
    'B1 B2',
    'coming back at a place gets the rest, without a hole or a repeat, whether one saw anything or not',
    async () => {
      const { ada, bob, connect } = await pair();
      const { epoch, seq } = (await ada.all('joined'))[0] as { epoch: string; seq: number };
      for (let i = 1; i <= 2500; i++) ada.send({ t: 'send', room: 'r', id: `${i}`, data: i });
      await until('half is there', () => ada.got.filter(({ t }) => t === 'message').length > 1000);
      const [nothing, some] = [await connect(), await connect()];
      const joined = await Promise.all([
        nothing.join('r', { since: { epoch, seq } }),
        some.join('r', { since: { epoch, seq: 700 } }),
      ]);
      expect(joined).toMatchObject([
        { recovered: true, seq: 0 },
        { recovered: true, seq: 700 },
      ]);
      await until('all came', () =>
        [ada, bob, nothing].every(({ got }) => got.filter(({ t }) => t === 'message').length >= 2500),
      );
      const seqs = async (peer: Peer) => (await peer.all('message')).map(({ seq }) => seq);
      const whole = Array.from({ length: 2500 }, (_, i) => i + 1);
      expect(await seqs(nothing)).toEqual(whole);
      expect(await seqs(some)).toEqual(whole.slice(700));
    },
  );

  rule('B3', 'what is no longer kept is named exactly, what is left follows', async () => {
    const { ada, connect } = await pair({
      engine: memory({ retention: { records: 8, bytes: 1e6 } }),
      settings: smallWindow,
    });
    for (let i = 1; i <= 100; i++) await ada.say('r', i);
    const { epoch } = (await ada.all('joined'))[0] as { epoch: string };
    const back = await connect();
    const { recovered, seq } = await back.join('r', { since: { epoch, seq: 3 } });
    expect(recovered).toBe(false);
    expect(await back.next('gap')).toEqual({ t: 'gap', room: 'r', from: 4, to: seq, why: 'trimmed' });
    const seqs = (await back.all('message')).map((message) => message.seq);
    expect(seqs).toEqual(Array.from({ length: 100 - seq }, (_, i) => seq + 1 + i));
    expect(seqs.length).toBeGreaterThanOrEqual(8);
  });

  rule('B4 B5', 'another log, or a place that is not there yet, is not recovered', async () => {
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
    expect(await future.join('r', { since: { epoch, seq: 6 } })).toMatchObject({ recovered: false, seq: 5 });
    expect((await foreign.all('message')).map(({ seq }) => seq)).toEqual([4, 5]);
    expect(await future.all('message')).toEqual([]);
  });

  rule('S1', 'a signal reaches the others who are there, and is not kept', async () => {
    const { ada, bob } = await pair();
    ada.send({ t: 'signal', room: 'r', data: { typing: true } });
    expect(await bob.next('signal')).toEqual({ t: 'signal', room: 'r', from: 'ada', data: { typing: true } });
    expect(await ada.all('signal')).toEqual([]);
    expect(await ada.say('r', 'first')).toMatchObject({ seq: 1 });
  });

  rule('P1 P2 P3', 'who comes and goes is told, above the limit by number only', async () => {
    const { ada, connect } = await pair({ settings: { namedMembers: 3 } });
    await until('ada knows', () => ada.got.some((message) => message.t === 'presence' && message.count === 2));
    const third = await connect('?user=carol&room=r');
    expect(await third.next('joined')).toMatchObject({ count: 3, members: ['ada', 'bob'] });
    await until('ada knows', () => ada.got.some((message) => message.t === 'presence' && message.count === 3));
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
    await until('ada knows', () => ada.got.some((message) => message.t === 'presence' && message.count === 4));
    expect(ada.got.findLast(({ t }) => t === 'presence')).toEqual({ t: 'presence', room: 'r', count: 4 });
    fourth.socket.terminate();
    const last = () => ada.got.findLast(({ t }) => t === 'presence');
    await until('all are named again', () => 'members' in (last() ?? {}));
    expect(last()).toEqual({ t: 'presence', room: 'r', count: 3, members: ['ada', 'bob', 'carol'] });
    third.socket.terminate();
    await until('ada knows', () => 'left' in (last() ?? {}));
    expect(last()).toEqual({ t: 'presence', room: 'r', count: 2, joined: [], left: ['carol'] });
  });

  rule('P3', 'who could not be told is told the whole', async () => {
    const { bob, connect, sent } = await stalled({ settings: { sendBuffer: { records: 1e6, bytes: 1e9 } } });
    const carol = await connect('?user=carol&room=r');
    await carol.next('joined');
    bob.socket.resume();
    await until('bob has it all', () => bob.got.filter(({ t }) => t === 'message').length === sent());
    await until('bob knows', () =>
      bob.got.some((message) => message.t === 'presence' && message.members !== undefined),
    );
    const whole = bob.got.find((message) => message.t === 'presence' && message.members !== undefined);
    expect(whole).toEqual({ t: 'presence', room: 'r', count: 3, members: ['ada', 'bob', 'carol'] });
  });

  rule('H1 H2', 'history goes both ways, in frames', async () => {
    const { ada } = await pair();
    for (let i = 1; i <= 120; i++) ada.send({ t: 'send', room: 'r', id: `${i}`, data: i });
    await until('all are in', () => ada.got.filter(({ t }) => t === 'sent').length === 120);
    const ask = async (more: object) => {
      ada.send({ t: 'history', room: 'r', ...more });
      const { messages, more: there } = await ada.next('history');
      return [messages.map(({ seq }) => seq), there];
    };
    const run = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
    expect(await ask({})).toEqual([run(71, 120), true]);
    expect(await ask({ limit: 1000 })).toEqual([run(1, 120), false]);
    expect(await ask({ before: 11, limit: 5 })).toEqual([run(6, 10), true]);
    expect(await ask({ before: 6, limit: 5 })).toEqual([run(1, 5), false]);
    expect(await ask({ before: 1 })).toEqual([[], false]);
    expect(await ask({ after: 117 })).toEqual([run(118, 120), false]);
    expect(await ask({ after: 10, limit: 3 })).toEqual([run(11, 13), true]);
    expect(await ask({ after: 120 })).toEqual([[], false]);
    expect(await ask({ before: 9999, limit: 2 })).toEqual([run(119, 120), true]);
    ada.send({ t: 'history', room: 'r', id: 'mine', limit: 1 });
    expect(await ada.next('history')).toMatchObject({ id: 'mine', more: true });
    for (let i = 0; i < 20; i++) await ada.say('r', 'x'.repeat(10_000));
    const [long, there] = await ask({ limit: 20 });
    expect([(long as number[]).at(-1), (long as number[]).length < 8, there]).toEqual([140, true, true]);
    for (const text of ada.frames) expect(Buffer.byteLength(text)).toBeLessThanOrEqual(65_536);
  });

  rule('A1', 'an ack may name what was sent, not more, and is told to the server', async () => {
    const { ada, hub } = await pair();
    const shown: unknown[] = [];
    hub.events.on('shown', ({ user, room, seq }) => shown.push([user, room, seq]));
    await ada.say('r', 'one');
    await ada.next('message');
    ada.send({ t: 'ack', room: 'r', seq: 1 }, { t: 'ack', room: 'r', seq: 0 }, { t: 'ack', room: 'r', seq: 2 });
    expect((await ada.all('error')).map(({ code }) => code)).toEqual(['bad_field']);
    expect(shown).toEqual([['ada', 'r', 1]]);
  });

  rule('G1 G2', 'a ping is answered; who answers none of the server is closed with 4002', async () => {
    const { connect, hub } = await start({ limits: { pingPeriod: 40, pongWait: 200 } });
    const gone: unknown[] = [];
    hub.events.on('disconnected', ({ close: { code } }) => gone.push(code));
    const good = await connect();
    const mute = await connect();
    mute.socket.pong = () => {};
    Object.assign(mute.socket, { _autoPong: false });
    good.send({ t: 'ping' });
    expect(await good.next('pong')).toEqual({ t: 'pong' });
    expect((await mute.closed).code).toBe(4002);
    expect(good.socket.readyState).toBe(WebSocket.OPEN);
    await until('the log has it', () => gone.length > 0);
    expect(gone).toEqual([4002]);
  });

  rule('L1', 'who falls too far behind is closed with 4000, and comes back from the place it is told', async () => {
    const { bob, fill, sent, connect } = await stalled({ settings: { sendBuffer: { records: 100, bytes: 1e9 } } });
    await fill(300);
    bob.socket.resume();
    const { code, reason } = await bob.closed;
    expect(code).toBe(4000);
    const [, epoch, seq] = /resume (\S+) after (\d+)/.exec(reason) ?? [];
    const had = bob.got.filter((message) => message.t === 'message').map((message) => message.seq);
    expect(had).toEqual(Array.from({ length: Number(seq) }, (_, i) => i + 1));
    const back = await connect();
    expect(await back.join('r', { since: { epoch: epoch as string, seq: Number(seq) } })).toMatchObject({
      recovered: true,
    });
    await until('the rest came', () => back.got.filter(({ t }) => t === 'message').length === sent() - Number(seq));
  });

  rule('L2', 'who takes nothing for long is closed with 4001', async () => {
    const { hub } = await stalled({
      limits: { writeWait: 150 },
      settings: { sendBuffer: { records: 1e6, bytes: 1e9 } },
    });
    const gone: unknown[] = [];
    hub.events.on('evicted', ({ why }) => gone.push(why));
    await until('it is gone', () => gone.length > 0);
    expect(gone).toEqual([closes.writeTimeout.reason]);
  });

  rule('L3', 'a room that skips lets it go on at the head, with the gap', async () => {
    const { ada, bob, fill, sent } = await stalled({
      settings: { sendBuffer: { records: 100, bytes: 1e9 }, slow: () => 'skip' },
    });
    await fill(300);
    bob.socket.resume();
    await until('bob was told', () => bob.got.some(({ t }) => t === 'gap'));
    await ada.say('r', 'new');
    await until('bob hears again', () => bob.got.some((message) => message.t === 'message' && message.data === 'new'));
    expect(accountedFor(bob)).toEqual({ whole: sent() + 1, gaps: ['slow'] });
  });

  rule('L4', 'a room of the latest lets it go on with the newest, with the gap', async () => {
    const { bob, fill, sent } = await stalled({
      settings: { sendBuffer: { records: 100, bytes: 1e9 }, slow: () => 'latest' },
    });
    await fill(10);
    bob.socket.resume();
    await until('bob has the newest', () =>
      bob.got.some((message) => message.t === 'message' && message.seq === sent()),
    );
    expect(accountedFor(bob)).toEqual({ whole: sent(), gaps: ['slow'] });
  });

  rule(
    'L5 L6',
    'too many messages are refused with when to try again; who does not listen is closed with 4003',
    async () => {
      const { ada, connect } = await pair({ publishRate: { perSecond: 20, burst: 40 } });
      for (let i = 0; i < 60; i++) ada.send({ t: 'send', room: 'r', id: `${i}`, data: i });
      const refused = await ada.all('error');
      expect(refused.length).toBeGreaterThan(10);
      expect(refused[0]).toMatchObject({ code: 'rate_limited', retry: true, retryAfter: 1000, id: '40', room: 'r' });
      expect((await ada.all('sent')).length + refused.length).toBe(60);
      for (let i = 0; i < 200; i++) ada.send({ t: 'send', room: 'r', id: `more ${i}`, data: i });
      expect((await ada.closed).code).toBe(4003);
      const noisy = await connect();
      for (let i = 0; i < 200; i++) noisy.raw('noise');
      expect((await noisy.closed).code).toBe(1002);
    },
  );

  rule('E1 E2', 'at the end each is told when to come back', async () => {
    const { ada, keepalive } = await pair();
    for (const client of keepalive.clients) client.goAway(340);
    expect(await ada.next('drain')).toEqual({ t: 'drain', reconnectIn: 340 });
    expect((await ada.closed).code).toBe(1001);
    const said = (code: number) => [1001, 1005, 1006, 1011, 1012, 1013].includes(code) || (code >= 4000 && code < 4500);
    for (let code = 1000; code < 5000; code++) expect(comesBack(code)).toBe(said(code));
  });

  rule('E3', 'the table of errors is that of the code, and each has a sentence', async () => {
    for (const [code, { retry, message }] of Object.entries(errors)) {
      expect(specification).toMatch(new RegExp(`\\| \`${code}\` +\\| ${retry ? 'yes' : 'no'} `));
      expect(message.length).toBeGreaterThan(5);
    }
    expect(specification.match(/^\| `[a-z_]+` +\| (yes|no) /gm)).toHaveLength(Object.keys(errors).length);
  });
});

/** What memory keeps is so little that the engine's retention shows. */
const smallWindow = {
  sendBuffer: { records: 4, bytes: 1e6 },
  window: { records: 8, bytes: 1e6 },
  turn: { commands: 2, bytes: 1e6 },
  hold: { records: 2, bytes: 100 },
};

/** Counts the seqs that a peer got or was told it will not get: each once, without a hole, in order. */
function accountedFor(peer: Peer): { whole: number; gaps: string[] } {
  let next = 1;
  const gaps: string[] = [];
  for (const message of peer.got) {
    if (message.t === 'message') expect(message.seq).toBe(next++);
    if (message.t !== 'gap') continue;
    expect(message.from).toBe(next);
    next = message.to + 1;
    gaps.push(message.why);
  }
  return { whole: next - 1, gaps };
}

/** Whether anyone has lagged behind. */
function seen(events: Events): { seen: boolean } {
  const heard = { seen: false };
  events.on('lagging', () => {
    heard.seen = true;
  });
  return heard;
}

test('every rule of PROTOCOL.md has a case, and every case a rule', () => {
  expect(rules.length).toBeGreaterThan(40);
  expect(new Set(rules).size).toBe(rules.length);
  expect(rules.filter((number) => !covered.has(number))).toEqual([]);
  expect([...covered].filter((number) => !rules.includes(number))).toEqual([]);
});
