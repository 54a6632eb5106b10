import { connect, type Json, type Options, type State } from 'pumphouse/client';
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import '../../web/sdk/fallback/fallback.ts';
import { FakeHttp } from './fake-http.ts';
import { FakeSocket, lastSocket } from './fakes.ts';

let http: FakeHttp;

beforeAll(() => vi.dynamicImportSettled());
beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.all.length = 0;
  http = new FakeHttp();
});
afterEach(() => vi.useRealTimers());

/** Lets the promises of the client go on. */
const settle = async (ms = 0) => {
  await vi.advanceTimersByTimeAsync(ms);
  await vi.dynamicImportSettled();
  await vi.advanceTimersByTimeAsync(0);
};

async function start(options: Options = {}) {
  const hub = connect('https://hub.test', { WebSocket: FakeSocket, fetch: http.fetch, user: 'ada', ...options });
  const states: State[] = [];
  hub.on('state', (state) => states.push(state));
  await settle();
  return { hub, states };
}

const joined = (room: string, seq: number, overrides: object = {}) =>
  ({ t: 'joined', room, epoch: 'e', seq, recovered: true, count: 1, members: ['ada'], ...overrides }) as const;
const message = (seq: number) => ({ t: 'message', room: 'r', seq, id: '', from: 'bob', at: 1, data: seq }) as const;

/** Creates a live hub over HTTP that is a member of the room `r`. */
async function joinRoom(options: Options = {}) {
  const started = await start({ transport: 'http', ...options });
  const room = started.hub.join<Json, Json>('r');
  const received: Json[] = [];
  room.on('message', ({ seq }) => received.push(seq));
  await settle();
  http.stream.open();
  await settle();
  if (http.stream.requested.length === 0) {
    await settle(10);
    http.stream.open();
  }
  http.stream.deliver(joined('r', 0));
  await settle();
  return { ...started, room, received };
}

describe('the fallback to HTTP', () => {
  test('starts after three seconds without an open WebSocket', async () => {
    const { hub } = await start();
    await settle(2_999);
    expect(http.streams).toEqual([]);
    await settle(1);
    expect(http.streams.length).toBe(1);
    expect(lastSocket().closed).toBe(true);
    http.stream.open();
    await settle();
    expect(hub.state).toMatchObject({ name: 'live', user: 'ada', transport: 'http' });
  });

  test('does not start when a WebSocket opens in time, or with the transport websocket', async () => {
    await start();
    lastSocket().onopen?.({} as never);
    await settle(9_000);
    await start({ transport: 'websocket' });
    await settle(9_000);
    expect(http.streams).toEqual([]);
  });

  test('starts after 15 seconds of reconnecting, and tries a WebSocket first in each attempt', async () => {
    const { hub } = await start();
    lastSocket().onopen?.({} as never);
    lastSocket().welcome();
    lastSocket().disconnect();
    await settle(16_000);
    const socket = lastSocket();
    expect([socket.resume, http.streams.length]).toEqual(['secret', 0]);
    socket.disconnect();
    await settle();
    expect(http.stream.headers.get('pumphouse-session')).toBe('secret');
    http.stream.open();
    await settle();
    expect(hub.state).toMatchObject({ name: 'live', transport: 'http' });
  });

  test('tries a WebSocket again after an attempt over HTTP that failed', async () => {
    await start();
    await settle(3_000);
    http.stream.refuse(502, {});
    await settle(1_000);
    const sockets = FakeSocket.all.length;
    expect(sockets).toBe(2);
    await settle(3_000);
    expect(http.streams.length).toBe(2);
  });

  test('returns to a WebSocket after 30 seconds, and delivers each message once', async () => {
    const { hub, states } = await start();
    const room = hub.join<Json>('r');
    const received: number[] = [];
    room.on('message', ({ seq }) => received.push(seq));
    await settle(3_000);
    http.stream.open();
    http.stream.deliver(joined('r', 0), message(1));
    await settle();
    const sent = room.send('mine');
    await settle(29_999);
    const before = FakeSocket.all.length;
    await settle(1);
    const probe = lastSocket();
    expect([FakeSocket.all.length, probe.resume]).toEqual([before + 1, undefined]);
    probe.onopen?.({} as never);
    const socket = lastSocket();
    expect([probe.closed, socket.resume]).toEqual([true, 'secret']);
    http.stream.deliver(message(2));
    await settle();
    http.stream.write('event: close\ndata: {"code":4500,"reason":"taken over"}\n\n');
    await settle();
    expect(hub.state.name).toBe('live');
    socket.welcome();
    expect(hub.state).toMatchObject({ name: 'live', transport: 'websocket' });
    expect(socket.take('join')).toEqual([{ t: 'join', room: 'r', since: { epoch: 'e', seq: 2 } }]);
    socket.deliver(joined('r', 2), message(3));
    expect(received).toEqual([1, 2, 3]);
    // The message whose answer was lost is sent again, with its id.
    const [again] = socket.take('send');
    expect(again).toMatchObject({ id: (http.post.messages[0] as { id: string }).id });
    socket.deliver({ t: 'sent', room: 'r', id: again?.id as string, seq: 4, duplicate: true });
    expect(await sent).toBe(4);
    expect(states.map(({ name }) => name)).not.toContain('refused');
  });

  test('keeps the stream when the WebSocket does not open, or opens and fails', async () => {
    const { hub } = await start();
    await settle(3_000);
    http.stream.open();
    /** Lets 30 seconds pass in which the server shows that the stream is alive. */
    const wait = async () => {
      for (let i = 0; i < 3; i++) {
        await settle(10_000);
        http.stream.write(':\n\n');
      }
    };
    await wait();
    lastSocket().disconnect();
    await wait();
    const probe = lastSocket();
    probe.onopen?.({} as never);
    expect(lastSocket()).not.toBe(probe);
    lastSocket().disconnect(1006);
    await settle();
    expect([hub.state.name, http.streams.length, http.stream.isClosed]).toEqual(['live', 1, false]);
  });
});

