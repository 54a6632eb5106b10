import { connect, type Options, type State } from 'pumphouse/client';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { ErrorMessage, Json } from '../../src/protocol/v1.ts';
import { loadWebSocket } from '../../web/sdk/fallback/fallback.ts';
import { FakeSocket, lastSocket, MemoryStore } from './fakes.ts';

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.all.length = 0;
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

/**
 * Creates a hub and waits until it has opened its socket. It stays with WebSockets, however long
 * the test lets them wait: fallback.test.ts is about the way around them.
 */
async function connectHub(options: Options = {}, url = 'http://hub.test') {
  const hub = connect(url, { WebSocket: FakeSocket, transport: 'websocket', ...options });
  const states: State[] = [];
  hub.on('state', (state) => states.push(state));
  await vi.advanceTimersByTimeAsync(0);
  return { hub, states, names: () => states.map(({ name }) => name) };
}

const joined = (room: string, seq: number, overrides: object = {}) =>
  ({ t: 'joined', room, epoch: 'e', seq, recovered: true, count: 1, members: ['ada'], ...overrides }) as const;
const message = (seq: number, data: Json = seq, id = '') =>
  ({ t: 'message', room: 'r', seq, id, from: 'bob', at: 1, data }) as const;
const rejection = (id: string, code: ErrorMessage['code'], retry: boolean) =>
  ({ t: 'error', code, message: code, retry, ...(retry && { retryAfter: 1000 }), id, room: 'r' }) as const;

/** Creates a live hub that is a member of the room `r`. */
async function joinRoom(options: Options = {}) {
  const connected = await connectHub(options);
  const room = connected.hub.join<Json, Json>('r');
  lastSocket().welcome();
  lastSocket().deliver(joined('r', 0));
  return { ...connected, room };
}

/** Rejects the handshake as the server does when it has too many connections. */
function rejectHandshake(retryAfter: number, code = 4005, reason = 'too many connections') {
  const error = { t: 'error', code: 'too_many_connections', message: 'too many', retry: true, retryAfter };
  lastSocket().deliver(JSON.stringify(error));
  lastSocket().disconnect(code, reason);
}

/** Gives the test a browser's globals: a page of `origin` whose events the test dispatches. */
function stubPage(origin: string) {
  const window = new EventTarget();
  const document = Object.assign(new EventTarget(), { hidden: false });
  vi.stubGlobal('window', window);
  vi.stubGlobal('document', document);
  vi.stubGlobal('origin', origin);
  return { window, document };
}

/** Loses the connection and reconnects, up to the welcome. */
async function reconnect() {
  lastSocket().disconnect();
  await vi.advanceTimersByTimeAsync(20_000);
  lastSocket().welcome();
}

/** Returns values that JSON cannot carry, and what their errors name. */
function notJson(): [unknown, RegExp][] {
  const cyclic: Record<string, unknown> = {};
  cyclic['self'] = cyclic;
  return [
    [undefined, /: undefined$/],
    [() => {}, /: function$/],
    [Symbol('s'), /: symbol$/],
    [cyclic, /circular structure/],
    [1n, /BigInt/],
    [{ toJSON: () => undefined }, /: object$/],
    [
      {
        toJSON() {
          throw new Error('thrown by toJSON');
        },
      },
      /thrown by toJSON/,
    ],
  ];
}

