import { expect, test } from 'vitest';
import { Client } from '../../src/client/client.ts';
import { Keepalive } from '../../src/client/keepalive.ts';
import { memory } from '../../src/engine/memory.ts';
import { Hub } from '../../src/hub/hub.ts';
import type { Presence } from '../../src/protocol/v1.ts';
import { v1 } from '../../src/wire/v1.ts';
import { SimulatedSocket } from '../simulation/socket.ts';
import { VirtualTime } from '../simulation/virtual.ts';

async function scene() {
  const time = new VirtualTime();
  const hub = new Hub({ engine: memory(), clock: time, scheduler: time });
  await hub.open();
  const context = { hub, clock: time, keepalive: new Keepalive(time, time), publishRate: undefined };
  let clients = 0;
  const connect = () => {
    const client = new Client(`c${clients++}`, v1(), context, { rooms: ['r'] });
    const socket = new SimulatedSocket(client, { kernel: 1e6, backpressure: 1e6, closesAtOnce: true });
    client.open(socket);
    const told = () =>
      socket.received
        .flatMap((frame) => Buffer.from(frame).toString().split('\n'))
        .map((line) => JSON.parse(line))
        .filter((message): message is Presence => message.t === 'presence');
    return { client, socket, told };
  };
  return { time, hub, connect };
}

test('a room of n members is told once in n milliseconds at most, and then all of it', async () => {
  const { time, connect } = await scene();
  const first = connect();
  for (let i = 0; i < 99; i++) {
    connect();
    time.settle(); // each in a turn of its own
  }
  time.advance(1_000);
  expect(first.told().length).toBeLessThan(5);
  expect(first.told().flatMap(({ joined }) => joined)).toHaveLength(100);
  const before = first.told().length;
  for (let ms = 0; ms < 1_000; ms += 10) {
    const { socket } = connect();
    time.settle();
    socket.end(1000);
    time.advance(10);
  }
  expect(first.told().length - before).toBeGreaterThan(5);
  expect(first.told().length - before).toBeLessThan(12);
  expect(first.told().at(-1)?.count).toBe(100);
});

test('a Hub that closes leaves nothing ticking', async () => {
  const { time, hub, connect } = await scene();
  const all = Array.from({ length: 50 }, () => connect());
  time.settle();
  for (const { socket } of all) {
    socket.end(1000);
    time.settle();
  }
  await hub.close();
  time.advance(10_000);
  expect(time.timers).toBe(0);
});
