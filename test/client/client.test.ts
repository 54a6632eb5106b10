import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Client } from '../../src/client/client.ts';
import { Keepalive } from '../../src/client/keepalive.ts';
import type { RateLimit } from '../../src/client/rate-limit.ts';
import { WritePump } from '../../src/client/write-pump.ts';
import { memory } from '../../src/engine/memory.ts';
import type { HubEvents } from '../../src/hub/events.ts';
import { Hub } from '../../src/hub/hub.ts';
import type { HubOverrides } from '../../src/hub/settings.ts';
import { closes } from '../../src/protocol/close-codes.ts';
import { gorilla } from '../../src/wire/gorilla.ts';
import { PUBLIC_ROOM } from '../../src/wire/text.ts';
import { type Behaviour, SimulatedSocket } from '../simulation/socket.ts';
import { VirtualTime } from '../simulation/virtual.ts';

interface SetUp {
  settings?: HubOverrides;
  publishRate?: RateLimit;
}

/** Opens a Hub on virtual time, for clients of the gorilla wire on simulated sockets. */
async function setUp({ settings = {}, publishRate = 'off' }: SetUp = {}) {
  const time = new VirtualTime();
  const hub = new Hub({ engine: memory(), clock: time, scheduler: time, settings });
  await hub.open();
  const keepalive = new Keepalive(time, time);
  const context = { hub, clock: time, keepalive, publishRate };
  const wire = gorilla();
  let clients = 0;
  const connect = (behaviour: Partial<Behaviour> = {}) => {
    const client = new Client(`c${++clients}`, wire, context);
    const socket = new SimulatedSocket(client, { kernel: 200, backpressure: 1000, closesAtOnce: true, ...behaviour });
    client.open(socket);
    return { client, socket, received: () => socket.received.map((frame) => Buffer.from(frame).toString()) };
  };
  /** Returns the events of a type as they are emitted. */
  const record = <T extends keyof HubEvents>(type: T): HubEvents[T][] => {
    const events: HubEvents[T][] = [];
    hub.events.on(type, (event) => events.push(event));
    return events;
  };
  return { time, hub, keepalive, connect, record };
}

const text = (message: string) => Buffer.from(message);

describe('a client', () => {
  test('is opening until it has joined its room, then ready, then closed', async () => {
    const { time, connect } = await setUp();
    const { client, socket } = connect();
    expect(client.state).toBe('opening');
    time.settle();
    expect(client.state).toBe('ready');
    socket.end(1001);
    expect(client.state).toBe('closed');
  });

  test('is closing between its close frame and the end of its socket', async () => {
    const { time, connect } = await setUp();
    const { client, socket } = connect({ closesAtOnce: false });
    time.settle();
    client.end(closes.goingAway);
    expect(client.state).toBe('closing');
    socket.end(1001);
    expect(client.state).toBe('closed');
  });

  test('receives what it sends before its join is processed, as do the others', async () => {
    const { time, connect } = await setUp();
    const one = connect();
    const two = connect();
    one.client.message(text('hello'), false);
    two.client.message(text('you too'), true);
    time.settle();
    expect(one.received()).toEqual(['hello\nyou too']);
    expect(two.received()).toEqual(['hello\nyou too']);
  });

  test('ignores every callback of its socket once it has closed', async () => {
    const { time, hub, connect } = await setUp();
    const one = connect();
    const two = connect();
    time.settle();
    two.client.end(closes.goingAway);
    two.client.message(text('still here?'), false);
    two.client.drain();
    two.client.pong(new Uint8Array(8));
    two.client.close(1006, '');
    two.client.end(closes.goingAway);
    time.settle();
    expect(one.received()).toEqual([]);
    expect(two.socket.misuse).toEqual([]);
    expect(hub.waiting('unregister')).toBe(0);
  });

  test('sends notices ahead of waiting records, and closes when too many notices wait', async () => {
    const { time, connect } = await setUp();
    const { client, socket, received } = connect({ kernel: 0 });
    time.settle();
    socket.stall();
    for (const message of ['one', 'two', 'three']) {
      client.message(text(message), false);
      time.settle();
    }
    client.notify('note');
    client.pump.release();
    socket.read();
    time.settle();
    expect(received()).toEqual(['one', 'note', 'two\nthree']);
    socket.stall();
    for (let i = 0; i < 400 && !client.closed; i++) {
      client.notify('note');
      client.pump.release();
    }
    expect(client.closed).toBe(true);
  });
});

