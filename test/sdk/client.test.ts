import { connect, type Options, type State } from 'pumphouse/client';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { ErrorMessage, Json } from '../../src/protocol/v1.ts';
import { FakeSocket, lastSocket, MemoryStore } from './fake-server.ts';

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.all.length = 0;
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** A hub that has asked for its socket. */
async function start(options: Options = {}, url = 'http://hub.test') {
  const hub = connect(url, { WebSocket: FakeSocket, ...options });
  const states: State[] = [];
  hub.on('state', (state) => states.push(state));
  await vi.advanceTimersByTimeAsync(0);
  return { hub, states, names: () => states.map(({ name }) => name) };
}

const joined = (room: string, seq: number, more: object = {}) =>
  ({ t: 'joined', room, epoch: 'e', seq, recovered: true, count: 1, members: ['ada'], ...more }) as const;
const message = (seq: number, data: Json = seq, id = '') =>
  ({ t: 'message', room: 'r', seq, id, from: 'bob', at: 1, data }) as const;
const refusal = (id: string, code: ErrorMessage['code'], retry: boolean) =>
  ({ t: 'error', code, message: code, retry, ...(retry && { retryAfter: 1000 }), id, room: 'r' }) as const;

/** A hub that is live and in room `r`. */
async function inRoom(options: Options = {}) {
  const scene = await start(options);
  const room = scene.hub.join<Json, Json>('r');
  lastSocket().welcome();
  lastSocket().say(joined('r', 0));
  return { ...scene, room };
}

/** The connection is lost and made again, up to the welcome. */
async function comeBack() {
  lastSocket().lose();
  await vi.advanceTimersByTimeAsync(20_000);
  lastSocket().welcome();
}

