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

async function setUp(settings: Partial<HubSettings> = {}) {
  const time = new VirtualTime();
  const hub = new Hub({ engine: memory(), clock: time, scheduler: time, settings });
  await hub.open();
  const context = { hub, clock: time, keepalive: new Keepalive(time, time), publishRate: 'off' as const };
  let clients = 0;
  const connect = () => {
    const client = new Client(`c${clients++}`, v1(), context, { rooms: ['r'] });
    const socket = new SimulatedSocket(client, { kernel: 1e6, backpressure: 1e6, closesAtOnce: true });
    client.open(socket);
    const messages = () =>
      socket.received
        .flatMap((frame) => Buffer.from(frame).toString().split('\n'))
        .map((line): ServerMessage => JSON.parse(line));
    const presences = () => messages().filter((message): message is Presence => message.t === 'presence');
    /** The members of the room, computed from the messages that this client received. */
    const members = () => {
      let present: string[] | undefined;
      for (const message of messages()) {
        if (message.t !== 'joined' && message.t !== 'presence') continue;
        const { members, joined = [], left = [] } = { joined: undefined, left: undefined, ...message };
        if (members) present = [...members];
        present?.push(...joined);
        for (const name of left) if (present?.includes(name)) present.splice(present.indexOf(name), 1);
      }
      return present?.sort();
    };
    return { client, socket, presences, members };
  };
  return { time, hub, connect };
}

test('notifies a room of n members at most once in n milliseconds, of every change', async () => {
  const { time, connect } = await setUp();
  const first = connect();
  for (let i = 0; i < 99; i++) {
    connect();
    time.settle(); // each joins in a turn of its own
  }
  time.advance(1_000);
  expect(first.presences().length).toBeLessThan(5);
  expect(first.presences().flatMap(({ joined }) => joined)).toHaveLength(100);
  const before = first.presences().length;
  for (let ms = 0; ms < 1_000; ms += 10) {
    const { socket } = connect();
    time.settle();
    socket.end(1000);
    time.advance(10);
  }
  expect(first.presences().length - before).toBeGreaterThan(5);
  expect(first.presences().length - before).toBeLessThan(12);
  expect(first.presences().at(-1)?.count).toBe(100);
});

test('leaves no timer when the Hub closes', async () => {
  const { time, hub, connect } = await setUp();
  const connections = Array.from({ length: 50 }, () => connect());
  time.settle();
  for (const { socket } of connections) {
    socket.end(1000);
    time.settle();
  }
  await hub.close();
  time.advance(10_000);
  expect(time.timers).toBe(0);
});

test('gives every member the exact list, whenever it joined', async () => {
  const { time, connect } = await setUp();
  const random = new Random(7);
  const connections: ReturnType<typeof connect>[] = [];
  for (let i = 0; i < 400; i++) {
    if (random.next() < 0.6 || connections.length === 0) connections.push(connect());
    else connections.splice(Math.floor(random.next() * connections.length), 1)[0]?.socket.end(1000);
    if (random.next() < 0.5) time.settle();
    if (random.next() < 0.2) time.advance(random.next() * 20);
  }
  time.advance(10_000);
  const present = connections.map(({ client }) => client.user).sort();
  expect(present.length).toBeGreaterThan(10);
  for (const { members } of connections) expect(members()).toEqual(present);
});

test('sends the whole list when a room is no longer too large for names', async () => {
  const { time, connect } = await setUp({ namedMembers: 3 });
  const connections = Array.from({ length: 5 }, () => connect());
  time.advance(1_000);
  expect(connections[0]?.presences().at(-1)).toEqual({ t: 'presence', room: 'r', count: 5 });
  for (const { socket } of connections.splice(2, 2)) socket.end(1000);
  time.advance(1_000);
  const members = ['c0', 'c1', 'c4'];
  expect(connections[0]?.presences().at(-1)).toEqual({ t: 'presence', room: 'r', count: 3, members });
  for (const connection of connections) expect(connection.members()).toEqual(members);
});
