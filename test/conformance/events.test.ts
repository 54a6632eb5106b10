import { connect as connectTcp } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { SignJWT } from 'jose';
import { afterEach, describe, expect, test } from 'vitest';
import { jwtAuthenticator, secretKey } from '../../src/auth/jwt.ts';
import { memory } from '../../src/engine/memory.ts';
import type { Engine } from '../../src/hub/engine.ts';
import type { ServerMessage } from '../../src/protocol/v1.ts';
import type { EventReader } from '../events/reader.ts';
import { until } from '../integration/server.ts';
import { variants } from '../workers/variants.ts';
import { type Options, serve } from './server.ts';

const SECRET = 'a secret of at least thirty-two bytes';
const authenticator = jwtAuthenticator(secretKey(SECRET));

function token(claims: Record<string, unknown>, seconds = 60): Promise<string> {
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime(Math.floor(Date.now() / 1000) + seconds)
    .sign(Buffer.from(SECRET));
}

/** Defines the test of some rules of PROTOCOL.md. @param numbers separated by spaces. */
function rule(numbers: string, behaviour: string, run: () => Promise<void>): void {
  test(`${numbers}: ${behaviour}`, run);
}

const bearer = (value: string) => ({ headers: { authorization: `Bearer ${value}` } });
const lines = (...messages: object[]) => messages.map((message) => JSON.stringify(message)).join('\n');