describe('invalid input', () => {
  test('of more than 512 bytes closes with 1009; 512 bytes are accepted', async () => {
    const { time, connect } = await setUp();
    const { client, socket, received } = connect();
    client.message(text('x'.repeat(512)), false);
    time.settle();
    expect(received()).toEqual(['x'.repeat(512)]);
    client.message(text('x'.repeat(513)), false);
    time.settle();
    expect(socket.closedWith).toEqual({ code: 1009, reason: '' });
  });

  test('of binary that is not UTF-8 closes with 1007 and is not delivered', async () => {
    const { time, connect } = await setUp();
    const one = connect();
    const two = connect();
    one.client.message(Uint8Array.of(0x68, 0xff, 0xfe), true);
    time.settle();
    expect(one.socket.closedWith?.code).toBe(1007);
    expect(two.received()).toEqual([]);
  });

  test('of any bytes never throws', async () => {
    const { time, connect } = await setUp();
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.uint8Array({ maxLength: 600, size: 'max' }), fc.boolean())), (frames) => {
        const { client } = connect();
        for (const [bytes, binary] of frames) client.message(bytes, binary);
        time.settle();
      }),
    );
  });
});

describe('the publish rate', () => {
  test('allows the burst, then the rate, then closes with 4003', async () => {
    const { time, connect } = await setUp({ publishRate: { perSecond: 10, burst: 5 } });
    const { client, socket } = connect();
    for (let i = 0; i < 5; i++) client.message(text('x'), false);
    time.advance(100);
    client.message(text('x'), false);
    expect(client.reading).toBe(true);
    client.message(text('x'), false);
    time.settle();
    expect(socket.closedWith).toEqual(closes.rateExceeded);
  });

  test('accumulates no more than the burst', async () => {
    const { time, connect } = await setUp({ publishRate: { perSecond: 10, burst: 3 } });
    const { client, socket } = connect();
    time.advance(10_000);
    for (let i = 0; i < 3; i++) client.message(text('x'), false);
    expect(client.reading).toBe(true);
    client.message(text('x'), false);
    time.settle();
    expect(socket.closedWith?.code).toBe(closes.rateExceeded.code);
  });

  test('closes a flooding sender once it has got its own accepted messages', async () => {
    const { time, connect } = await setUp({ publishRate: { perSecond: 10, burst: 3 } });
    const { client, socket, received } = connect();
    time.settle();
    for (const letter of 'abcdef') client.message(text(letter), false);
    expect([client.state, socket.closedWith]).toEqual(['closing', undefined]);
    time.settle();
    expect(received()).toEqual(['a\nb\nc']);
    expect(socket.closedWith).toEqual(closes.rateExceeded);
  });
});

describe('a full mailbox', () => {
  test('closes the sender and leaves the readers unaffected', async () => {
    const mailboxes = { register: 10, unregister: 10, broadcast: 3 };
    const { time, connect, record } = await setUp({ settings: { mailboxes } });
    const overloads = record('overloaded');
    const sender = connect();
    const reader = connect();
    time.settle();
    for (const message of ['1', '2', '3', '4']) sender.client.message(text(message), false);
    expect(overloads).toEqual([{ mailbox: 'broadcast', capacity: 3 }]);
    time.settle();
    expect(sender.socket.closedWith?.code).toBe(closes.busy.code);
    expect(sender.received()).toEqual(['1\n2\n3']);
    expect(reader.received()).toEqual(['1\n2\n3']);
  });

  test('of joins closes the new client with 1013', async () => {
    const mailboxes = { register: 1, unregister: 10, broadcast: 3 };
    const { connect } = await setUp({ settings: { mailboxes } });
    connect();
    expect(connect().socket.closedWith?.code).toBe(closes.busy.code);
  });

  test('of broadcasts or leaves does not refuse the leave of a closed client', async () => {
    const mailboxes = { register: 10, unregister: 1, broadcast: 1 };
    const { time, hub, connect } = await setUp({ settings: { mailboxes } });
    const clients = [connect(), connect(), connect()];
    time.settle();
    clients[0]?.client.message(text('x'), false);
    for (const { socket } of clients) socket.end(1006);
    expect(hub.waiting('unregister')).toBe(3);
    time.settle();
    expect(hub.waiting('unregister')).toBe(0);
  });
});

