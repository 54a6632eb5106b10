import { describe, expect, test } from 'vitest';
import { memory } from '../../src/engine/memory.ts';
import { Hub } from '../../src/hub/hub.ts';
import type { Frame } from '../../src/hub/subscriber.ts';
import { BUSIEST_ROOMS, type BusyRoom, type Survey } from '../../src/hub/survey.ts';
import { CommaEncoder, FakeSubscriber } from '../hub/harness.ts';
import { Random, VirtualTime } from '../simulation/virtual.ts';

/** A subscriber whose socket accepts some frames, and then none until it drains. */
class SlowSubscriber extends FakeSubscriber {
  room = Number.POSITIVE_INFINITY;

  override advance(frame: Frame): number {
    if (this.room === 0) {
      this.writable = false;
      return frame.from;
    }
    this.room--;
    return super.advance(frame);
  }
}

/** A time in which each reading of the clock takes some milliseconds. */
class SlowTime extends VirtualTime {
  override now(): number {
    this.advanceTo(super.now() + 3);
    return super.now();
  }
}

const ROOMS = ['a', 'b', 'c', 'd', 'e'];

async function open(time = new VirtualTime()) {
  // Members that join a coalescing room are ahead of the records that it holds back.
  const coalesce = (room: string) => (room === 'a' ? { maxDelayMs: 50, maxBytes: 10_000 } : undefined);
  const hub = new Hub({ engine: memory(), clock: time, scheduler: time, settings: { coalesce } });
  await hub.open();
  const encoders = [new CommaEncoder('gap'), new CommaEncoder('gap')];
  const subscribers: SlowSubscriber[] = [];
  const subscribe = (...rooms: string[]): SlowSubscriber => {
    const encoder = encoders[subscribers.length % 2] as CommaEncoder;
    const subscriber = new SlowSubscriber(`s${subscribers.length}`, encoder, hub);
    subscribers.push(subscriber);
    for (const room of rooms) hub.register(subscriber, room);
    return subscriber;
  };
  const send = (room: string) => hub.broadcast({ room, from: 'me', id: '', data: room, bytes: 1 });
  return { time, hub, subscribers, subscribe, send };
}

/** Counts the members of all rooms as the definition of a census says. */
function modelOf(subscribers: readonly SlowSubscriber[]) {
  const rooms = new Map<string, { members: number; parked: number; catchingUp: number; maxLag: number }>();
  let inStep = 0;
  for (const { memberships, writable } of subscribers) {
    for (const { room, cursor } of memberships) {
      const entry = rooms.get(room.name) ?? { members: 0, parked: 0, catchingUp: 0, maxLag: 0 };
      const lag = Math.max(0, room.flushed - cursor);
      entry.members++;
      entry.maxLag = Math.max(entry.maxLag, lag);
      if (lag === 0) inStep++;
      else if (writable) entry.catchingUp++;
      else entry.parked++;
      rooms.set(room.name, entry);
    }
  }
  const sum = (of: 'parked' | 'catchingUp') => [...rooms.values()].reduce((all, room) => all + room[of], 0);
  return { rooms, inStep, parked: sum('parked'), catchingUp: sum('catchingUp') };
}

/** Counts the records of each room that sockets have accepted. */
function acceptedBy(subscribers: readonly SlowSubscriber[]): Map<string, number> {
  const accepted = new Map<string, number>();
  for (const name of subscribers.flatMap(({ received }) => received.join(',').split(','))) {
    if (name !== '') accepted.set(name, (accepted.get(name) ?? 0) + 1);
  }
  return accepted;
}