describe.each(variants)('events over HTTP on $name', (variant) => {
  let close: () => Promise<void> = async () => {};
  const readers: EventReader[] = [];
  afterEach(async () => {
    for (const reader of readers.splice(0)) reader.close();
    await close();
  });

  const start = async (options: Options = {}) => {
    const server = await serve(variant, options);
    close = server.close;
    const stream = async (path: string, init?: RequestInit) => {
      const reader = await server.stream(path, init);
      readers.push(reader);
      return reader;
    };
    const session = (query: string, init: RequestInit = {}) =>
      stream(`session/events${query}`, { method: 'POST', ...init });
    return { ...server, stream, session };
  };

  const messageOf = <T extends ServerMessage['t']>(reader: EventReader, t: T) =>
    reader.messages().find((message): message is Extract<ServerMessage, { t: T }> => message.t === t);

  rule('V1', 'streams the room of the path to a member of it', async () => {
    const { stream, connect } = await start();
    const room = 'räume/1 & more';
    const peer = await connect('?user=ada');
    await peer.join(room);
    const reader = await stream(`rooms/${encodeURIComponent(room)}/events?user=bob`);
    expect(reader.status).toBe(200);
    expect(Object.fromEntries(reader.headers)).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store, no-transform',
      'x-accel-buffering': 'no',
    });
    expect(JSON.parse((await reader.next('joined')).data)).toMatchObject({ t: 'joined', room, seq: 0, count: 2 });
    await until('ada learns of bob', () =>
      peer.got.some((message) => message.t === 'presence' && message.joined?.includes('bob')),
    );
    reader.close();
    await until('ada learns that bob has left', () =>
      peer.got.some((message) => message.t === 'presence' && message.left?.includes('bob')),
    );
  });

  rule('V1', 'answers 400 for an invalid room, user or history', async () => {
    const { stream } = await start();
    for (const path of ['rooms/%FF/events', `rooms/${'x'.repeat(129)}/events`, 'rooms/r/events?history=1001']) {
      expect([path, (await stream(path)).status]).toEqual([path, 400]);
    }
    expect((await stream(`rooms/r/events?user=${'x'.repeat(65)}`)).status).toBe(400);
    expect((await stream('rooms/r/events?history=x')).status).toBe(400);
  });

  rule('V2', 'sends a message as an event whose id is its place and whose data is one line', async () => {
    const { stream, connect } = await start();
    const peer = await connect('?user=ada&room=r');
    const { epoch } = await peer.next('joined');
    const reader = await stream('rooms/r/events');
    await reader.next('joined');
    const data = { text: 'two\nlines\r\u2028', ok: [1, null] };
    await peer.say('r', data, 'a1');
    peer.raw('{"t":"send","room":"r","id":"a2","data":{"a":\r1}}');
    const { id, data: json } = await reader.next('message');
    expect([id, JSON.parse(json)]).toEqual([
      `${epoch}:1`,
      { t: 'message', room: 'r', seq: 1, id: 'a1', from: 'ada', at: expect.any(Number), data },
    ]);
    expect(JSON.parse((await reader.next('message')).data)).toMatchObject({ seq: 2, data: { a: 1 } });
  });

  rule('V3', 'sends presence and signals as named events', async () => {
    const { stream, connect } = await start();
    const reader = await stream('rooms/r/events?user=bob');
    const joined = await reader.next('joined');
    expect(joined.id).toBe(`${JSON.parse(joined.data).epoch}:0`);
    const peer = await connect('?user=ada&room=r');
    await until('bob learns of ada', () => reader.all('presence').some(({ joined }) => `${joined}`.includes('ada')));
    peer.send({ t: 'signal', room: 'r', data: 'typing' });
    expect(JSON.parse((await reader.next('signal')).data)).toEqual({
      t: 'signal',
      room: 'r',
      from: 'ada',
      data: 'typing',
    });
  });

  rule('V4', 'sends what a reader missed, by the last id or by after, each once', async () => {
    const { stream, connect } = await start();
    const peer = await connect('?user=ada&room=r');
    await peer.next('joined');
    const first = await stream('rooms/r/events');
    const { id: atJoin } = await first.next('joined');
    first.close();
    for (let i = 1; i <= 5; i++) await peer.say('r', i);
    const second = await stream('rooms/r/events', { headers: { 'last-event-id': atJoin } });
    for (let i = 1; i <= 5; i++) await second.next('message');
    const { id } = second.events.filter(({ name }) => name === 'message')[2] as { id: string };
    const third = await stream(`rooms/r/events?after=${id}&history=5`);
    await peer.say('r', 6);
    await until('the rest arrives', () => third.all().length === 3);
    expect(third.all().map(({ data }) => data)).toEqual([4, 5, 6]);
    const both = await stream(`rooms/r/events?after=${atJoin}`, { headers: { 'last-event-id': id } });
    await until('the rest arrives', () => both.all().length === 3);
    expect(
      JSON.parse((await stream('rooms/r/events?history=2').then((each) => each.next('joined'))).data),
    ).toMatchObject({
      seq: 4,
    });
  });

  rule('V4', 'answers 400 for an id that is no place', async () => {
    const { stream } = await start();
    for (const id of ['7', ':7', 'epoch:', 'epoch:-1', 'epoch:1.5', 'epoch:9007199254740992', `${'e'.repeat(129)}:1`]) {
      const reader = await stream('rooms/r/events', { headers: { 'last-event-id': id } });
      expect([id, reader.status]).toEqual([id, 400]);
      expect(await reader.json()).toMatchObject({ detail: 'Last-Event-ID must be EPOCH:SEQ, the id of an event' });
      const after = await stream(`rooms/r/events?after=${id}`);
      expect(await after.json()).toMatchObject({ status: 400, detail: 'after must be EPOCH:SEQ, the id of an event' });
    }
  });

  rule('V4', 'names what is missing in a gap, for another epoch and for a trimmed log', async () => {
    const { stream, connect } = await start({
      engine: memory({ retention: { records: 8, bytes: 1e6 } }),
      settings: smallWindow,
    });
    const peer = await connect('?user=ada&room=r');
    const { epoch } = await peer.next('joined');
    for (let i = 1; i <= 100; i++) await peer.say('r', i);
    const other = await stream('rooms/r/events?after=another:7');
    expect(JSON.parse((await other.next('joined')).data)).toMatchObject({ recovered: false });
    expect(JSON.parse((await other.next('gap')).data)).toMatchObject({ from: 1, to: 100, why: 'epoch' });
    const late = await stream(`rooms/r/events?after=${epoch}:1`);
    expect(JSON.parse((await late.next('joined')).data)).toMatchObject({ recovered: false });
    const gap = JSON.parse((await late.next('gap')).data);
    expect(gap).toEqual({ t: 'gap', room: 'r', from: 2, to: gap.to, why: 'trimmed' });
    await until('the rest arrives', () => late.all().length === 100 - gap.to);
    expect(late.all().map(({ seq }) => seq)).toEqual(Array.from({ length: 100 - gap.to }, (_, i) => gap.to + 1 + i));
  });

  rule('V5', 'sets the time to reconnect at the start, and to that of a drain', async () => {
    const { stream, clients } = await start();
    const reader = await stream('rooms/r/events');
    await reader.next('joined');
    expect(reader.retry).toBeGreaterThanOrEqual(1000);
    expect(reader.retry).toBeLessThanOrEqual(2000);
    for (const client of clients()) client.goAway(7340);
    expect(JSON.parse((await reader.next('drain')).data)).toEqual({ t: 'drain', reconnectIn: 7340 });
    expect(reader.retry).toBeGreaterThanOrEqual(8340);
    expect(reader.retry).toBeLessThanOrEqual(9340);
    expect(JSON.parse((await reader.next('close')).data)).toEqual({
      code: 1001,
      reason: 'the server is shutting down',
    });
    expect(await reader.ended).toBe(true);
  });

  rule('V6', 'ends with the code and the reason of the close', async () => {
    const { stream } = await start({ authenticator });
    const reader = await stream('rooms/r/events', bearer(await token({ sub: 'ada' }, 2)));
    expect(JSON.parse((await reader.next('close')).data)).toMatchObject({ code: 4004 });
    expect(await reader.ended).toBe(true);
    expect(reader.events.at(-1)?.name).toBe('close');
  });

  rule('V6', 'ends with an error before the close when the room cannot be reached', async () => {
    const engine: Engine = memory();
    const attach = engine.attach.bind(engine);
    engine.attach = (room) => (room === 'r' ? Promise.reject(new Error('no store')) : attach(room));
    const { stream } = await start({ engine });
    const reader = await stream('rooms/r/events');
    expect(JSON.parse((await reader.next('error')).data)).toMatchObject({ t: 'error', code: 'unavailable', room: 'r' });
    expect(JSON.parse((await reader.next('close')).data)).toMatchObject({ code: 4006 });
    expect(await reader.ended).toBe(true);
  });

  rule('V7', 'takes a token from the header or the query, and refuses others', async () => {
    const { stream, session } = await start({ authenticator });
    const valid = await token({ sub: 'ada' });
    const reader = await stream(`rooms/r/events?user=eve&token=${valid}`);
    await until('ada is a member', () => reader.all('presence').some(({ joined }) => `${joined}` === 'ada'));
    expect((await stream('rooms/r/events', bearer(valid))).status).toBe(200);
    for (const refused of [await stream('rooms/r/events'), await stream('rooms/r/events?token=x'), await session('')]) {
      expect(refused.status).toBe(401);
      expect(refused.headers.get('www-authenticate')).toBe('Bearer');
      expect(refused.headers.get('content-type')).toBe('application/problem+json');
      expect(await refused.json()).toMatchObject({ status: 401, title: 'Not signed in' });
    }
  });

  rule('V7', 'refuses by hooks, grants, origins and limits with their statuses', async () => {
    const { stream, session } = await start({
      authenticator,
      connections: { perAddress: 1 },
      hooks: {
        connect: ({ query }) => (query.has('unwanted') ? 'not you' : query.has('broken') ? Promise.reject(0) : true),
        join: (_, room) => room !== 'staff' || 'for the staff',
      },
    });
    const init = bearer(await token({ sub: 'ada', rooms: [{ name: 'r*' }, { name: 'staff' }] }));
    const origin = { headers: { ...init.headers, origin: 'https://other.example' } };
    const statusOf = async (refused: EventReader) => [refused.status, (await refused.json())['detail']];
    expect(await statusOf(await stream('rooms/r/events?unwanted', init))).toEqual([403, 'not you']);
    expect(await statusOf(await stream('rooms/r/events?broken', init))).toEqual([
      503,
      'the server cannot decide about this connection',
    ]);
    expect(await statusOf(await stream('rooms/x/events', init))).toEqual([403, 'not allowed']);
    expect(await statusOf(await stream('rooms/staff/events', init))).toEqual([403, 'for the staff']);
    expect(await statusOf(await stream('rooms/r/events', origin))).toEqual([403, 'this origin is not allowed']);
    expect(await statusOf(await session('?unwanted', init))).toEqual([403, 'not you']);
    const reader = await stream('rooms/r/events', init);
    await reader.next('joined');
    const limited = await stream('rooms/r/events', init);
    expect([limited.status, limited.headers.get('retry-after')]).toEqual([429, '1']);
  });

  rule('V7', 'answers the page of an allowed origin with headers that let it read', async () => {
    const origin = 'https://page.example';
    const { stream, port } = await start({ origins: [origin] });
    const reader = await stream('rooms/r/events', { headers: { origin } });
    expect(reader.headers.get('access-control-allow-origin')).toBe(origin);
    const refused = await stream('rooms/r/events?after=x', { headers: { origin } });
    expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([400, origin]);
    const preflight = { method: 'OPTIONS', headers: { origin } };
    const answer = await fetch(`http://127.0.0.1:${port}/api/v1/session/events`, preflight);
    expect([answer.status, answer.headers.get('access-control-allow-methods')]).toEqual([204, 'POST']);
  });

  rule('V7', 'refuses with 503 while the server shuts down', async () => {
    let draining = false;
    const { stream, session } = await start({ draining: () => draining });
    draining = true;
    for (const refused of [await stream('rooms/r/events'), await session('')]) {
      expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
      expect(await refused.json()).toMatchObject({ type: '/problems#draining' });
    }
  });

  rule('V7', 'answers an EventSource that may come back with a stream that ends', async () => {
    let draining = false;
    const { stream, clients } = await start({
      connections: { perAddress: 1 },
      draining: () => draining,
      hooks: { connect: ({ query }) => (query.has('broken') ? Promise.reject(0) : !query.has('unwanted')) },
    });
    const init = { headers: { accept: 'text/event-stream' } };
    const reader = await stream('rooms/r/events', init);
    await reader.next('joined');
    const closeOf = async (refused: EventReader) => {
      expect([refused.status, await refused.ended]).toEqual([200, true]);
      expect(refused.retry).toBeGreaterThanOrEqual(1000);
      return [...refused.all('error').map(({ code }) => code), ...refused.all('close').map(({ code }) => code)];
    };
    expect(await closeOf(await stream('rooms/r/events', init))).toEqual(['too_many_connections', 4005]);
    reader.close();
    await until('the reader is gone', () => clients().size === 0);
    expect((await stream('rooms/r/events?unwanted', init)).status).toBe(403);
    expect(await closeOf(await stream('rooms/r/events?broken', init))).toEqual(['unavailable', 4006]);
    draining = true;
    expect(await closeOf(await stream('rooms/r/events', init))).toEqual([1001]);
  });

  rule('V8', 'sends comments while nothing happens', async () => {
    const { stream } = await start({ limits: { pingPeriod: 50, pongWait: 60 } });
    const reader = await stream('rooms/r/events');
    await until('comments arrive', () => reader.comments >= 4);
    expect(reader.all('close')).toEqual([]);
  });

  rule('V9', 'runs the messages of the body after welcome, in order', async () => {
    const { session } = await start();
    const body = lines(
      { t: 'join', room: 'a' },
      { t: 'send', room: 'a', id: '1', data: 1 },
      { t: 'nonsense' },
      { t: 'send', room: 'b', id: '2', data: 2 },
      { t: 'ping' },
    );
    const reader = await session('?user=ada&room=b', { body: `${body}\n` });
    await until('all answers arrive', () => reader.messages().filter(({ t }) => t === 'message').length === 2);
    expect(messageOf(reader, 'welcome')).toMatchObject({ user: 'ada', resume: expect.any(String), heartbeat: 25 });
    expect(reader.messages()[0]?.t).toBe('welcome');
    expect(messageOf(reader, 'error')).toMatchObject({ code: 'unknown_type' });
    expect(messageOf(reader, 'pong')).toBeDefined();
    expect(reader.messages().filter(({ t }) => t === 'sent')).toHaveLength(2);
  });

  rule('V9', 'takes the token of an auth in the body', async () => {
    const { session } = await start({ authenticator });
    const body = (value: string) => ({ body: lines({ t: 'auth', token: value }, { t: 'join', room: 'r' }) });
    const reader = await session('', body(await token({ sub: 'ada' })));
    await until('it has joined', () => messageOf(reader, 'joined') !== undefined);
    expect(messageOf(reader, 'welcome')).toMatchObject({ user: 'ada', expiresIn: 59 });
    expect(messageOf(reader, 'error')).toBeUndefined();
    expect((await session('', body('x'))).status).toBe(401);
  });

  rule('V9', 'refuses a body that is too long or not UTF-8', async () => {
    const { session } = await start();
    expect((await session('', { body: 'x'.repeat(64 * 1024 + 1) })).status).toBe(413);
    expect((await session('', { body: new Uint8Array([0xff, 0xfe]) })).status).toBe(400);
  });

  rule('V9 V10', 'streams a hundred rooms to one session, in frames', async () => {
    const { session, connect } = await start();
    const rooms = Array.from({ length: 100 }, (_, i) => `room ${i}`);
    const peer = await connect('?user=ada');
    for (const room of rooms) await peer.join(room);
    for (const room of rooms) peer.send({ t: 'send', room, id: room, data: 0 });
    await until('all are stored', () => peer.got.filter(({ t }) => t === 'sent').length === 100);
    const reader = await session('', { body: lines(...rooms.map((room) => ({ t: 'join', room, history: 1 }))) });
    await until('it has every message', () => reader.messages().filter(({ t }) => t === 'message').length === 100);
    expect(new Set(reader.messages().map((message) => 'room' in message && message.room)).size).toBe(101);
    const burst = Array.from({ length: 50 }, (_, i) => ({ t: 'send', room: 'room 7', id: `b${i}`, data: i }) as const);
    peer.send(...burst);
    await until('it has the burst', () => reader.messages().filter(({ t }) => t === 'message').length === 150);
    const frames = reader.events.filter(({ data }) => data.includes('"id":"b'));
    expect(frames.length).toBeLessThan(50);
    const numbers = frames.flatMap(({ data }) => data.split('\n').map((line) => JSON.parse(line).data));
    expect(numbers).toEqual(burst.map(({ data }) => data));
  });

  rule('V11', 'resumes a session, and closes its older connection of either kind', async () => {
    const { session, connect } = await start();
    const first = await session('?user=ada', { body: lines({ t: 'join', room: 'r' }) });
    await until('it is welcome', () => messageOf(first, 'welcome') !== undefined);
    const { session: id, resume } = messageOf(first, 'welcome') as Extract<ServerMessage, { t: 'welcome' }>;
    const second = await session('', { headers: { authorization: `Session ${resume}` } });
    await until('it is welcome', () => messageOf(second, 'welcome') !== undefined);
    expect(messageOf(second, 'welcome')).toMatchObject({ session: id, user: 'ada' });
    expect(JSON.parse((await first.next('close')).data)).toMatchObject({ code: 4500 });
    const socket = await connect('', [`resume.${resume}`]);
    expect(await socket.next('welcome')).toMatchObject({ session: id });
    expect(JSON.parse((await second.next('close')).data)).toMatchObject({ code: 4500 });
    const third = await session('', { headers: { 'pumphouse-session': resume } });
    expect(await socket.closed).toMatchObject({ code: 4500 });
    await until('it is welcome', () => messageOf(third, 'welcome') !== undefined);
    expect(messageOf(third, 'welcome')).toMatchObject({ session: id });
  });

  rule('V12', 'answers HEAD, other methods and other types without a stream', async () => {
    const { stream, clients } = await start();
    const head = await stream('rooms/r/events', { method: 'HEAD' });
    expect([head.status, head.headers.get('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8']);
    const posted = await stream('rooms/r/events', { method: 'POST' });
    expect([posted.status, posted.headers.get('allow')]).toEqual([405, 'OPTIONS, GET, HEAD']);
    const got = await stream('session/events');
    expect([got.status, got.headers.get('allow')]).toEqual([405, 'OPTIONS, POST']);
    expect((await stream('rooms/r/events', { headers: { accept: 'application/json' } })).status).toBe(406);
    for (const accept of ['text/event-stream', 'text/*;q=0.5', 'application/json, */*;q=0.1']) {
      expect((await stream('rooms/r/events?history=x', { headers: { accept } })).status).toBe(400);
    }
    expect(clients().size).toBe(0);
  });

  rule('V8', 'closes a reader that is too far behind with the place to resume from', async () => {
    const { port, connect, stream, hub } = await start({ settings: { sendBuffer: { records: 100, bytes: 1e9 } } });
    const peer = await connect('?user=ada&room=r');
    await peer.next('joined');
    const slow = await slowReader(port, 'r');
    let lagging = false;
    const evictions: { epoch: string; seq: number }[] = [];
    hub.events.on('lagging', () => {
      lagging = true;
    });
    hub.events.on('evicted', (eviction) => void evictions.push(eviction));
    let sent = 0;
    for (; evictions.length === 0 && sent < 20_000; ) {
      for (const end = sent + 25; sent < end; sent++) {
        peer.send({ t: 'send', room: 'r', id: `${sent}`, data: `${sent} `.padEnd(8000, '.') });
      }
      await until('they are stored', () => peer.got.filter(({ t }) => t === 'sent').length === sent);
    }
    expect([lagging, evictions.length]).toEqual([true, 1]);
    const { epoch, seq } = evictions[0] as { epoch: string; seq: number };
    const { text, ended } = await slow.rest();
    const seqs = [...text.matchAll(/^data: \{"t":"message","room":"r","seq":(\d+)/gm)].map(([, each]) => Number(each));
    expect(seqs).toEqual(Array.from({ length: seq }, (_, i) => i + 1));
    expect(ended).toBe(true);
    expect(text).toMatch(new RegExp(`event: close\\ndata: .*4000.*resume ${epoch} after ${seq}`));
    const reader = await stream('rooms/r/events', { headers: { 'last-event-id': `${epoch}:${seq}` } });
    await until('the rest arrives', () => reader.all().length === sent - seq);
    expect(reader.all()[0]).toMatchObject({ seq: seq + 1 });
    peer.socket.terminate();
  });

  rule('V8', 'closes a reader that accepts nothing for writeWait, and skips where the policy is skip', async () => {
    const { port, connect, hub } = await start({
      limits: { writeWait: 150 },
      settings: { sendBuffer: { records: 1e6, bytes: 1e9 } },
    });
    const peer = await connect('?user=ada&room=r');
    await peer.next('joined');
    await slowReader(port, 'r');
    const reasons: string[] = [];
    hub.events.on('evicted', ({ why }) => void reasons.push(why));
    for (let sent = 0; reasons.length === 0 && sent < 20_000; sent += 25) {
      for (let i = 0; i < 25; i++) peer.send({ t: 'send', room: 'r', id: `${sent + i}`, data: '.'.repeat(8000) });
      await until('they are stored', () => peer.got.filter(({ t }) => t === 'sent').length === sent + 25);
    }
    expect(reasons).toEqual(['took nothing for too long']);
  });

  rule('V8', 'continues a slow reader at the head with a gap where the policy is skip', async () => {
    const { port, connect, hub } = await start({
      settings: { sendBuffer: { records: 100, bytes: 1e9 }, slow: () => 'skip' },
    });
    const peer = await connect('?user=ada&room=r');
    await peer.next('joined');
    const slow = await slowReader(port, 'r');
    let lagging = false;
    hub.events.on('lagging', () => {
      lagging = true;
    });
    let sent = 0;
    const fill = async (count: number) => {
      for (const end = sent + count; sent < end; sent++) {
        peer.send({ t: 'send', room: 'r', id: `${sent}`, data: `${sent} `.padEnd(8000, '.') });
      }
      await until('they are stored', () => peer.got.filter(({ t }) => t === 'sent').length === sent);
    };
    while (!lagging) await fill(50);
    for (let i = 0; i < 6; i++) await fill(50);
    const { text } = await slow.rest((text) => text.includes('event: gap'));
    let next = 1;
    for (const [, json] of text.matchAll(/^data: (\{"t":"(?:message|gap)".*\})$/gm)) {
      const message = JSON.parse(json as string);
      if (message.t === 'message') expect(message.seq).toBe(next++);
      else {
        expect(message).toMatchObject({ from: next, why: 'slow' });
        next = message.to + 1;
      }
    }
    expect(next).toBe(sent + 1);
  });
});