describe('keepalive', () => {
  test('pings every 54 s, and measures the lag by the pong', async () => {
    const { time, connect } = await setUp();
    const { client, socket } = connect();
    socket.stall(); // delays its pong
    time.advance(53_900);
    time.advance(200);
    time.advance(2_000);
    socket.read();
    expect(client.lag).toBeGreaterThanOrEqual(2_000);
    expect(client.lag).toBeLessThan(3_100);
  });

  test('closes a client without a pong after 60 s, without a close frame, even if it sends', async () => {
    const { time, connect, record } = await setUp();
    const disconnected = record('disconnected');
    const { client, socket } = connect({ kernel: 1e9 });
    socket.stall();
    for (let s = 0; s < 59; s++) {
      time.advance(1_000);
      client.message(text('still here'), false);
    }
    expect(client.closed).toBe(false);
    time.advance(2_000);
    expect(socket.closedWith?.code).toBe(1006);
    expect(disconnected).toMatchObject([{ close: { code: 1006, reason: closes.pongTimeout.reason }, by: 'server' }]);
  });

  test('keeps a client that answers its pings', async () => {
    const { time, connect, keepalive } = await setUp();
    const { client, socket } = connect();
    for (let s = 0; s < 600; s++) {
      time.advance(1_000);
      socket.read();
    }
    expect(client.state).toBe('ready');
    socket.end(1000);
    time.advance(2_000);
    expect([keepalive.clients.size, client.state]).toEqual([0, 'closed']);
  });

  test('accepts an unsolicited pong as a sign of life, but does not measure the lag by it', async () => {
    const { time, connect } = await setUp();
    const { client } = connect();
    for (let s = 0; s < 120; s++) {
      time.advance(1_000);
      client.pong(Uint8Array.of(1, 2, 3));
    }
    expect([client.state, client.lag]).toEqual(['ready', 0]);
  });

  test('uses one timer for all clients', async () => {
    const { time, connect } = await setUp({ settings: { roomIdle: 1e9 } });
    connect();
    time.settle();
    const timers = time.timers;
    for (let i = 0; i < 50; i++) connect();
    time.settle();
    expect(time.timers).toBe(timers);
  });
});

describe('a slow consumer', () => {
  const small = { settings: { sendBuffer: { records: 10, bytes: 1e6 } } };

  test('is parked, and catches up from its cursor when its socket drains', async () => {
    const { time, connect, record } = await setUp(small);
    const [lagging, drained] = [record('lagging'), record('drained')];
    const slow = connect({ kernel: 0 });
    const fast = connect();
    time.settle();
    slow.socket.stall();
    for (let i = 0; i < 8; i++) {
      fast.client.message(text(`${i}`), false);
      time.settle();
    }
    expect(lagging).toEqual([{ client: 'c1', room: PUBLIC_ROOM, records: 1 }]);
    slow.socket.read();
    time.settle();
    expect(slow.received()).toEqual(['0', '1\n2\n3\n4\n5\n6\n7']);
    expect(drained).toEqual([{ client: 'c1', room: PUBLIC_ROOM }]);
  });

  test('is evicted past the send buffer, with its cursor, after the records that its socket accepted', async () => {
    const { time, connect, record } = await setUp(small);
    const [evicted, disconnected] = [record('evicted'), record('disconnected')];
    const slow = connect({ kernel: 0 });
    const fast = connect();
    time.settle();
    slow.socket.stall();
    for (let i = 0; i < 12; i++) {
      fast.client.message(text(`${i}`), false);
      time.settle();
    }
    expect(evicted).toMatchObject([
      { client: 'c1', user: 'c1', room: PUBLIC_ROOM, seq: 1, records: 11, why: 'reading too slowly' },
    ]);
    expect(slow.socket.closedWith?.code).toBe(1005);
    expect(disconnected).toMatchObject([{ client: 'c1', close: { code: 1005 }, by: 'server' }]);
    expect(slow.received()).toEqual(['0']);
    expect(fast.received().join('\n').split('\n')).toHaveLength(12);
  });

  test('is evicted when its socket accepts nothing for writeWait', async () => {
    const { time, connect, record } = await setUp();
    const evicted = record('evicted');
    const stuck = connect({ kernel: 0 });
    time.settle();
    stuck.socket.stall();
    stuck.client.message(text('x'), false);
    time.advance(9_000);
    expect(stuck.client.closed).toBe(false);
    time.advance(2_000);
    expect(evicted).toMatchObject([{ client: 'c1', why: closes.writeTimeout.reason }]);
  });

  test('is not stalled while its socket accepts a little now and then', () => {
    const time = new VirtualTime();
    const pump = new WritePump(gorilla(), time);
    const listener = { open() {}, message() {}, pong() {}, drain() {}, close() {} };
    const socket = new SimulatedSocket(listener, { kernel: 0, backpressure: 1000, closesAtOnce: true });
    socket.stall();
    pump.open(socket);
    for (const line of ['x'.repeat(100), 'more than the socket accepts']) {
      pump.queue(line);
      pump.release();
    }
    let buffered = 100;
    Object.defineProperty(socket, 'bufferedAmount', { get: () => buffered });
    for (let s = 0; s < 100; s++) {
      time.advance(1_000);
      if (s % 5 === 0) buffered--;
      expect(pump.stalledFor(time.now())).toBeLessThan(5_001);
    }
    time.advance(10_000);
    expect(pump.stalledFor(time.now())).toBeGreaterThanOrEqual(10_000);
  });
});
