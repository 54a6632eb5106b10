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

interface Scene {
  settings?: HubOverrides;
  publishRate?: RateLimit;
}

/** A Hub on virtual time, and clients of the gorilla wire on simulated sockets. */
async function scene({ settings = {}, publishRate = 'off' }: Scene = {}) {
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
    return { client, socket, got: () => socket.received.map((frame) => Buffer.from(frame).toString()) };
  };
  const hear = <K extends keyof HubEvents>(type: K): HubEvents[K][] => {
    const events: HubEvents[K][] = [];
    hub.events.on(type, (event) => events.push(event));
    return events;
  };
  return { time, hub, keepalive, connect, hear };
}

const text = (said: string) => Buffer.from(said);

describe('a client', () => {
  test('is opening until the Hub has taken it into its room, then ready, then closed', async () => {
    const { time, connect } = await scene();
    const { client, socket } = connect();
    expect(client.state).toBe('opening');
    time.settle();
    expect(client.state).toBe('ready');
    socket.end(1001);
    expect(client.state).toBe('closed');
  });

  test('is closing between its goodbye and the end of its socket', async () => {
    const { time, connect } = await scene();
    const { client, socket } = connect({ closesAtOnce: false });
    time.settle();
    client.end(closes.goingAway);
    expect(client.state).toBe('closing');
    socket.end(1001);
    expect(client.state).toBe('closed');
  });

  test('hears what it says before its join was carried out, as everyone does', async () => {
    const { time, connect } = await scene();
    const one = connect();
    const two = connect();
    one.client.message(text('hello'), false);
    two.client.message(text('you too'), true);
    time.settle();
    expect(one.got()).toEqual(['hello\nyou too']);
    expect(two.got()).toEqual(['hello\nyou too']);
  });

  test('is not heard once it has closed, whatever its socket still tells', async () => {
    const { time, hub, connect } = await scene();
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
    expect(one.got()).toEqual([]);
    expect(two.socket.misuse).toEqual([]);
    expect(hub.waiting('unregister')).toBe(0);
  });

  test('gets what it is told ahead of the records that wait, and is closed when too much waits', async () => {
    const { time, connect } = await scene();
    const { client, socket, got } = connect({ kernel: 0 });
    time.settle();
    socket.stall();
    for (const said of ['one', 'two', 'three']) {
      client.message(text(said), false);
      time.settle();
    }
    client.notify('note');
    client.pump.release();
    socket.read();
    time.settle();
    expect(got()).toEqual(['one', 'note', 'two\nthree']);
    socket.stall();
    for (let i = 0; i < 400 && !client.closed; i++) {
      client.notify('note');
      client.pump.release();
    }
    expect(client.closed).toBe(true);
  });
});

describe('bad input', () => {
  test('over 512 bytes is closed with 1009, and 512 bytes are not', async () => {
    const { time, connect } = await scene();
    const { client, socket, got } = connect();
    client.message(text('x'.repeat(512)), false);
    time.settle();
    expect(got()).toEqual(['x'.repeat(512)]);
    client.message(text('x'.repeat(513)), false);
    expect(socket.closedWith).toEqual({ code: 1009, reason: '' });
  });

  test('binary that is no UTF-8 is closed with 1007 and reaches nobody', async () => {
    const { time, connect } = await scene();
    const one = connect();
    const two = connect();
    one.client.message(Uint8Array.of(0x68, 0xff, 0xfe), true);
    time.settle();
    expect(one.socket.closedWith?.code).toBe(1007);
    expect(two.got()).toEqual([]);
  });

  test('no bytes make the client throw', async () => {
    const { time, connect } = await scene();
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.uint8Array({ maxLength: 600 }), fc.boolean())), (frames) => {
        const { client } = connect();
        for (const [bytes, binary] of frames) client.message(bytes, binary);
        time.settle();
      }),
    );
  });
});

describe('the publish rate', () => {
  test('lets the burst through, then so many a second, then closes with its code', async () => {
    const { time, connect } = await scene({ publishRate: { perSecond: 10, burst: 5 } });
    const { client, socket } = connect();
    for (let i = 0; i < 5; i++) client.message(text('x'), false);
    time.advance(100);
    client.message(text('x'), false);
    expect(client.closed).toBe(false);
    client.message(text('x'), false);
    expect(socket.closedWith).toEqual(closes.rateExceeded);
  });

  test('saves up no more than the burst', async () => {
    const { time, connect } = await scene({ publishRate: { perSecond: 10, burst: 3 } });
    const { client, socket } = connect();
    time.advance(10_000);
    for (let i = 0; i < 3; i++) client.message(text('x'), false);
    expect(client.closed).toBe(false);
    client.message(text('x'), false);
    expect(socket.closedWith?.code).toBe(closes.rateExceeded.code);
  });
});