describe('a connection', () => {
  test.each([
    ['http://hub.test', 'ws://hub.test/ws'],
    ['https://hub.test/', 'wss://hub.test/ws'],
    ['ws://hub.test/chat?x=1#y', 'ws://hub.test/chat?x=1'],
  ])('resolves %s to %s', async (url, address) => {
    await connectHub({}, url);
    expect(lastSocket().url.href).toBe(address);
  });

  test('throws for an invalid URL or an invalid user', () => {
    expect(() => connect('no url', { WebSocket: FakeSocket })).toThrow(TypeError);
    expect(() => connect('http://hub.test', { WebSocket: FakeSocket, user: '' })).toThrow('1 to 64 bytes');
    expect(() => connect('http://hub.test', { WebSocket: FakeSocket, user: 'é'.repeat(33) })).toThrow('1 to 64 bytes');
  });

  test('names the package to install where there is no WebSocket', async () => {
    await expect(loadWebSocket(() => {}, 'no-such-package')).rejects.toThrow(
      'this platform has no WebSocket: install no-such-package (npm install no-such-package), or pass a class to ' +
        'connect(url, { WebSocket })',
    );
  });

  test('sends the user name, and is live after the welcome', async () => {
    const { hub, states } = await connectHub({ user: 'ada' });
    expect(lastSocket().url.searchParams.get('user')).toBe('ada');
    expect(hub.state).toEqual({ name: 'connecting' });
    lastSocket().welcome();
    expect(hub.state).toMatchObject({ name: 'live', user: 'ada', session: 's', limits: { message: 1000 } });
    expect(states.at(-1)).toBe(hub.state);
  });

  test('authenticates first, and renews its token at 80 % of its lifetime', async () => {
    let tokensIssued = 0;
    const { hub } = await connectHub({ token: async () => `token-${++tokensIssued}` });
    lastSocket().onopen?.({} as never);
    await vi.advanceTimersByTimeAsync(0);
    expect(lastSocket().take('auth')).toEqual([{ t: 'auth', token: 'token-1' }]);
    lastSocket().welcome({ expiresIn: 20 });
    expect(hub.state.name).toBe('live');
    await vi.advanceTimersByTimeAsync(15_000);
    expect(lastSocket().take('auth')).toEqual([]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(lastSocket().take('auth')).toEqual([{ t: 'auth', token: 'token-2' }]);
    lastSocket().deliver({ t: 'authenticated', user: 'ada', expiresIn: 10 });
    await vi.advanceTimersByTimeAsync(8_000);
    expect(lastSocket().take('auth')).toEqual([{ t: 'auth', token: 'token-3' }]);
    lastSocket().disconnect(4004, 'expired');
    await vi.advanceTimersByTimeAsync(500);
    lastSocket().onopen?.({} as never);
    await vi.advanceTimersByTimeAsync(0);
    expect(lastSocket().take('auth')).toEqual([{ t: 'auth', token: 'token-4' }]);
  });

  test('stops after a rejected token, and retries if its token function fails', async () => {
    const { hub } = await connectHub({ token: 'the only one' });
    lastSocket().onopen?.({} as never);
    await vi.advanceTimersByTimeAsync(0);
    expect(lastSocket().take('auth')).toEqual([{ t: 'auth', token: 'the only one' }]);
    lastSocket().welcome({ expiresIn: 1 });
    await vi.advanceTimersByTimeAsync(5_000);
    expect(lastSocket().take('auth')).toEqual([]); // a constant token cannot be renewed
    lastSocket().disconnect(4501, 'not signed in');
    expect(hub.state).toEqual({ name: 'refused', code: 4501, why: 'not signed in' });
    const other = await connectHub({ token: () => Promise.reject(new Error('no network')) });
    lastSocket().onopen?.({} as never);
    await vi.advanceTimersByTimeAsync(0);
    expect(other.hub.state).toMatchObject({ name: 'reconnecting', why: 'the token function failed' });
  });

  test('resumes its session after a random part of a delay that doubles up to 20 s', async () => {
    const { hub } = await connectHub();
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    lastSocket().welcome();
    for (const delay of [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]) {
      lastSocket().disconnect(1006);
      expect(hub.state).toEqual({ name: 'reconnecting', in: delay, why: 'the connection was lost', code: 1006 });
      const { length } = FakeSocket.all;
      await vi.advanceTimersByTimeAsync(delay - 1);
      expect(FakeSocket.all).toHaveLength(length);
      await vi.advanceTimersByTimeAsync(1);
      expect(FakeSocket.all).toHaveLength(length + 1);
      expect(lastSocket().resume).toBe('secret');
      expect(lastSocket().url.href).toBe('ws://hub.test/ws');
    }
    lastSocket().welcome();
    await vi.advanceTimersByTimeAsync(5001);
    lastSocket().disconnect(1006);
    expect(hub.state).toMatchObject({ in: 250 });
  });

  test('reconnects after the delay that a draining server names', async () => {
    const { hub } = await connectHub();
    lastSocket().welcome();
    lastSocket().deliver({ t: 'drain', reconnectIn: 7300 });
    lastSocket().disconnect(1001, 'the server is shutting down');
    expect(hub.state).toEqual({ name: 'reconnecting', in: 7300, why: 'the server is shutting down', code: 1001 });
  });

  test('stays refused after a final close code, until reconnect()', async () => {
    const { hub } = await connectHub();
    lastSocket().welcome();
    lastSocket().disconnect(4500, 'another connection goes on with this session');
    expect(hub.state).toEqual({ name: 'refused', code: 4500, why: 'another connection goes on with this session' });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(FakeSocket.all).toHaveLength(1);
    hub.reconnect();
    expect(FakeSocket.all).toHaveLength(2);
  });

  test.each([
    [4500, 'another connection goes on with this session'],
    [4501, 'not signed in'],
    [4502, 'this origin is not allowed'],
    [4503, 'members only'],
    [4999, 'a code of a later version'],
  ])('is refused for good by the close code %i', async (code, why) => {
    const { hub } = await connectHub();
    lastSocket().disconnect(code, why);
    expect(hub.state).toEqual({ name: 'refused', code, why });
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(FakeSocket.all).toHaveLength(1);
  });

  test('waits until the time that the server gave, also if the network returns or the page is shown', async () => {
    const page = stubPage('https://page.test');
    const { hub, states } = await connectHub();
    const errors: unknown[] = [];
    hub.on('error', (error) => errors.push(error));
    rejectHandshake(30_000);
    expect(hub.state).toEqual({ name: 'waiting', in: 30_000, why: 'too many connections', code: 4005 });
    expect(FakeSocket.all[0]?.closed).toBe(true);
    for (const passed of [0, 15_000, 14_999]) {
      await vi.advanceTimersByTimeAsync(passed);
      page.window.dispatchEvent(new Event('offline'));
      page.window.dispatchEvent(new Event('online'));
      page.document.dispatchEvent(new Event('visibilitychange'));
      hub.reconnect();
      expect([FakeSocket.all.length, hub.state.name]).toEqual([1, 'waiting']);
    }
    await vi.advanceTimersByTimeAsync(1);
    expect([FakeSocket.all.length, hub.state.name]).toEqual([2, 'connecting']);
    lastSocket().welcome();
    expect(states.map(({ name }) => name)).toEqual(['connecting', 'waiting', 'connecting', 'live']);
    expect(errors).toEqual([]);
    hub.close();
  });

  test('waits at its next rejection as long as that one says, longer than a timer can last', async () => {
    const { hub } = await connectHub();
    rejectHandshake(1_000, 4006, '');
    expect(hub.state).toEqual({ name: 'waiting', in: 1_000, why: 'too many', code: 4006 });
    await vi.advanceTimersByTimeAsync(1_000);
    const timers = vi.spyOn(globalThis, 'setTimeout');
    rejectHandshake(2 ** 31 + 5_000);
    await vi.advanceTimersByTimeAsync(2 ** 31 + 4_999);
    expect([FakeSocket.all.length, hub.state.name]).toEqual([2, 'waiting']);
    await vi.advanceTimersByTimeAsync(1);
    expect(FakeSocket.all).toHaveLength(3);
    expect(timers.mock.calls.filter(([, ms]) => Number(ms) >= 2 ** 31)).toEqual([]);
    hub.close();
  });

  test('does not wait for an earlier error, nor without a delay', async () => {
    const { hub } = await connectHub();
    lastSocket().disconnect(4005, 'too many connections');
    expect(hub.state).toMatchObject({ name: 'reconnecting', code: 4005 });
    hub.reconnect();
    rejectHandshake(0);
    expect(hub.state).toMatchObject({ name: 'reconnecting', code: 4005 });
    hub.reconnect();
    rejectHandshake(1_000);
    await vi.advanceTimersByTimeAsync(1_000);
    lastSocket().disconnect(1006);
    expect(hub.state).toMatchObject({ name: 'reconnecting', code: 1006 });
    hub.reconnect();
    lastSocket().deliver(JSON.stringify({ t: 'error', code: 'busy', message: '', retry: true, retryAfter: 9_000 }));
    lastSocket().welcome();
    lastSocket().disconnect(1006);
    expect(hub.state).toMatchObject({ name: 'reconnecting', code: 1006 });
  });

  test('makes no further attempt if it is closed while it waits', async () => {
    const { hub } = await connectHub();
    rejectHandshake(1_000);
    hub.close();
    await vi.advanceTimersByTimeAsync(60_000);
    expect([FakeSocket.all.length, hub.state.name]).toEqual([1, 'closed']);
  });

  test('names --origin once in the console of a page whose origin is not allowed', async () => {
    const warn = vi.spyOn(console, 'warn').mockReturnValue();
    stubPage('https://page.test');
    const { hub } = await connectHub({ user: 'ada' });
    for (let attempt = 0; attempt < 2; attempt++) {
      lastSocket().disconnect(4502, 'this origin is not allowed');
      hub.reconnect();
    }
    await vi.dynamicImportSettled();
    expect(warn.mock.calls).toEqual([
      ['hub.test does not allow pages of the origin https://page.test: start it with --origin https://page.test'],
    ]);
    stubPage('null');
    await connectHub();
    lastSocket().disconnect(4502, 'this origin is not allowed');
    await vi.dynamicImportSettled();
    expect(warn.mock.lastCall?.[0]).toMatch(/the origin null: serve the page over http/);
    vi.unstubAllGlobals();
    await connectHub();
    lastSocket().disconnect(4502, 'this origin is not allowed');
    await vi.dynamicImportSettled();
    stubPage('https://page.test');
    await connectHub();
    lastSocket().disconnect(4503, 'members only');
    await vi.dynamicImportSettled();
    expect(warn).toHaveBeenCalledTimes(2);
  });

  test('keeps the secret of its session out of URLs, states, errors and the console', async () => {
    const output = (['log', 'warn', 'error', 'info', 'debug'] as const).map((name) =>
      vi.spyOn(console, name).mockReturnValue(),
    );
    stubPage('https://page.test');
    const storage = new MemoryStore();
    const { hub, states } = await connectHub({ storage, user: 'ada' });
    const errors: unknown[] = [];
    hub.on('error', (error) => errors.push({ ...error, message: error.message, stack: error.stack }));
    const room = hub.join('r');
    lastSocket().welcome({ resume: 'c2Vzc2lvbg.s3cr-t_' });
    lastSocket().deliver({ t: 'error', code: 'forbidden', message: 'no', retry: false, room: 'r' });
    await expect(room.send(1)).rejects.toMatchObject({ code: 'forbidden' });
    for (const code of [1006, 4005, 4502, 1011]) {
      lastSocket().disconnect(code);
      hub.reconnect();
      expect(lastSocket().resume).toBe('c2Vzc2lvbg.s3cr-t_');
    }
    const later = await connectHub({ storage, user: 'ada' });
    expect(lastSocket().resume).toBe('c2Vzc2lvbg.s3cr-t_');
    const visible = [FakeSocket.all.map(({ url }) => url.href), states, later.states, errors];
    expect(errors).toHaveLength(1);
    expect(JSON.stringify([visible, output.map(({ mock }) => mock.calls)])).not.toContain('s3cr');
  });

  test('starts a new session if the stored secret cannot be a subprotocol', async () => {
    const storage = new MemoryStore();
    storage.getItem = () => JSON.stringify({ resume: 'not a token', outbox: [] });
    const { hub } = await connectHub({ storage });
    expect([lastSocket().resume, hub.state.name]).toEqual([undefined, 'connecting']);
  });

  test('gives up a server that sends no welcome, or stops answering', async () => {
    const { hub } = await connectHub();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(hub.state).toMatchObject({ name: 'reconnecting', why: 'the server did not answer' });
    expect(FakeSocket.all[0]?.closed).toBe(true);
    hub.reconnect();
    const socket = lastSocket();
    socket.welcome();
    await vi.advanceTimersByTimeAsync(20_000);
    socket.deliver(message(1));
    await vi.advanceTimersByTimeAsync(24_000);
    expect(socket.take('ping')).toHaveLength(0);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(socket.take('ping')).toHaveLength(1);
    socket.deliver({ t: 'pong' });
    await vi.advanceTimersByTimeAsync(34_999);
    expect([hub.state.name, socket.take('ping').length]).toEqual(['live', 1]);
    await vi.advanceTimersByTimeAsync(1);
    expect(hub.state).toMatchObject({ name: 'reconnecting', why: 'the server stopped answering' });
  });

  test('ignores the events of an old socket', async () => {
    const { hub, room } = await joinRoom();
    const received: number[] = [];
    room.on('message', ({ seq }) => received.push(seq));
    const [old] = FakeSocket.all;
    await reconnect();
    old?.deliver(message(1));
    old?.disconnect(4500);
    expect([hub.state.name, received]).toEqual(['live', []]);
  });

  test('gives up a server that sends invalid JSON', async () => {
    const { hub } = await connectHub();
    lastSocket().deliver('<html>');
    expect(hub.state).toMatchObject({ name: 'reconnecting', why: 'the server sent a line that is not JSON' });
  });

  test('causes no unhandled rejection if nobody awaits a failed message', async () => {
    const { hub, room } = await joinRoom();
    const unhandled: unknown[] = [];
    const record = (reason: unknown) => unhandled.push(reason);
    process.on('unhandledRejection', record);
    void room.send('x');
    hub.close();
    vi.useRealTimers();
    await new Promise((resolve) => setTimeout(resolve, 10));
    process.off('unhandledRejection', record);
    expect(unhandled).toEqual([]);
  });

  test('closes for good, and rejects all unanswered requests', async () => {
    const { hub, room, names } = await joinRoom();
    const sent = room.send('x');
    const page = room.history();
    const results = Promise.allSettled([sent, page]);
    await vi.advanceTimersByTimeAsync(0);
    hub.close();
    expect((await results).map((result) => result.status === 'rejected' && result.reason.code)).toEqual([
      'closed',
      'closed',
    ]);
    await expect(room.send('too late')).rejects.toMatchObject({ code: 'closed' });
    await vi.advanceTimersByTimeAsync(60_000);
    expect([names().at(-1), FakeSocket.all.length, lastSocket().closed]).toEqual(['closed', 1, true]);
  });

  test('runs the other handlers when one throws', async () => {
    const { room } = await joinRoom();
    const thrown: unknown[] = [];
    vi.stubGlobal('queueMicrotask', (work: () => void) => {
      try {
        work();
      } catch (error) {
        thrown.push(error);
      }
    });
    const received: number[] = [];
    room.on('message', () => {
      throw new Error('thrown by a handler');
    });
    room.on('message', ({ seq }) => received.push(seq));
    lastSocket().deliver(message(1), message(2));
    vi.unstubAllGlobals();
    expect([received, thrown.length]).toEqual([[1, 2], 2]);
  });
});

describe('a room', () => {
  test('delivers each message once and in order, and resumes at its place', async () => {
    const { room } = await joinRoom();
    const received: Json[] = [];
    const joins: unknown[] = [];
    room.on('message', ({ data }) => received.push(data));
    room.on('joined', (payload) => joins.push(payload));
    lastSocket().deliver(message(1, 'a'), message(2, 'b'));
    await reconnect();
    expect(lastSocket().take('join')).toEqual([{ t: 'join', room: 'r', since: { epoch: 'e', seq: 2 } }]);
    lastSocket().deliver(joined('r', 2), message(2, 'b'), message(3, 'c'));
    expect(received).toEqual(['a', 'b', 'c']);
    expect(room.place).toEqual({ epoch: 'e', seq: 3 });
    expect(joins).toEqual([{ place: { epoch: 'e', seq: 2 }, recovered: true, again: true }]);
  });

  test('sends the join options with the first join only', async () => {
    const { hub } = await connectHub();
    hub.join('a', { history: 20 });
    hub.join('b', { since: { epoch: 'old', seq: 7 } });
    lastSocket().welcome();
    expect(lastSocket().take('join')).toEqual([
      { t: 'join', room: 'a', history: 20 },
      { t: 'join', room: 'b', since: { epoch: 'old', seq: 7 } },
    ]);
    lastSocket().deliver(joined('a', 5), joined('b', 7));
    await reconnect();
    expect(lastSocket().take('join')).toMatchObject([{ since: { seq: 5 } }, { since: { epoch: 'e', seq: 7 } }]);
    expect(hub.join('a')).toBe(hub.join('a'));
  });

  test('reports a gap, and continues after it', async () => {
    const { room } = await joinRoom();
    const events: unknown[] = [];
    room.on('gap', (gap) => events.push(gap));
    room.on('message', ({ seq }) => events.push(seq));
    lastSocket().deliver({ t: 'gap', room: 'r', from: 1, to: 4, why: 'slow' }, message(5));
    await reconnect();
    lastSocket().deliver(joined('r', 2, { epoch: 'new', recovered: false }));
    lastSocket().deliver({ t: 'gap', room: 'r', from: 1, to: 2, why: 'epoch' }, message(3));
    expect(events).toEqual([{ from: 1, to: 4, why: 'slow' }, 5, { from: 1, to: 2, why: 'epoch' }, 3]);
    expect(room.place).toEqual({ epoch: 'new', seq: 3 });
  });

  test('tracks the members and their number', async () => {
    const { room } = await joinRoom();
    const events: unknown[] = [];
    room.on('presence', (change) => events.push(change));
    lastSocket().deliver({ t: 'presence', room: 'r', count: 3, joined: ['bob', 'bob'], left: [] });
    expect([room.members, room.count]).toEqual([['ada', 'bob', 'bob'], 3]);
    lastSocket().deliver({ t: 'presence', room: 'r', count: 2, joined: [], left: ['bob'] });
    expect(room.members).toEqual(['ada', 'bob']);
    lastSocket().deliver({ t: 'presence', room: 'r', count: 2000 });
    expect([room.members, room.count]).toEqual([undefined, 2000]);
    lastSocket().deliver({ t: 'presence', room: 'r', count: 1, members: ['eve'] });
    expect(room.members).toEqual(['eve']);
    expect(events[1]).toEqual({ joined: [], left: ['bob'] });
  });

  test('delivers signals, and drops those sent while disconnected', async () => {
    const { hub, room } = await joinRoom();
    const events: unknown[] = [];
    room.on('signal', (signal) => events.push(signal));
    lastSocket().deliver({ t: 'signal', room: 'r', from: 'bob', data: 'typing' });
    expect(events).toEqual([{ from: 'bob', data: 'typing' }]);
    room.signal({ typing: true });
    expect(lastSocket().take('signal')).toEqual([{ t: 'signal', room: 'r', data: { typing: true } }]);
    lastSocket().disconnect();
    room.signal('lost');
    hub.reconnect();
    lastSocket().welcome();
    lastSocket().deliver(joined('r', 0));
    expect(lastSocket().take('signal')).toEqual([]);
  });

  test('throws a TypeError for a signal that JSON cannot carry, also while disconnected', async () => {
    const { hub } = await connectHub();
    const room = hub.join('r');
    const throwsForEach = () => {
      for (const [data, problem] of notJson()) {
        const signal = () => room.signal(data as Json);
        expect(signal).toThrow(TypeError);
        expect(signal).toThrow(/^the data of a signal cannot be encoded as JSON: /);
        expect(signal).toThrow(problem);
      }
    };
    throwsForEach();
    lastSocket().welcome();
    lastSocket().deliver(joined('r', 0));
    throwsForEach();
    expect([hub.state.name, lastSocket().take('signal')]).toEqual(['live', []]);
  });

  test('sends a history request of a handler of joined once', async () => {
    const { room } = await joinRoom();
    room.on('joined', () => void room.history({ before: 9 }));
    await reconnect();
    lastSocket().deliver(joined('r', 0));
    expect(lastSocket().take('history')).toMatchObject([{ before: 9 }]);
  });

  test('resolves each history request with its own page, across a reconnection and a retry', async () => {
    const { room } = await joinRoom();
    const [first, second] = [room.history({ before: 9 }), room.history({ after: 9, limit: 5 })];
    const requests = lastSocket().take('history');
    expect(requests).toMatchObject([{ before: 9 }, { after: 9, limit: 5 }]);
    const page = (id: string | undefined, seq: number) =>
      ({
        t: 'history',
        room: 'r',
        ...(id && { id }),
        messages: [message(seq)],
        from: seq,
        to: seq,
        more: false,
      }) as const;
    lastSocket().deliver(page(requests[1]?.id, 10));
    expect((await second).messages[0]).toMatchObject({ seq: 10 });
    await reconnect();
    expect(lastSocket().take('history')).toEqual([]);
    lastSocket().deliver(joined('r', 0));
    expect(lastSocket().take('history')).toEqual([requests[0]]);
    lastSocket().deliver({ ...rejection(requests[0]?.id as string, 'rate_limited', true) });
    await vi.advanceTimersByTimeAsync(1000);
    expect(lastSocket().take('history')).toEqual([requests[0]]);
    lastSocket().deliver(page(requests[0]?.id, 8));
    expect((await first).messages[0]).toMatchObject({ seq: 8 });
    const rejected = room.history({ limit: 5000 });
    lastSocket().deliver(rejection(lastSocket().take('history')[0]?.id as string, 'bad_field', false));
    await expect(rejected).rejects.toMatchObject({ name: 'HubError', code: 'bad_field', room: 'r' });
  });

  test('names the invalid field in the errors of a message, of a request and of the hub', async () => {
    const { hub, room } = await joinRoom();
    const errors: unknown[] = [];
    hub.on('error', (error) => errors.push(error));
    const [sent, page] = [room.send(1), room.history({ limit: 5000 })];
    const reject = (field: string, id?: string) => {
      const { id: _, ...error } = rejection(id ?? '', 'bad_field', false);
      lastSocket().deliver({ ...error, field, ...(id !== undefined && { id }) });
    };
    reject('data', lastSocket().take('send')[0]?.id);
    reject('limit', lastSocket().take('history')[0]?.id);
    reject('seq');
    await expect(sent).rejects.toMatchObject({ code: 'bad_field', field: 'data' });
    await expect(page).rejects.toMatchObject({ code: 'bad_field', field: 'limit' });
    expect(errors.at(-1)).toMatchObject({ code: 'bad_field', field: 'seq' });
    hub.close();
    await expect(room.send(2)).rejects.toMatchObject({ code: 'closed', field: undefined });
  });

  test('retries a join rejected for the moment, and reports one rejected for good', async () => {
    const { hub } = await connectHub();
    const errors: unknown[] = [];
    hub.on('error', ({ code, room }) => errors.push([code, room]));
    const room = hub.join('r');
    const results = Promise.allSettled([room.send(1), room.history()]);
    lastSocket().welcome();
    expect(lastSocket().take('join')).toHaveLength(1);
    lastSocket().deliver({ t: 'error', code: 'busy', message: '', retry: true, retryAfter: 500, room: 'r' });
    await vi.advanceTimersByTimeAsync(500);
    expect(lastSocket().take('join')).toHaveLength(1);
    lastSocket().deliver({ t: 'error', code: 'too_many_rooms', message: '', retry: false, room: 'r' });
    expect(errors).toEqual([['too_many_rooms', 'r']]);
    const codes = (await results).map((result) => result.status === 'rejected' && result.reason.code);
    expect([codes, hub.pending]).toEqual([['too_many_rooms', 'too_many_rooms'], 0]);
  });

  test('rejects later requests at once after a join rejected for good, until it joins again', async () => {
    const { hub } = await connectHub();
    const room = hub.join<number>('r');
    const failed: unknown[] = [];
    room.on('failed', ({ data, error }) => failed.push([data, error.code]));
    lastSocket().welcome();
    lastSocket().deliver({ t: 'error', code: 'forbidden', message: 'staff only', retry: false, room: 'r' });
    const expected = { name: 'HubError', code: 'forbidden', message: 'staff only', room: 'r' };
    await expect(room.send(1)).rejects.toMatchObject(expected);
    await expect(room.history()).rejects.toMatchObject(expected);
    expect([failed, hub.pending, room.pending]).toEqual([[[1, 'forbidden']], 0, []]);
    lastSocket().disconnect();
    const results = Promise.all([room.send(2), room.history()]);
    await vi.advanceTimersByTimeAsync(20_000);
    lastSocket().welcome();
    lastSocket().deliver(joined('r', 0));
    const [send] = lastSocket().take('send');
    const [request] = lastSocket().take('history');
    lastSocket().deliver(
      { t: 'sent', room: 'r', id: send?.id as string, seq: 1 },
      { t: 'history', room: 'r', id: request?.id as string, messages: [], from: 1, to: 0, more: false },
    );
    expect(await results).toEqual([1, { messages: [], from: 1, to: 0, more: false }]);
    expect([send?.data, failed.length]).toEqual([2, 1]);
  });

  test('rejects requests after leave(), without an effect on the room joined again', async () => {
    const { hub, room } = await joinRoom();
    const errors: unknown[] = [];
    room.leave();
    const again = hub.join<Json>('r');
    lastSocket().deliver(joined('r', 0));
    hub.on('error', (error) => errors.push(error));
    again.on('failed', (failure) => errors.push(failure));
    void again.send('kept');
    await expect(room.send('late')).rejects.toMatchObject({ code: 'left' });
    await expect(room.history()).rejects.toMatchObject({ code: 'left' });
    expect([errors, again.pending.map(({ data }) => data)]).toEqual([[], ['kept']]);
    hub.close();
    await expect(again.history()).rejects.toMatchObject({ code: 'closed' });
  });

  test('delivers nothing after leave(), and can be joined again', async () => {
    const { hub, room } = await joinRoom();
    const sent = room.send('x');
    await vi.advanceTimersByTimeAsync(0);
    room.leave();
    await expect(sent).rejects.toMatchObject({ code: 'left' });
    expect(lastSocket().take('leave')).toHaveLength(1);
    const received: number[] = [];
    const rejoined = hub.join('r');
    expect(rejoined).not.toBe(room);
    rejoined.on('message', ({ seq }) => received.push(seq));
    lastSocket().deliver(message(1), { t: 'left', room: 'r' }, joined('r', 1), message(2));
    expect([received, hub.pending]).toEqual([[2], 0]);
  });

  test('acknowledges the highest seq shown, and never a lower one', async () => {
    const { room } = await joinRoom();
    for (const seq of [3, 3, 2, 5]) room.shown(seq);
    expect(
      lastSocket()
        .take('ack')
        .map(({ seq }) => seq),
    ).toEqual([3, 5]);
  });
});

describe('a log that continues in another epoch', () => {
  const lost = { from: 2, to: 3 };

  /** Joins the room and receives the messages 1 to 3. */
  async function joinWithMessages() {
    const context = await joinRoom();
    const events: unknown[] = [];
    context.room.on('joined', (joined) => events.push(joined));
    context.room.on('message', ({ seq, data }) => events.push([seq, data]));
    lastSocket().deliver(message(1, 'a'), message(2, 'b'), message(3, 'c'));
    events.length = 0;
    return { ...context, events };
  }

  test('reports the lost messages unasked, and delivers those with the same numbers', async () => {
    const { room, events } = await joinWithMessages();
    lastSocket().deliver(joined('r', 1, { epoch: 'f', recovered: false, lost, count: 2, members: ['ada', 'bob'] }));
    expect([room.place, room.members, room.count]).toEqual([{ epoch: 'f', seq: 1 }, ['ada', 'bob'], 2]);
    lastSocket().deliver(message(2, 'd'), message(3, 'e'));
    expect(events).toEqual([
      { place: { epoch: 'f', seq: 1 }, recovered: false, again: true, lost },
      [2, 'd'],
      [3, 'e'],
    ]);
    expect(room.place).toEqual({ epoch: 'f', seq: 3 });
    await reconnect();
    expect(lastSocket().take('join')).toEqual([{ t: 'join', room: 'r', since: { epoch: 'f', seq: 3 } }]);
  });

  test('fails the changes that wait when another log has taken its place, and sends the messages', async () => {
    const { room } = await joinWithMessages();
    lastSocket().disconnect();
    const change = room.send(null, { op: 'delete', of: 2 });
    const sent = room.send('next');
    await vi.advanceTimersByTimeAsync(20_000);
    lastSocket().welcome();
    lastSocket().deliver(joined('r', 0, { epoch: 'g', recovered: false }));
    await expect(change).rejects.toMatchObject({ code: 'not_found' });
    const [request, ...others] = lastSocket().take('send');
    expect([request, others]).toMatchObject([{ data: 'next' }, []]);
    lastSocket().deliver({ t: 'sent', room: 'r', id: request?.id as string, seq: 1 });
    expect(await sent).toBe(1);
  });

  test('reports the lost messages after a reconnection', async () => {
    const { events } = await joinWithMessages();
    await reconnect();
    expect(lastSocket().take('join')).toEqual([{ t: 'join', room: 'r', since: { epoch: 'e', seq: 3 } }]);
    lastSocket().deliver(joined('r', 1, { epoch: 'f', recovered: false, lost }), message(2, 'd'));
    expect(events).toEqual([{ place: { epoch: 'f', seq: 1 }, recovered: false, again: true, lost }, [2, 'd']]);
  });

  test('reports nothing as lost if every message was recovered', async () => {
    const { room, events } = await joinWithMessages();
    lastSocket().deliver(joined('r', 3, { epoch: 'f' }), message(3, 'c'), message(4, 'd'));
    expect(events).toEqual([
      { place: { epoch: 'f', seq: 3 }, recovered: true, again: true, lost: undefined },
      [4, 'd'],
    ]);
    expect(room.place).toEqual({ epoch: 'f', seq: 4 });
  });

  test('answers the requests in flight once, and does not repeat them', async () => {
    const { hub, room } = await joinWithMessages();
    const sentEvents: unknown[] = [];
    room.on('sent', ({ seq }) => sentEvents.push(seq));
    const [sent, page] = [room.send('d'), room.history({ before: 2 })];
    const [send] = lastSocket().take('send');
    const [request] = lastSocket().take('history');
    lastSocket().deliver(joined('r', 1, { epoch: 'f', recovered: false, lost }));
    expect([lastSocket().take('send'), lastSocket().take('history'), hub.pending]).toEqual([[], [], 1]);
    lastSocket().deliver(
      { t: 'sent', room: 'r', id: send?.id as string, seq: 2 },
      { t: 'history', room: 'r', id: request?.id as string, messages: [], from: 1, to: 0, more: false },
    );
    expect([await sent, await page, sentEvents]).toEqual([2, { messages: [], from: 1, to: 0, more: false }, [2]]);
  });

  test('sends a message without an answer again with its id, after unavailable and after a reconnection', async () => {
    const { room } = await joinWithMessages();
    const sent = room.send('d');
    const [send] = lastSocket().take('send');
    lastSocket().deliver(rejection(send?.id as string, 'unavailable', true));
    await vi.advanceTimersByTimeAsync(1_000);
    expect(lastSocket().take('send')).toEqual([send]);
    await reconnect();
    lastSocket().deliver(joined('r', 1, { epoch: 'f', recovered: false, lost }));
    expect(lastSocket().take('send')).toEqual([send]);
    lastSocket().deliver({ t: 'sent', room: 'r', id: send?.id as string, seq: 2, duplicate: true });
    expect(await sent).toBe(2);
  });

  test.each([
    ['before the first lost message', { lost }, 1, [1, 2]],
    ['as it was if every message was recovered', { recovered: true }, 3, [3, 4]],
    ['at nothing in a log that was replaced', {}, 0, [1]],
  ])('counts the messages as shown %s', async (_, overrides, seq, expected) => {
    const { room } = await joinWithMessages();
    room.shown(3);
    lastSocket().take('ack');
    lastSocket().deliver(joined('r', seq, { epoch: 'f', recovered: false, ...overrides }), message(seq + 1));
    room.shown(seq + 1);
    expect(
      lastSocket()
        .take('ack')
        .map((ack) => ack.seq),
    ).toEqual(expected);
  });

  test('keeps the messages as shown that precede both the lost ones and a gap', async () => {
    const { room } = await joinWithMessages();
    room.shown(3);
    await reconnect();
    lastSocket().deliver(joined('r', 9, { epoch: 'f', recovered: false, lost }));
    expect(lastSocket().take('ack')).toEqual([{ t: 'ack', room: 'r', seq: 1 }]);
  });

  test('reconnects after the close code 4007', async () => {
    const { hub } = await joinWithMessages();
    lastSocket().disconnect(4007, 'messages were lost: join again');
    expect(hub.state).toMatchObject({ name: 'reconnecting', code: 4007, why: 'messages were lost: join again' });
  });
});

describe('an acknowledgement of shown messages', () => {
  const acks = () =>
    lastSocket()
      .take('ack')
      .map(({ room, seq }) => [room, seq]);

  test('is sent after the join if the room was not joined', async () => {
    const { hub } = await connectHub();
    const room = hub.join('r', { since: { epoch: 'e', seq: 7 } });
    room.shown(6);
    room.shown(7);
    lastSocket().welcome();
    expect(acks()).toEqual([]);
    lastSocket().deliver(joined('r', 7));
    expect(acks()).toEqual([['r', 7]]);
    lastSocket().deliver(message(8));
    expect(acks()).toEqual([]);
    room.shown(8);
    expect(acks()).toEqual([['r', 8]]);
  });

  test('is sent again after a reconnection, in which it may have been lost', async () => {
    const { room } = await joinRoom();
    lastSocket().deliver(message(1), message(2));
    room.shown(2);
    await reconnect();
    room.shown(2);
    expect(acks()).toEqual([]);
    lastSocket().deliver(joined('r', 2));
    expect(acks()).toEqual([['r', 2]]);
  });

  test('waits until the message is delivered in this membership', async () => {
    const { hub } = await connectHub();
    const room = hub.join('r', { history: 3 });
    room.shown(5);
    lastSocket().welcome();
    lastSocket().deliver(joined('r', 3), message(4));
    expect(acks()).toEqual([]);
    lastSocket().deliver(message(5), message(6));
    expect(acks()).toEqual([['r', 5]]);
  });

  test('is dropped with the log that it counts in, and after leave()', async () => {
    const { room } = await joinRoom();
    lastSocket().deliver(message(1), message(2));
    room.shown(2);
    await reconnect();
    lastSocket().deliver(joined('r', 0, { epoch: 'new', recovered: false }), message(1));
    expect(acks()).toEqual([]);
    room.shown(1);
    expect(acks()).toEqual([['r', 1]]);
    room.on('joined', () => room.leave());
    await reconnect();
    lastSocket().deliver(joined('r', 1, { epoch: 'new' }));
    expect(acks()).toEqual([]);
  });
});

describe('a message', () => {
  test('resolves to its seq once it is stored', async () => {
    const { hub, room } = await joinRoom();
    const events: unknown[] = [];
    room.on('sent', (sent) => events.push(sent));
    const seq = room.send({ text: 'hi' });
    expect([hub.pending, room.pending[0]?.data]).toEqual([1, { text: 'hi' }]);
    const [send] = lastSocket().take('send');
    expect(send).toMatchObject({ t: 'send', room: 'r', data: { text: 'hi' } });
    const id = send?.id as string;
    expect(room.pending[0]?.id).toBe(id);
    lastSocket().deliver({ t: 'sent', room: 'r', id, seq: 7 });
    expect(await seq).toBe(7);
    expect([hub.pending, events]).toEqual([0, [{ id, seq: 7 }]]);
  });

  test('has an id that starts with the prefix of its client, and is unique', async () => {
    const { room } = await joinRoom({ idPrefix: 'the "first" browser ' });
    for (const data of [1, 2, 3]) void room.send(data);
    const ids = lastSocket()
      .take('send')
      .map(({ id }) => id);
    expect(ids.every((id) => id.startsWith('the "first" browser '))).toBe(true);
    expect(new Set(ids).size).toBe(3);
  });

  test('waits for the join, and is sent again in order if its acknowledgement was lost', async () => {
    const { hub } = await connectHub();
    const room = hub.join<number>('r');
    const seqs = [1, 2, 3].map((n) => room.send(n));
    lastSocket().welcome();
    expect(lastSocket().take('send')).toEqual([]);
    lastSocket().deliver(joined('r', 0));
    const sent = lastSocket().take('send');
    expect(sent.map(({ data }) => data)).toEqual([1, 2, 3]);
    lastSocket().deliver({ t: 'sent', room: 'r', id: sent[0]?.id as string, seq: 1 });
    const late = room.send(4);
    await reconnect();
    lastSocket().deliver(joined('r', 0));
    const resent = lastSocket().take('send');
    expect(resent.map(({ data }) => data)).toEqual([2, 3, 4]);
    expect(resent.slice(0, 2)).toEqual(sent.slice(1));
    resent.forEach(({ id }, i) => {
      lastSocket().deliver({ t: 'sent', room: 'r', id, seq: i + 2, ...(i === 0 && { duplicate: true }) });
    });
    expect(await Promise.all([...seqs, late])).toEqual([1, 2, 3, 4]);
  });

  test('keeps the data it had when send() was called', async () => {
    const { hub } = await connectHub();
    const room = hub.join<{ n: number }>('r');
    const data = { n: 1 };
    void room.send(data);
    data.n = 2;
    lastSocket().welcome();
    lastSocket().deliver(joined('r', 0));
    expect(lastSocket().take('send')[0]?.data).toEqual({ n: 1 });
  });

  test('waits while 64 others are in flight, or while the rate of the server is used up', async () => {
    const { hub } = await connectHub();
    const room = hub.join<number>('r');
    const limits = { message: 1000, roomName: 128, rooms: 128, history: 1000 };
    lastSocket().welcome({ limits: { ...limits, publishRate: { perSecond: 10, burst: 20 } } });
    lastSocket().deliver(joined('r', 0));
    for (let n = 0; n < 100; n++) void room.send(n);
    const acknowledge = () => {
      const sends = lastSocket().take('send');
      for (const { id } of sends) lastSocket().deliver({ t: 'sent', room: 'r', id, seq: 1 });
      return sends.map(({ data }) => data as number);
    };
    const first = acknowledge();
    expect(first.length).toBeLessThanOrEqual(20);
    const later: number[] = [];
    for (let s = 0; s < 100 && hub.pending > 0; s++) {
      await vi.advanceTimersByTimeAsync(1000);
      const batch = acknowledge();
      expect(batch.length).toBeLessThanOrEqual(10);
      later.push(...batch);
    }
    expect([...first, ...later]).toEqual(Array.from({ length: 100 }, (_, n) => n));
    lastSocket().disconnect();
    hub.reconnect();
    lastSocket().welcome();
    lastSocket().deliver(joined('r', 0));
    for (let n = 0; n < 100; n++) void room.send(n);
    expect(lastSocket().take('send')).toHaveLength(64);
  });

  test('is retried when the server is busy, before later messages', async () => {
    const { room } = await joinRoom();
    for (const n of [1, 2]) void room.send(n);
    const sent = lastSocket().take('send');
    for (const { id } of sent) lastSocket().deliver(rejection(id, 'busy', true));
    void room.send(3);
    expect(lastSocket().take('send')).toEqual([]);
    await vi.advanceTimersByTimeAsync(1000);
    expect(
      lastSocket()
        .take('send')
        .map(({ data }) => data),
    ).toEqual([1, 2, 3]);
  });

  test('fails if it is too long, rejected or not JSON, and does not block later messages', async () => {
    const { hub, room } = await joinRoom();
    const errors: string[] = [];
    const failed: unknown[] = [];
    hub.on('error', ({ code }) => errors.push(code));
    room.on('failed', ({ data, error }) => failed.push([data, error.code]));
    const tooLong = room.send('x'.repeat(1000));
    await expect(tooLong).rejects.toMatchObject({ code: 'too_long' });
    const rejected = room.send(1);
    lastSocket().deliver(rejection(lastSocket().take('send')[0]?.id as string, 'bad_field', false));
    await expect(rejected).rejects.toMatchObject({ code: 'bad_field' });
    await expect(room.send(undefined as unknown as Json)).rejects.toThrow(TypeError);
    expect([errors, hub.pending]).toEqual([['too_long', 'bad_field'], 0]);
    expect(failed).toEqual([
      ['x'.repeat(1000), 'too_long'],
      [1, 'bad_field'],
    ]);
    void room.send(2);
    expect(lastSocket().take('send')).toHaveLength(1);
  });

  test('fails with a TypeError that names what JSON cannot carry', async () => {
    const { hub, room } = await joinRoom();
    for (const [data, problem] of notJson()) {
      const sent = room.send(data as Json);
      await expect(sent).rejects.toThrow(TypeError);
      await expect(sent).rejects.toThrow(/^the data of a message cannot be encoded as JSON: /);
      await expect(sent).rejects.toThrow(problem);
    }
    expect([hub.pending, lastSocket().take('send')]).toEqual([0, []]);
  });

  test('fails with the rejected join of its room, even if sent by an earlier run of the program', async () => {
    const storage = new MemoryStore();
    const first = await connectHub({ storage });
    void first.hub.join('r').send('early');
    await vi.advanceTimersByTimeAsync(0);
    const { hub } = await connectHub({ storage });
    lastSocket().welcome();
    const room = hub.join<string>('r');
    const failed: unknown[] = [];
    room.on('failed', ({ data, error }) => failed.push([data, error.code]));
    const late = room.send('late');
    lastSocket().deliver({ t: 'error', code: 'forbidden', message: 'not allowed', retry: false, room: 'r' });
    await expect(late).rejects.toMatchObject({ code: 'forbidden' });
    expect(failed).toEqual([
      ['early', 'forbidden'],
      ['late', 'forbidden'],
    ]);
  });

  test('is restored from the store by a later run, together with the session', async () => {
    const storage = new MemoryStore();
    const first = await connectHub({ storage, user: 'ada' });
    lastSocket().welcome();
    const before = first.hub.join<number>('r');
    lastSocket().deliver(joined('r', 0));
    void before.send(1);
    void before.send(2);
    await vi.advanceTimersByTimeAsync(0);
    const sent = lastSocket().take('send');
    const second = await connectHub({ storage, user: 'ada' });
    expect(lastSocket().resume).toBe('secret');
    lastSocket().welcome();
    const room = second.hub.join<number>('r');
    expect(room.pending.map(({ data }) => data)).toEqual([1, 2]);
    const events: unknown[] = [];
    room.on('sent', (sent) => events.push(sent));
    void room.send(3);
    lastSocket().deliver(joined('r', 0));
    const resent = lastSocket().take('send');
    expect(resent.slice(0, 2)).toEqual(sent);
    expect(resent[2]?.data).toBe(3);
    for (const [i, { id }] of resent.entries()) lastSocket().deliver({ t: 'sent', room: 'r', id, seq: i + 1 });
    expect(events).toHaveLength(3);
    await vi.advanceTimersByTimeAsync(0);
    const third = await connectHub({ storage, user: 'ada' });
    expect(third.hub.pending).toBe(0);
    await connectHub({ storage, user: 'bob' });
    expect(lastSocket().resume).toBeUndefined();
  });

  test('is sent even if the store throws or holds invalid JSON', async () => {
    const full = new MemoryStore();
    full.setItem = () => {
      throw new Error('full');
    };
    full.getItem = () => '{';
    const { room } = await joinRoom({ storage: full });
    const seq = room.send(1);
    await vi.advanceTimersByTimeAsync(0);
    lastSocket().deliver({ t: 'sent', room: 'r', id: lastSocket().take('send')[0]?.id as string, seq: 1 });
    expect(await seq).toBe(1);
  });
});

describe('the server’s owner', () => {
  test('asks for a new token: the function is called, and a fixed token is not sent again', async () => {
    let tokens = 0;
    const { names } = await connectHub({ token: async () => `token ${++tokens}` });
    const socket = lastSocket();
    socket.onopen?.({} as never);
    await vi.advanceTimersByTimeAsync(0);
    socket.welcome({ expiresIn: 10 });
    socket.take('auth');
    socket.deliver({ t: 'refresh', within: 30 });
    await vi.advanceTimersByTimeAsync(0);
    expect(socket.take('auth')).toEqual([{ t: 'auth', token: 'token 2' }]);
    socket.deliver({ t: 'authenticated', user: 'ada', expiresIn: 10 });
    expect(names().at(-1)).toBe('live');
    await vi.advanceTimersByTimeAsync(7_900);
    expect(socket.take('auth')).toEqual([]);
    await vi.advanceTimersByTimeAsync(200);
    expect(socket.take('auth')).toEqual([{ t: 'auth', token: 'token 3' }]);
    await connectHub({ token: 'fixed' });
    lastSocket().welcome({ expiresIn: 10 });
    lastSocket().deliver({ t: 'refresh', within: 30 });
    await vi.advanceTimersByTimeAsync(0);
    expect(lastSocket().take('auth')).toEqual([]);
  });

  test('removes the client from a room: its requests reject, and it does not join again by itself', async () => {
    const { hub, room } = await joinRoom();
    const other = hub.join<Json, Json>('s');
    lastSocket().deliver(joined('s', 0));
    const errors: unknown[] = [];
    const removed: unknown[] = [];
    hub.on('error', ({ code }) => errors.push(code));
    room.on('removed', ({ code, room, message }) => removed.push([code, room, message]));
    const [sending, reading] = [room.send(1), room.history()];
    const [sent] = lastSocket().take('send');
    lastSocket().deliver({ t: 'left', room: 'r', removed: true });
    lastSocket().deliver(rejection(sent?.id as string, 'not_member', false), message(1));
    for (const promise of [sending, reading, room.send(2)]) {
      await expect(promise).rejects.toMatchObject({ code: 'removed', room: 'r' });
    }
    expect(removed).toEqual([['removed', 'r', 'removed from the room r']]);
    expect(errors).toEqual([]);
    lastSocket().take('join');
    await reconnect();
    expect(lastSocket().take('join')).toMatchObject([{ room: 's' }]);
    const again = hub.join<Json, Json>('r');
    expect(again).not.toBe(room);
    expect(lastSocket().take('join')).toEqual([{ t: 'join', room: 'r' }]);
    lastSocket().deliver({ t: 'left', room: 'r' }, joined('s', 0), joined('r', 0));
    expect(await Promise.race([again.send(3), Promise.resolve('pending')])).toBe('pending');
    expect([hub.pending, other.count]).toEqual([1, 1]);
  });

  test('removes the client while it leaves and joins again: the new membership stays', async () => {
    const { hub, room } = await joinRoom();
    room.leave();
    const again = hub.join<Json, Json>('r');
    const errors: unknown[] = [];
    hub.on('error', ({ code }) => errors.push(code));
    lastSocket().deliver({ t: 'left', room: 'r', removed: true });
    lastSocket().deliver({ t: 'error', code: 'not_member', message: 'not a member', retry: false, room: 'r' });
    lastSocket().deliver(joined('r', 4));
    const sending = again.send(1);
    const [sent] = lastSocket().take('send');
    lastSocket().deliver({ t: 'sent', room: 'r', id: sent?.id as string, seq: 5 });
    expect(await sending).toBe(5);
    expect(errors).toEqual([]);
  });
});