/** Limits small enough that the log is trimmed. */
const smallWindow = {
  sendBuffer: { records: 4, bytes: 1e6 },
  window: { records: 8, bytes: 1e6 },
  turn: { commands: 2, bytes: 1e6 },
  hold: { records: 2, bytes: 100 },
};

/** Opens a stream with a reader that reads nothing until `rest`. */
async function slowReader(port: number, room: string) {
  const tcp = connectTcp({ port, host: '127.0.0.1' });
  tcp.pause();
  tcp.on('error', () => {});
  tcp.write(`GET /api/v1/rooms/${room}/events HTTP/1.1\r\nHost: a\r\n\r\n`);
  await sleep(100);
  /** Reads up to the end of the response, or until `done`. */
  const rest = async (done: (text: string) => boolean = () => false) => {
    const chunks: Buffer[] = [];
    tcp.on('data', (chunk) => chunks.push(chunk));
    tcp.resume();
    const last = () => String(chunks.at(-1) ?? '');
    await until('the stream ends', () => last().endsWith('\r\n0\r\n\r\n') || done(last()));
    const ended = last().endsWith('\r\n0\r\n\r\n');
    tcp.destroy();
    return { text: unchunk(Buffer.concat(chunks)), ended };
  };
  return { rest };
}

function unchunk(bytes: Buffer): string {
  const chunks: Buffer[] = [];
  for (let at = bytes.indexOf('\r\n\r\n') + 4; at < bytes.length; ) {
    const end = bytes.indexOf('\r\n', at);
    const length = Number.parseInt(bytes.toString('latin1', at, end), 16);
    if (!(length > 0)) break;
    chunks.push(bytes.subarray(end + 2, end + 2 + length));
    at = end + 2 + length + 2;
  }
  return Buffer.concat(chunks).toString();
}
