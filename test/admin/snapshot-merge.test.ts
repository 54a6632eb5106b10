import { describe, expect, test } from 'vitest';
import type { RoomMembers } from '../../src/hub/survey.ts';
import { type ProcessReadings, ProcessSurveyor, type SurveyedThread } from '../../src/observe/process-survey.ts';
import { type ThreadSurvey, ThreadSurveyor } from '../../src/observe/thread-survey.ts';
import { closes } from '../../src/protocol/close-codes.ts';
import { SurveyedWorker } from '../../src/server/surveyed-worker.ts';
import { openHub } from '../hub/harness.ts';
import { readingsAtRest } from '../observe/readings.ts';
import { VirtualTime } from '../simulation/virtual.ts';

const server: ProcessReadings = {
  version: '1.2.3',
  engine: 'memory',
  state: () => 'serving',
  shared: () => ({ rooms: 4, messages: 9, batches: 3 }),
};

/** Starts a Hub as a worker has one. */
async function startWorker(worker: number) {
  const opened = await openHub({ sendBuffer: { records: 4, bytes: 1_000 } });
  const { hub } = opened;
  const readings = {
    ...readingsAtRest({ mailbox: (name) => hub.waiting(name), rooms: () => hub.rooms, messages: () => hub.messages }),
    meter: hub.meter,
    survey: () => hub.survey(),
  };
  const surveyor = new ThreadSurveyor(worker, hub.events, readings, () => opened.time.date());
  const thread: SurveyedThread = {
    worker,
    survey: async () => structuredClone(await surveyor.survey()),
    surveyRooms: (names) => hub.surveyRooms(names),
  };
  return { ...opened, thread };
}

const evicted = (session: string) =>
  ({ client: session, user: `user ${session}`, room: 'lobby', epoch: 'e', seq: 1, records: 9 }) as const;

