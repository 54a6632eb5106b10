import { expect, test } from 'vitest';
import { Client } from '../../src/client/client.ts';
import { Keepalive } from '../../src/client/keepalive.ts';
import { memory } from '../../src/engine/memory.ts';
import { Hub } from '../../src/hub/hub.ts';
import type { HubSettings } from '../../src/hub/settings.ts';
import type { Presence, ServerMessage } from '../../src/protocol/v1.ts';
import { v1 } from '../../src/wire/v1.ts';
import { SimulatedSocket } from '../simulation/socket.ts';
import { Random, VirtualTime } from '../simulation/virtual.ts';

async function scene(settings: Partial<HubSettings> = {}) {
  const time = new VirtualTime();
  const hub = new Hub({ engine: memory(), clock: time, scheduler: time, settings });
  await hub.open();
  const context = { hub, clock: time, keepalive: new Keepalive(time, time), publishRate: 'off' as const };
  let clients = 0;
  const connect = () => {
    const client = new Client(`c${clients++}`, v1(), context, { rooms: ['r'] });
    const socket = new SimulatedSocket(client, { kernel: 1e6, backpressure: 1e6, closesAtOnce: true });
    client.open(socket);
    const lines = () =>
      socket.received
        .flatMap((frame) => Buffer.from(frame).toString().split('\n'))
        .map((line): ServerMessage => JSON.parse(line));
    const told = () => lines().filter((message): message is Presence => message.t === 'presence');
    /** Who is there, by what this client was told. */
    const members = () => {
      let there: string[] | undefined;
      for (const message of lines()) {
        if (message.t !== 'joined' && message.t !== 'presence') continue;
        const { members, joined = [], left = [] } = { joined: undefined, left: undefined, ...message };
        if (members) there = [...members];
        there?.push(...joined);
        for (const name of left) if (there?.includes(name)) there.splice(there.indexOf(name), 1);
      }
      return there?.sort();
    };
    return { client, socket, told, members };
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

test('who joins and hears what follows always knows exactly who is there', async () => {
  const { time, connect } = await scene();
  const random = new Random(7);
  const all: ReturnType<typeof connect>[] = [];
  for (let i = 0; i < 400; i++) {
    if (random.next() < 0.6 || all.length === 0) all.push(connect());
    else all.splice(Math.floor(random.next() * all.length), 1)[0]?.socket.end(1000);
    if (random.next() < 0.5) time.settle();
    if (random.next() < 0.2) time.advance(random.next() * 20);
  }
  time.advance(10_000);
  const there = all.map(({ client }) => client.user).sort();
  expect(there.length).toBeGreaterThan(10);
  for (const { members } of all) expect(members()).toEqual(there);
});

test('a room that was too large for names names all when it no longer is', async () => {
  const { time, connect } = await scene({ namedMembers: 3 });
  const all = Array.from({ length: 5 }, () => connect());
  time.advance(1_000);
  expect(all[0]?.told().at(-1)).toEqual({ t: 'presence', room: 'r', count: 5 });
  for (const { socket } of all.splice(2, 2)) socket.end(1000);
  time.advance(1_000);
  expect(all[0]?.told().at(-1)).toEqual({ t: 'presence', room: 'r', count: 3, members: ['c0', 'c1', 'c4'] });
  for (const { members } of all) expect(members()).toEqual(['c0', 'c1', 'c4']);
});