describe('a full mailbox', () => {
  test('is told to the sender, and costs the readers nothing', async () => {
    const mailboxes = { register: 10, unregister: 10, broadcast: 3 };
    const { time, connect, hear } = await scene({ settings: { mailboxes } });
    const overloads = hear('overloaded');
    const sender = connect();
    const reader = connect();
    time.settle();
    for (const said of ['1', '2', '3', '4']) sender.client.message(text(said), false);
    expect(sender.socket.closedWith?.code).toBe(closes.busy.code);
    expect(overloads).toEqual([{ mailbox: 'broadcast', capacity: 3 }]);
    time.settle();
    expect(reader.got()).toEqual(['1\n2\n3']);
  });

  test('of joins closes the newcomer with "try again later"', async () => {
    const mailboxes = { register: 1, unregister: 10, broadcast: 3 };
    const { connect } = await scene({ settings: { mailboxes } });
    connect();
    expect(connect().socket.closedWith?.code).toBe(closes.busy.code);
  });

  test('of broadcasts never refuses a leave', async () => {
    const mailboxes = { register: 10, unregister: 1, broadcast: 1 };
    const { time, hub, connect } = await scene({ settings: { mailboxes } });
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
  test('pings every 54 s, and the pong tells the lag', async () => {
    const { time, connect } = await scene();
    const { client, socket } = connect();
    socket.stall(); // its pong will wait
    time.advance(53_900);
    time.advance(200);
    time.advance(2_000);
    socket.read();
    expect(client.lag).toBeGreaterThanOrEqual(2_000);
    expect(client.lag).toBeLessThan(3_100);
  });

  test('closes a client without a pong after 60 s and no frame, though it sends all the while', async () => {
    const { time, connect, hear } = await scene();
    const gone = hear('disconnected');
    const { client, socket } = connect({ kernel: 1e9 });
    socket.stall();
    for (let s = 0; s < 59; s++) {
      time.advance(1_000);
      client.message(text('I am here'), false);
    }
    expect(client.closed).toBe(false);
    time.advance(2_000);
    expect(socket.closedWith?.code).toBe(1006);
    expect(gone).toMatchObject([{ close: { code: 1006, reason: closes.pongTimeout.reason }, by: 'server' }]);
  });

  test('lets a client live as long as it answers', async () => {
    const { time, connect, keepalive } = await scene();
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

  test('takes an unasked pong as a sign of life, but not for a lag', async () => {
    const { time, connect } = await scene();
    const { client } = connect();
    for (let s = 0; s < 120; s++) {
      time.advance(1_000);
      client.pong(Uint8Array.of(1, 2, 3));
    }
    expect([client.state, client.lag]).toEqual(['ready', 0]);
  });

  test('keeps one timer, however many clients there are', async () => {
    const { time, connect } = await scene({ settings: { roomIdle: 1e9 } });
    connect();
    time.settle();
    const timers = time.timers;
    for (let i = 0; i < 50; i++) connect();
    time.settle();
    expect(time.timers).toBe(timers);
  });
});

describe('a slow client', () => {
  const small = { settings: { sendBuffer: { records: 10, bytes: 1e6 } } };

  test('is parked, and reads on from where it stood when its socket drains', async () => {
    const { time, connect, hear } = await scene(small);
    const [lagging, drained] = [hear('lagging'), hear('drained')];
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
    expect(slow.got()).toEqual(['0', '1\n2\n3\n4\n5\n6\n7']);
    expect(drained).toEqual([{ client: 'c1', room: PUBLIC_ROOM }]);
  });

  test('is evicted past the send buffer, with its cursor in the log and what it was owed before the close frame', async () => {
    const { time, connect, hear } = await scene(small);
    const [evicted, gone] = [hear('evicted'), hear('disconnected')];
    const slow = connect({ kernel: 0 });
    const fast = connect();
    time.settle();
    slow.socket.stall();
    for (let i = 0; i < 12; i++) {
      fast.client.message(text(`${i}`), false);
      time.settle();
    }
    expect(evicted).toMatchObject([
      { client: 'c1', room: PUBLIC_ROOM, seq: 1, records: 11, why: 'reading too slowly' },
    ]);
    expect(slow.socket.closedWith?.code).toBe(1005);
    expect(gone).toMatchObject([{ client: 'c1', close: { code: 1005 }, by: 'server' }]);
    expect(slow.got()).toEqual(['0']);
    expect(fast.got().join('\n').split('\n')).toHaveLength(12);
  });

  test('is evicted when it takes nothing for writeWait', async () => {
    const { time, connect, hear } = await scene();
    const evicted = hear('evicted');
    const stuck = connect({ kernel: 0 });
    time.settle();
    stuck.socket.stall();
    stuck.client.message(text('x'), false);
    time.advance(9_000);
    expect(stuck.client.closed).toBe(false);
    time.advance(2_000);
    expect(evicted).toMatchObject([{ client: 'c1', why: closes.writeTimeout.reason }]);
  });

  test('is not stalled while it takes a little now and then', () => {
    const time = new VirtualTime();
    const pump = new WritePump(gorilla(), time);
    const listener = { open() {}, message() {}, pong() {}, drain() {}, close() {} };
    const socket = new SimulatedSocket(listener, { kernel: 0, backpressure: 1000, closesAtOnce: true });
    socket.stall();
    pump.open(socket);
    for (const line of ['x'.repeat(100), 'too much for the socket']) {
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