describe('the snapshot of a process', () => {
  test('has the only thread, its rooms and what the threads share', async () => {
    const { time, hub, subscribe, send, thread } = await startWorker(0);
    const surveyor = new ProcessSurveyor([thread], server, time);
    const members = [subscribe('lobby'), subscribe('lobby'), subscribe('staff')];
    time.settle();
    send('one');
    send('two');
    time.settle();
    time.advance(1_500);
    hub.register(members[0] as (typeof members)[0], 'staff');
    expect(await surveyor.snapshot()).toEqual({
      at: 1_500,
      elapsed: 1_500,
      version: '1.2.3',
      state: 'serving',
      engine: 'memory',
      uptime: 1.5,
      missing: 0,
      shared: { rooms: 4, messages: 9, batches: 3 },
      hottest: [{ name: 'lobby', members: 2, messages: 2, seq: 2, parked: 0, catchingUp: 0, maxLag: 0 }],
      evictions: [],
      threads: [
        {
          worker: 0,
          connections: 3,
          rooms: 2,
          mailboxes: {
            register: { posts: 1, capacity: 100 },
            unregister: { posts: 0, capacity: 100 },
            broadcast: { posts: 0, capacity: 100 },
            request: { posts: 0, capacity: 100 },
          },
          members: { inStep: 3, parked: 0, catchingUp: 0 },
          lag: { bounds: expect.any(Array), counts: [3, 0, 0, 0, 0, 0, 0, 0] },
          turns: { bounds: expect.any(Array), counts: expect.any(Array) },
          sends: { bounds: expect.any(Array), counts: expect.any(Array) },
          load: { loop: expect.any(Number), turn: expect.any(Number), mailboxes: 0.01, journal: 0 },
          memory: { rss: expect.any(Number), heap: expect.any(Number) },
          totals: expect.objectContaining({ turns: 2, messages: 2, frames: 2, deliveries: 4, connects: 0 }),
        },
      ],
    });
    time.advance(500);
    expect(await surveyor.snapshot()).toMatchObject({ elapsed: 500, uptime: 2, hottest: [] });
  });

  test('has totals that never decrease', async () => {
    const { time, hub, subscribe, send, thread } = await startWorker(0);
    const surveyor = new ProcessSurveyor([thread], server, time);
    let before: Record<string, number> = {};
    for (let i = 0; i < 20; i++) {
      const member = subscribe('lobby');
      member.writable = i % 3 > 0;
      send('x');
      if (i % 4 === 0) hub.unregister(member);
      if (i % 5 === 0) hub.events.emit('evicted', { ...evicted('s'), why: 'x' });
      time.settle();
      const { totals } = (await surveyor.snapshot()).threads[0] as ThreadSurvey['thread'];
      for (const [name, value] of Object.entries(before)) {
        expect(totals[name as keyof typeof totals]).toBeGreaterThanOrEqual(value);
      }
      before = { ...totals };
    }
    expect(before).toMatchObject({ messages: 20, evictions: 4 });
  });

  test('merges the rooms of workers by their names', async () => {
    const [one, two] = [await startWorker(1), await startWorker(2)];
    const surveyor = new ProcessSurveyor([one.thread, two.thread], { ...server, journal: () => 0.25 }, one.time);
    for (const { time, subscribe, send } of [one, two]) {
      subscribe('lobby');
      time.settle();
      const parked = subscribe('lobby');
      time.settle();
      parked.writable = false;
      for (let i = 0; i < 3; i++) send('x');
      time.settle();
    }
    const { threads, hottest, missing } = await surveyor.snapshot();
    expect(missing).toBe(0);
    expect(threads.map(({ worker, load }) => [worker, load.journal])).toEqual([
      [1, 0.25],
      [2, 0.25],
    ]);
    expect(hottest).toEqual([{ name: 'lobby', members: 4, messages: 3, seq: 3, parked: 2, catchingUp: 0, maxLag: 3 }]);
  });

  test('counts the members of a busy room in workers where it is not busy', async () => {
    const [one, two] = [await startWorker(1), await startWorker(2)];
    const surveyor = new ProcessSurveyor([one.thread, two.thread], server, one.time);
    one.subscribe('lobby');
    two.subscribe('lobby');
    two.subscribe('lobby');
    for (const { time } of [one, two]) time.settle();
    one.send('x');
    one.time.settle();
    const { hottest } = await surveyor.snapshot();
    expect(hottest).toEqual([{ name: 'lobby', members: 3, messages: 1, seq: 1, parked: 0, catchingUp: 0, maxLag: 0 }]);
  });

  test('numbers the evictions of all workers in the order of time, and keeps the last 50', async () => {
    const [one, two] = [await startWorker(1), await startWorker(2)];
    const surveyor = new ProcessSurveyor([one.thread, two.thread], server, one.time);
    one.hub.events.emit('evicted', { ...evicted('a'), why: closes.slowConsumer.reason });
    for (const { time } of [one, two]) time.advance(10);
    two.hub.events.emit('evicted', { ...evicted('b'), why: closes.writeTimeout.reason });
    for (const { time } of [one, two]) time.advance(10);
    one.hub.events.emit('evicted', { ...evicted('c'), why: 'another' });
    const common = { room: 'lobby', records: 9 };
    const expected = [
      { id: 3, at: 20, session: 'c', user: 'user c', reason: 'other', ...common },
      { id: 2, at: 10, session: 'b', user: 'user b', reason: 'write_timeout', ...common },
      { id: 1, at: 0, session: 'a', user: 'user a', reason: 'too_far_behind', ...common },
    ];
    expect((await surveyor.snapshot()).evictions).toEqual(expected);
    expect((await surveyor.snapshot()).evictions).toEqual(expected);
    for (let i = 0; i < 70; i++) two.hub.events.emit('evicted', { ...evicted(`${i}`), why: 'x' });
    const { evictions } = await surveyor.snapshot();
    expect(evictions.map(({ id, session }) => [id, session])).toEqual(
      Array.from({ length: 50 }, (_, i) => [73 - i, `${69 - i}`]),
    );
  });

  test('lacks a worker that does not answer within a second, until it does', async () => {
    const [one, two] = [await startWorker(1), await startWorker(2)];
    const { time } = one;
    let calls = 0;
    let answer = (_survey: ThreadSurvey) => {};
    const stuck = {
      call: (method: string) => {
        calls++;
        if (method !== 'survey') return Promise.resolve([]) as Promise<readonly RoomMembers[]>;
        return new Promise<ThreadSurvey>((resolve) => {
          answer = resolve;
        });
      },
    };
    const worker = new SurveyedWorker(2, stuck as ConstructorParameters<typeof SurveyedWorker>[1], time);
    const surveyor = new ProcessSurveyor([one.thread, worker], server, time);
    const take = async () => {
      const pending = surveyor.snapshot();
      await settled();
      time.advance(1_000);
      return await pending;
    };
    for (let i = 0; i < 3; i++) {
      const { missing, threads } = await take();
      expect([missing, threads.map((thread) => thread.worker)]).toEqual([1, [1]]);
    }
    expect(calls).toBe(1);
    answer((await two.thread.survey()) as ThreadSurvey);
    await settled();
    const pending = surveyor.snapshot();
    await settled();
    answer((await two.thread.survey()) as ThreadSurvey);
    expect(await pending).toMatchObject({ missing: 0, threads: [{ worker: 1 }, { worker: 2 }] });
  });

  test('lacks a worker that fails', async () => {
    const time = new VirtualTime();
    const call = () => Promise.reject(new Error('the thread has ended'));
    const worker = new SurveyedWorker(1, { call }, time);
    const surveyor = new ProcessSurveyor([worker], server, time);
    expect(await surveyor.snapshot()).toMatchObject({ missing: 1, threads: [], hottest: [] });
  });
});

/** Resolves after the reactions to settled promises. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