describe('a connection over HTTP', () => {
  test('reopens its stream for a join, and repeats nothing (W1)', async () => {
    const { hub, room, received } = await joinRoom();
    const events: unknown[] = [];
    room.on('joined', (event) => events.push(event));
    http.stream.deliver(message(1));
    await settle();
    hub.join('other');
    await settle(10);
    const [, joins] = [http.streams.at(-2), http.stream.requested];
    expect(joins).toEqual([
      { t: 'join', room: 'r', since: { epoch: 'e', seq: 1 } },
      { t: 'join', room: 'other' },
    ]);
    // What the old stream still brings comes again over the next one.
    http.streams.at(-2)?.deliver(message(2));
    await settle();
    expect(received).toEqual([1]);
    http.stream.open();
    http.stream.deliver(joined('r', 1, { count: 2, members: ['ada', 'bob'] }), message(2), joined('other', 0));
    await settle();
    expect([received, room.members, events]).toEqual([[1, 2], ['ada', 'bob'], []]);
    expect(http.streams.at(-2)?.isClosed).toBe(true);
  });

  test('sends one request at a time, and repeats it with the same ids', async () => {
    const { room } = await joinRoom();
    const results = [room.send('a'), room.send('b')];
    room.signal('typing');
    await settle();
    const ids = http.post.messages.map((each) => 'id' in each && each.id);
    expect(http.post.messages.map(({ t }) => t)).toEqual(['send', 'send', 'signal']);
    const third = room.send('c');
    await settle();
    expect(http.posts.length).toBe(1);
    http.post.fail();
    await settle(1_000);
    expect(http.post.messages).toMatchObject([{ id: ids[0] }, { id: ids[1] }, { t: 'send', data: 'c' }]);
    http.post.refuse(503, { 'retry-after': '2' });
    await settle(1_999);
    expect(http.posts.length).toBe(2);
    await settle(1);
    http.post.answer(
      ...http.post.messages.map(
        (each, i) => ({ t: 'sent', room: 'r', id: (each as { id: string }).id, seq: i + 1 }) as const,
      ),
    );
    expect(await Promise.all([...results, third])).toEqual([1, 2, 3]);
  });

  test('renews its token by reopening its stream, and sends it with each request', async () => {
    let tokens = 0;
    const { hub } = await start({ transport: 'http', token: () => `token-${++tokens}` });
    await settle();
    expect(http.stream.headers.get('authorization')).toBe('Bearer token-1');
    http.stream.open({ expiresIn: 20 });
    await settle(16_000);
    expect(http.streams.length).toBe(2);
    expect(http.stream.headers.get('authorization')).toBe('Bearer token-2');
    http.stream.open({ expiresIn: 20 });
    await settle();
    expect([hub.state.name, http.streams[0]?.isClosed]).toEqual(['live', true]);
    await settle(16_000);
    expect(http.stream.headers.get('authorization')).toBe('Bearer token-3');
  });

  test.each([
    [401, { type: '/problems#unauthorized', detail: 'no token' }, {}, { name: 'refused', code: 4501, why: 'no token' }],
    [403, { type: '/problems#forbidden', detail: 'banned' }, {}, { name: 'refused', code: 4503, why: 'banned' }],
    [503, { type: '/problems#draining', detail: 'bye' }, {}, { name: 'reconnecting', code: 1001, why: 'bye' }],
    [
      503,
      { type: '/problems#busy', detail: 'full' },
      { 'retry-after': '7' },
      { name: 'waiting', in: 7000, code: 4005 },
    ],
    [429, { type: '/problems#x', detail: 'often' }, { 'retry-after': '3' }, { name: 'waiting', in: 3000, code: 4005 }],
    [
      503,
      { type: '/problems#unavailable', detail: 'x' },
      { 'retry-after': '5' },
      { name: 'waiting', in: 5000, code: 4006 },
    ],
  ])('maps the status %i to the state of a close code', async (status, problem, headers, state) => {
    const { hub } = await start({ transport: 'http' });
    await settle();
    http.stream.refuse(status, problem, headers);
    await settle();
    expect(hub.state).toMatchObject(state);
  });

  test('reconnects when its stream ends, at once or with a close code', async () => {
    const { hub } = await joinRoom();
    http.stream.write('event: close\n', 'data: {"code":4000,', '"reason":"reading too slowly"}\n\n');
    await settle();
    expect(hub.state).toMatchObject({ name: 'reconnecting', code: 4000, why: 'reading too slowly' });
    await settle(500);
    expect(http.stream.requested).toEqual([{ t: 'join', room: 'r', since: { epoch: 'e', seq: 0 } }]);
    http.stream.open();
    await settle();
    http.stream.end();
    await settle();
    expect(hub.state).toMatchObject({ name: 'reconnecting', code: 1006 });
  });

  test('reopens a silent stream, and gives it up if that fails', async () => {
    const { hub } = await joinRoom();
    for (let i = 0; i < 3; i++) {
      await settle(25_000);
      http.stream.write(':\n\n');
    }
    await settle(34_000);
    const streams = http.streams.length;
    await settle(2_000);
    expect(http.streams.length).toBe(streams + 1);
    await settle(10_000);
    expect(hub.state.name).not.toBe('live');
  });
});