describe('a survey', () => {
  test.each([1, 2, 3, 4, 5, 6])('equals a count of each membership in random rooms (seed %i)', async (seed) => {
    const random = new Random(seed);
    const { time, hub, subscribers, subscribe, send } = await open();
    const sums = new Map<string, { messages: number; delivered: number }>();
    const sent = new Map<string, number>();
    for (let step = 0; step < 400; step++) {
      const room = random.pick(ROOMS);
      const subscriber = subscribers.length < 3 ? subscribe(room) : random.pick(subscribers);
      const action = random.int(0, 9);
      if (action === 0) subscribe(room);
      else if (action === 1) hub.register(subscriber, room);
      else if (action === 2) hub.unregister(subscriber, room);
      else if (action <= 4) subscriber.room = random.int(0, 2);
      else if (action === 5) {
        subscriber.room = Number.POSITIVE_INFINITY;
        subscriber.writable = true;
        hub.drained(subscriber);
      } else {
        send(room);
        sent.set(room, (sent.get(room) ?? 0) + 1);
      }
      if (random.chance(0.5)) time.turn();
      if (random.chance(0.1)) time.advance(random.int(1, 100));
      if (!random.chance(0.05)) continue;
      const survey = await hub.survey();
      expectModel(survey, modelOf(subscribers));
      add(sums, survey.busiest);
    }
    time.settle();
    time.advance(100);
    add(sums, (await hub.survey()).busiest);
    const accepted = acceptedBy(subscribers);
    expect(hub.meter.deliveries).toBe([...accepted.values()].reduce((a, b) => a + b, 0));
    expect(hub.meter.frames).toBe(subscribers.reduce((frames, { received }) => frames + received.length, 0));
    for (const room of ROOMS) {
      const { messages = 0, delivered = 0 } = sums.get(room) ?? {};
      expect([messages, delivered]).toEqual([sent.get(room) ?? 0, accepted.get(room) ?? 0]);
    }
  });

  test('names the busiest rooms of many, the busiest first', async () => {
    const random = new Random(7);
    const { time, hub, subscribers, subscribe, send } = await open();
    for (let i = 0; i < 300; i++) {
      for (let member = random.int(0, 3); member > 0; member--) subscribe(`room ${i}`);
    }
    time.settle();
    for (let i = 0; i < 300; i++) for (let n = random.int(0, 9); n > 0; n--) send(`room ${i}`);
    time.settle();
    const all = [...acceptedBy(subscribers).values()].sort((a, b) => b - a);
    const { busiest } = await hub.survey();
    expect(busiest.map(({ delivered }) => delivered)).toEqual(all.slice(0, BUSIEST_ROOMS));
    expect(busiest.every((room) => room.delivered === room.members * room.messages)).toBe(true);
    expect((await hub.survey()).busiest).toEqual([]);
  });

  test('is divided over turns where it takes long', async () => {
    const { time, hub, subscribers, subscribe, send } = await open(new SlowTime());
    for (let i = 0; i < 5_000; i++) subscribe(i % 2 === 0 ? 'large' : `room ${i}`);
    time.settle();
    send('large');
    time.settle();
    const pending = hub.survey();
    expect(hub.survey()).toBe(pending);
    let turns = 1;
    while (time.turn()) turns++;
    expect(turns).toBeGreaterThan(4);
    const survey = await pending;
    expectModel(survey, modelOf(subscribers));
    expect(survey.busiest).toEqual([
      expect.objectContaining({ name: 'large', members: 2_500, messages: 1, seq: 1, delivered: 2_500 }),
    ]);
  });

  test('counts the members of the rooms that it is asked for', async () => {
    const { time, hub, subscribe, send } = await open();
    const slow = subscribe('lobby', 'staff');
    subscribe('lobby');
    time.settle();
    slow.writable = false;
    for (let i = 0; i < 3; i++) send('lobby');
    time.settle();
    expect(await hub.surveyRooms(['staff', 'elsewhere', 'lobby'])).toEqual([
      { name: 'staff', members: 1, parked: 0, catchingUp: 0, maxLag: 0 },
      { name: 'lobby', members: 2, parked: 1, catchingUp: 0, maxLag: 3 },
    ]);
  });
});

function expectModel(survey: Survey, model: ReturnType<typeof modelOf>): void {
  const { inStep, parked, catchingUp, lag, busiest } = survey;
  expect({ inStep, parked, catchingUp }).toEqual({
    inStep: model.inStep,
    parked: model.parked,
    catchingUp: model.catchingUp,
  });
  expect(Array.from(lag.counts).reduce((a, b) => a + b)).toBe(inStep + parked + catchingUp);
  for (const { name, members, parked: away, catchingUp: behind, maxLag } of busiest) {
    const room = model.rooms.get(name) ?? { members: 0, parked: 0, catchingUp: 0, maxLag: 0 };
    expect({ members, parked: away, catchingUp: behind, maxLag }).toEqual(room);
  }
}

function add(sums: Map<string, { messages: number; delivered: number }>, busiest: readonly BusyRoom[]): void {
  for (const { name, messages, delivered } of busiest) {
    const before = sums.get(name) ?? { messages: 0, delivered: 0 };
    sums.set(name, { messages: before.messages + messages, delivered: before.delivered + delivered });
  }
}