describe('the connection', () => {
  test.each([
    ['http://hub.test', 'ws://hub.test/ws'],
    ['https://hub.test/', 'wss://hub.test/ws'],
    ['ws://hub.test/chat?x=1#y', 'ws://hub.test/chat?x=1'],
  ])('%s is looked for at %s', async (url, address) => {
    await start({}, url);
    expect(lastSocket().url.href).toBe(address);
  });

  test('a URL or a user that is none, or a platform without WebSockets, is said at once', () => {
    expect(() => connect('no url', { WebSocket: FakeSocket })).toThrow(TypeError);
    expect(() => connect('http://hub.test', { WebSocket: FakeSocket, user: '' })).toThrow('1 to 64 bytes');
    expect(() => connect('http://hub.test', { WebSocket: FakeSocket, user: 'é'.repeat(33) })).toThrow('1 to 64 bytes');
    vi.stubGlobal('WebSocket', undefined);
    expect(() => connect('http://hub.test')).toThrow('no WebSocket');
    vi.unstubAllGlobals();
  });

  test('is live with the welcome, and says who one is', async () => {
    const { hub, states } = await start({ user: 'ada' });
    expect(lastSocket().url.searchParams.get('user')).toBe('ada');
    expect(hub.state).toEqual({ name: 'connecting' });
    lastSocket().welcome();
    expect(hub.state).toMatchObject({ name: 'live', user: 'ada', session: 's', limits: { message: 1000 } });
    expect(states.at(-1)).toBe(hub.state);
  });

  test('shows its token first, and another one in time', async () => {
    let asked = 0;
    const { hub } = await start({ token: async () => `token-${++asked}` });
    lastSocket().onopen?.({} as never);
    await vi.advanceTimersByTimeAsync(0);
    expect(lastSocket().take('auth')).toEqual([{ t: 'auth', token: 'token-1' }]);
    lastSocket().welcome({ expiresIn: 20 });
    expect(hub.state.name).toBe('live');
    await vi.advanceTimersByTimeAsync(15_000);
    expect(lastSocket().take('auth')).toEqual([]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(lastSocket().take('auth')).toEqual([{ t: 'auth', token: 'token-2' }]);
    lastSocket().say({ t: 'authenticated', user: 'ada', expiresIn: 10 });
    await vi.advanceTimersByTimeAsync(8_000);
    expect(lastSocket().take('auth')).toEqual([{ t: 'auth', token: 'token-3' }]);
    lastSocket().lose(4004, 'expired');
    await vi.advanceTimersByTimeAsync(500);
    lastSocket().onopen?.({} as never);
    await vi.advanceTimersByTimeAsync(0);
    expect(lastSocket().take('auth')).toEqual([{ t: 'auth', token: 'token-4' }]);
  });

  test('is refused with a token that is no good, and tried again while there is none to be had', async () => {
    const { hub } = await start({ token: 'the only one' });
    lastSocket().onopen?.({} as never);
    await vi.advanceTimersByTimeAsync(0);
    expect(lastSocket().take('auth')).toEqual([{ t: 'auth', token: 'the only one' }]);
    lastSocket().welcome({ expiresIn: 1 });
    await vi.advanceTimersByTimeAsync(5_000);
    expect(lastSocket().take('auth')).toEqual([]); // it would be the same again
    lastSocket().lose(4501, 'not signed in');
    expect(hub.state).toEqual({ name: 'refused', code: 4501, why: 'not signed in' });
    const other = await start({ token: () => Promise.reject(new Error('no network')) });
    lastSocket().onopen?.({} as never);
    await vi.advanceTimersByTimeAsync(0);
    expect(other.hub.state).toMatchObject({ name: 'reconnecting', why: 'there was no token to be had' });
  });

  test('comes back as the same session after a random part of a delay that doubles, up to 20 s', async () => {
    const { hub } = await start();
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    lastSocket().welcome();
    for (const delay of [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]) {
      lastSocket().lose(1006);
      expect(hub.state).toEqual({ name: 'reconnecting', in: delay, why: 'the connection was lost', code: 1006 });
      const { length } = FakeSocket.all;
      await vi.advanceTimersByTimeAsync(delay - 1);
      expect(FakeSocket.all).toHaveLength(length);
      await vi.advanceTimersByTimeAsync(1);
      expect(FakeSocket.all).toHaveLength(length + 1);
      expect(lastSocket().url.searchParams.get('resume')).toBe('secret');
    }
    lastSocket().welcome();
    await vi.advanceTimersByTimeAsync(5001);
    lastSocket().lose(1006);
    expect(hub.state).toMatchObject({ in: 250 });
  });

  test('comes back when the server said it should', async () => {
    const { hub } = await start();
    lastSocket().welcome();
    lastSocket().say({ t: 'drain', reconnectIn: 7300 });
    lastSocket().lose(1001, 'the server is shutting down');
    expect(hub.state).toEqual({ name: 'reconnecting', in: 7300, why: 'the server is shutting down', code: 1001 });
  });

  test('does not come back after a close that means so, until it is told to', async () => {
    const { hub } = await start();
    lastSocket().welcome();
    lastSocket().lose(4500, 'another connection goes on with this session');
    expect(hub.state).toEqual({ name: 'refused', code: 4500, why: 'another connection goes on with this session' });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(FakeSocket.all).toHaveLength(1);
    hub.reconnect();
    expect(FakeSocket.all).toHaveLength(2);
  });

  test('a server that does not welcome, or falls silent, is given up', async () => {
    const { hub } = await start();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(hub.state).toMatchObject({ name: 'reconnecting', why: 'the server did not answer' });
    expect(FakeSocket.all[0]?.closed).toBe(true);
    hub.reconnect();
    const socket = lastSocket();
    socket.welcome();
    await vi.advanceTimersByTimeAsync(20_000);
    socket.say(message(1));
    await vi.advanceTimersByTimeAsync(24_000);
    expect(socket.take('ping')).toHaveLength(0);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(socket.take('ping')).toHaveLength(1);
    socket.say({ t: 'pong' });
    await vi.advanceTimersByTimeAsync(34_999);
    expect([hub.state.name, socket.take('ping').length]).toEqual(['live', 1]);
    await vi.advanceTimersByTimeAsync(1);
    expect(hub.state).toMatchObject({ name: 'reconnecting', why: 'the server fell silent' });
  });

  test('what an old socket still says is nothing to the new one', async () => {
    const { hub, room } = await inRoom();
    const seen: number[] = [];
    room.on('message', ({ seq }) => seen.push(seq));
    const [old] = FakeSocket.all;
    await comeBack();
    old?.say(message(1));
    old?.lose(4500);
    expect([hub.state.name, seen]).toEqual(['live', []]);
  });

  test('a server that talks nonsense is left', async () => {
    const { hub } = await start();
    lastSocket().say('<html>');
    expect(hub.state).toMatchObject({ name: 'reconnecting', why: 'the server does not speak the protocol' });
  });

  test('a message that nobody waits for and that is given up is no unhandled rejection', async () => {
    const { hub, room } = await inRoom();
    const unhandled: unknown[] = [];
    const note = (reason: unknown) => unhandled.push(reason);
    process.on('unhandledRejection', note);
    void room.send('x');
    hub.close();
    vi.useRealTimers();
    await new Promise((resolve) => setTimeout(resolve, 10));
    process.off('unhandledRejection', note);
    expect(unhandled).toEqual([]);
  });

  test('close() ends it for good, and rejects what waits', async () => {
    const { hub, room, names } = await inRoom();
    const sent = room.send('x');
    const asked = room.history();
    const rejected = Promise.allSettled([sent, asked]);
    await vi.advanceTimersByTimeAsync(0);
    hub.close();
    expect((await rejected).map((one) => one.status === 'rejected' && one.reason.code)).toEqual(['closed', 'closed']);
    await expect(room.send('too late')).rejects.toMatchObject({ code: 'closed' });
    await vi.advanceTimersByTimeAsync(60_000);
    expect([names().at(-1), FakeSocket.all.length, lastSocket().closed]).toEqual(['closed', 1, true]);
  });

  test('a handler that throws keeps nothing from the others', async () => {
    const { room } = await inRoom();
    const thrown: unknown[] = [];
    vi.stubGlobal('queueMicrotask', (work: () => void) => {
      try {
        work();
      } catch (error) {
        thrown.push(error);
      }
    });
    const seen: number[] = [];
    room.on('message', () => {
      throw new Error('mine');
    });
    room.on('message', ({ seq }) => seen.push(seq));
    lastSocket().say(message(1), message(2));
    vi.unstubAllGlobals();
    expect([seen, thrown.length]).toEqual([[1, 2], 2]);
  });
});

describe('a room', () => {
  test('gives each message once and in order, and comes back at its place', async () => {
    const { room } = await inRoom();
    const seen: Json[] = [];
    const places: unknown[] = [];
    room.on('message', ({ data }) => seen.push(data));
    room.on('joined', (told) => places.push(told));
    lastSocket().say(message(1, 'a'), message(2, 'b'));
    await comeBack();
    expect(lastSocket().take('join')).toEqual([{ t: 'join', room: 'r', since: { epoch: 'e', seq: 2 } }]);
    lastSocket().say(joined('r', 2), message(2, 'b'), message(3, 'c'));
    expect(seen).toEqual(['a', 'b', 'c']);
    expect(room.place).toEqual({ epoch: 'e', seq: 3 });
    expect(places).toEqual([{ place: { epoch: 'e', seq: 2 }, recovered: true, again: true }]);
  });

  test('asks for history or a place the first time only', async () => {
    const { hub } = await start();
    hub.join('a', { history: 20 });
    hub.join('b', { since: { epoch: 'old', seq: 7 } });
    lastSocket().welcome();
    expect(lastSocket().take('join')).toEqual([
      { t: 'join', room: 'a', history: 20 },
      { t: 'join', room: 'b', since: { epoch: 'old', seq: 7 } },
    ]);
    lastSocket().say(joined('a', 5), joined('b', 7));
    await comeBack();
    expect(lastSocket().take('join')).toMatchObject([{ since: { seq: 5 } }, { since: { epoch: 'e', seq: 7 } }]);
    expect(hub.join('a')).toBe(hub.join('a'));
  });

  test('tells of a gap, and goes on after it', async () => {
    const { room } = await inRoom();
    const told: unknown[] = [];
    room.on('gap', (gap) => told.push(gap));
    room.on('message', ({ seq }) => told.push(seq));
    lastSocket().say({ t: 'gap', room: 'r', from: 1, to: 4, why: 'slow' }, message(5));
    await comeBack();
    lastSocket().say(joined('r', 2, { epoch: 'new', recovered: false }));
    lastSocket().say({ t: 'gap', room: 'r', from: 1, to: 2, why: 'epoch' }, message(3));
    expect(told).toEqual([{ from: 1, to: 4, why: 'slow' }, 5, { from: 1, to: 2, why: 'epoch' }, 3]);
    expect(room.place).toEqual({ epoch: 'new', seq: 3 });
  });

  test('knows who is there', async () => {
    const { room } = await inRoom();
    const told: unknown[] = [];
    room.on('presence', (change) => told.push(change));
    lastSocket().say({ t: 'presence', room: 'r', count: 3, joined: ['bob', 'bob'], left: [] });
    expect([room.members, room.count]).toEqual([['ada', 'bob', 'bob'], 3]);
    lastSocket().say({ t: 'presence', room: 'r', count: 2, joined: [], left: ['bob'] });
    expect(room.members).toEqual(['ada', 'bob']);
    lastSocket().say({ t: 'presence', room: 'r', count: 2000 });
    expect([room.members, room.count]).toEqual([undefined, 2000]);
    lastSocket().say({ t: 'presence', room: 'r', count: 1, members: ['eve'] });
    expect(room.members).toEqual(['eve']);
    expect(told[1]).toEqual({ joined: [], left: ['bob'] });
  });

  test('passes signals on, and sends none while it cannot', async () => {
    const { hub, room } = await inRoom();
    const told: unknown[] = [];
    room.on('signal', (signal) => told.push(signal));
    lastSocket().say({ t: 'signal', room: 'r', from: 'bob', data: 'typing' });
    expect(told).toEqual([{ from: 'bob', data: 'typing' }]);
    room.signal({ typing: true });
    expect(lastSocket().take('signal')).toEqual([{ t: 'signal', room: 'r', data: { typing: true } }]);
    lastSocket().lose();
    room.signal('lost');
    hub.reconnect();
    lastSocket().welcome();
    lastSocket().say(joined('r', 0));
    expect(lastSocket().take('signal')).toEqual([]);
  });

  test('answers each question about the past with its own page, also across a lost connection', async () => {
    const { room } = await inRoom();
    const [first, second] = [room.history({ before: 9 }), room.history({ after: 9, limit: 5 })];
    const asked = lastSocket().take('history');
    expect(asked).toMatchObject([{ before: 9 }, { after: 9, limit: 5 }]);
    const page = (id: string | undefined, seq: number) =>
      ({ t: 'history', room: 'r', ...(id && { id }), messages: [message(seq)], more: false }) as const;
    lastSocket().say(page(asked[1]?.id, 10));
    expect((await second).messages[0]).toMatchObject({ seq: 10 });
    await comeBack();
    expect(lastSocket().take('history')).toEqual([]);
    lastSocket().say(joined('r', 0));
    expect(lastSocket().take('history')).toEqual([asked[0]]);
    lastSocket().say({ ...refusal(asked[0]?.id as string, 'rate_limited', true) });
    await vi.advanceTimersByTimeAsync(1000);
    expect(lastSocket().take('history')).toEqual([asked[0]]);
    lastSocket().say(page(asked[0]?.id, 8));
    expect((await first).messages[0]).toMatchObject({ seq: 8 });
    const bad = room.history({ limit: 5000 });
    lastSocket().say(refusal(lastSocket().take('history')[0]?.id as string, 'bad_field', false));
    await expect(bad).rejects.toMatchObject({ name: 'HubError', code: 'bad_field', room: 'r' });
  });

  test('that may not be joined yet is joined later; one that may not at all is an error', async () => {
    const { hub } = await start();
    const errors: unknown[] = [];
    hub.on('error', ({ code, room }) => errors.push([code, room]));
    const room = hub.join('r');
    const waiting = Promise.allSettled([room.send(1), room.history()]);
    lastSocket().welcome();
    expect(lastSocket().take('join')).toHaveLength(1);
    lastSocket().say({ t: 'error', code: 'busy', message: '', retry: true, retryAfter: 500, room: 'r' });
    await vi.advanceTimersByTimeAsync(500);
    expect(lastSocket().take('join')).toHaveLength(1);
    lastSocket().say({ t: 'error', code: 'too_many_rooms', message: '', retry: false, room: 'r' });
    expect(errors).toEqual([['too_many_rooms', 'r']]);
    const reasons = (await waiting).map((one) => one.status === 'rejected' && one.reason.code);
    expect([reasons, hub.pending]).toEqual([['too_many_rooms', 'too_many_rooms'], 0]);
  });

  test('that is left is heard no more, and can be joined anew', async () => {
    const { hub, room } = await inRoom();
    const waits = room.send('x');
    await vi.advanceTimersByTimeAsync(0);
    room.leave();
    await expect(waits).rejects.toMatchObject({ code: 'left' });
    expect(lastSocket().take('leave')).toHaveLength(1);
    const seen: number[] = [];
    const again = hub.join('r');
    expect(again).not.toBe(room);
    again.on('message', ({ seq }) => seen.push(seq));
    lastSocket().say(message(1), { t: 'left', room: 'r' }, joined('r', 1), message(2));
    expect([seen, hub.pending]).toEqual([[2], 0]);
  });

  test('tells how far it was shown, forwards only', async () => {
    const { room } = await inRoom();
    for (const seq of [3, 3, 2, 5]) room.shown(seq);
    expect(
      lastSocket()
        .take('ack')
        .map(({ seq }) => seq),
    ).toEqual([3, 5]);
  });
});

describe('what is sent', () => {
  test('is answered with its seq', async () => {
    const { hub, room } = await inRoom();
    const told: unknown[] = [];
    room.on('sent', (sent) => told.push(sent));
    const seq = room.send({ text: 'hi' });
    expect([hub.pending, room.pending[0]?.data]).toEqual([1, { text: 'hi' }]);
    const [send] = lastSocket().take('send');
    expect(send).toMatchObject({ t: 'send', room: 'r', data: { text: 'hi' } });
    const id = send?.id as string;
    expect(room.pending[0]?.id).toBe(id);
    lastSocket().say({ t: 'sent', room: 'r', id, seq: 7 });
    expect(await seq).toBe(7);
    expect([hub.pending, told]).toEqual([0, [{ id, seq: 7 }]]);
  });

  test('waits for the connection and the room, and goes out in order, a lost answer included', async () => {
    const { hub } = await start();
    const room = hub.join<number>('r');
    const seqs = [1, 2, 3].map((n) => room.send(n));
    lastSocket().welcome();
    expect(lastSocket().take('send')).toEqual([]);
    lastSocket().say(joined('r', 0));
    const sent = lastSocket().take('send');
    expect(sent.map(({ data }) => data)).toEqual([1, 2, 3]);
    lastSocket().say({ t: 'sent', room: 'r', id: sent[0]?.id as string, seq: 1 });
    const late = room.send(4);
    await comeBack();
    lastSocket().say(joined('r', 0));
    const again = lastSocket().take('send');
    expect(again.map(({ data }) => data)).toEqual([2, 3, 4]);
    expect(again.slice(0, 2)).toEqual(sent.slice(1));
    again.forEach(({ id }, i) => {
      lastSocket().say({ t: 'sent', room: 'r', id, seq: i + 2, ...(i === 0 && { duplicate: true }) });
    });
    expect(await Promise.all([...seqs, late])).toEqual([1, 2, 3, 4]);
  });

  test('is what it was when it was sent', async () => {
    const { hub } = await start();
    const room = hub.join<{ n: number }>('r');
    const data = { n: 1 };
    void room.send(data);
    data.n = 2;
    lastSocket().welcome();
    lastSocket().say(joined('r', 0));
    expect(lastSocket().take('send')[0]?.data).toEqual({ n: 1 });
  });

  test('is at most 64 at once, and at most as many a second as the server takes', async () => {
    const { hub } = await start();
    const room = hub.join<number>('r');
    const limits = { message: 1000, roomName: 128, rooms: 128, history: 1000 };
    lastSocket().welcome({ limits: { ...limits, publishRate: { perSecond: 10, burst: 20 } } });
    lastSocket().say(joined('r', 0));
    for (let n = 0; n < 100; n++) void room.send(n);
    const answer = () => {
      const sends = lastSocket().take('send');
      for (const { id } of sends) lastSocket().say({ t: 'sent', room: 'r', id, seq: 1 });
      return sends.map(({ data }) => data as number);
    };
    const first = answer();
    expect(first.length).toBeLessThanOrEqual(20);
    const later: number[] = [];
    for (let s = 0; s < 100 && hub.pending > 0; s++) {
      await vi.advanceTimersByTimeAsync(1000);
      const now = answer();
      expect(now.length).toBeLessThanOrEqual(10);
      later.push(...now);
    }
    expect([...first, ...later]).toEqual(Array.from({ length: 100 }, (_, n) => n));
    lastSocket().lose();
    hub.reconnect();
    lastSocket().welcome();
    lastSocket().say(joined('r', 0));
    for (let n = 0; n < 100; n++) void room.send(n);
    expect(lastSocket().take('send')).toHaveLength(64);
  });

  test('goes out again when the server was too busy, and the later ones after it', async () => {
    const { room } = await inRoom();
    for (const n of [1, 2]) void room.send(n);
    const sent = lastSocket().take('send');
    for (const { id } of sent) lastSocket().say(refusal(id, 'busy', true));
    void room.send(3);
    expect(lastSocket().take('send')).toEqual([]);
    await vi.advanceTimersByTimeAsync(1000);
    expect(
      lastSocket()
        .take('send')
        .map(({ data }) => data),
    ).toEqual([1, 2, 3]);
  });

  test('that the server will not take is said to who sent it, and the rest goes on', async () => {
    const { hub, room } = await inRoom();
    const errors: string[] = [];
    const failed: unknown[] = [];
    hub.on('error', ({ code }) => errors.push(code));
    room.on('failed', ({ data, error }) => failed.push([data, error.code]));
    const long = room.send('x'.repeat(1000));
    await expect(long).rejects.toMatchObject({ code: 'too_long' });
    const bad = room.send(1);
    lastSocket().say(refusal(lastSocket().take('send')[0]?.id as string, 'bad_field', false));
    await expect(bad).rejects.toMatchObject({ code: 'bad_field' });
    await expect(room.send(undefined as unknown as Json)).rejects.toThrow(TypeError);
    expect([errors, hub.pending]).toEqual([['too_long', 'bad_field'], 0]);
    expect(failed).toEqual([
      ['x'.repeat(1000), 'too_long'],
      [1, 'bad_field'],
    ]);
    void room.send(2);
    expect(lastSocket().take('send')).toHaveLength(1);
  });

  test('is handed back when the room will not have one, also what an earlier life of the program left', async () => {
    const storage = new MemoryStore();
    const first = await start({ storage });
    void first.hub.join('r').send('early');
    await vi.advanceTimersByTimeAsync(0);
    const { hub } = await start({ storage });
    lastSocket().welcome();
    const room = hub.join<string>('r');
    const failed: unknown[] = [];
    room.on('failed', ({ data, error }) => failed.push([data, error.code]));
    const late = room.send('late');
    lastSocket().say({ t: 'error', code: 'forbidden', message: 'not allowed', retry: false, room: 'r' });
    await expect(late).rejects.toMatchObject({ code: 'forbidden' });
    expect(failed).toEqual([
      ['early', 'forbidden'],
      ['late', 'forbidden'],
    ]);
  });

  test('outlives the program where there is a store, as does the session', async () => {
    const storage = new MemoryStore();
    const first = await start({ storage, user: 'ada' });
    lastSocket().welcome();
    const before = first.hub.join<number>('r');
    lastSocket().say(joined('r', 0));
    void before.send(1);
    void before.send(2);
    await vi.advanceTimersByTimeAsync(0);
    const sent = lastSocket().take('send');
    const second = await start({ storage, user: 'ada' });
    expect(lastSocket().url.searchParams.get('resume')).toBe('secret');
    lastSocket().welcome();
    const room = second.hub.join<number>('r');
    expect(room.pending.map(({ data }) => data)).toEqual([1, 2]);
    const told: unknown[] = [];
    room.on('sent', (sent) => told.push(sent));
    void room.send(3);
    lastSocket().say(joined('r', 0));
    const again = lastSocket().take('send');
    expect(again.slice(0, 2)).toEqual(sent);
    expect(again[2]?.data).toBe(3);
    for (const [i, { id }] of again.entries()) lastSocket().say({ t: 'sent', room: 'r', id, seq: i + 1 });
    expect(told).toHaveLength(3);
    await vi.advanceTimersByTimeAsync(0);
    const third = await start({ storage, user: 'ada' });
    expect(third.hub.pending).toBe(0);
    await start({ storage, user: 'bob' });
    expect(lastSocket().url.searchParams.get('resume')).toBeNull();
  });

  test('a store that throws or holds nonsense stops nothing', async () => {
    const full = new MemoryStore();
    full.setItem = () => {
      throw new Error('full');
    };
    full.getItem = () => '{';
    const { room } = await inRoom({ storage: full });
    const seq = room.send(1);
    await vi.advanceTimersByTimeAsync(0);
    lastSocket().say({ t: 'sent', room: 'r', id: lastSocket().take('send')[0]?.id as string, seq: 1 });
    expect(await seq).toBe(1);
  });
});
