import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Commits } from '../../src/hub/commits.ts';
import type { Draft } from '../../src/hub/engine.ts';
import { createEvents } from '../../src/hub/events.ts';
import { Meter } from '../../src/hub/meter.ts';
import { Notices } from '../../src/hub/notices.ts';
import type { Room } from '../../src/hub/room.ts';
import { Rooms } from '../../src/hub/rooms.ts';
import { hubSettings } from '../../src/hub/settings.ts';
import type { Notice, Subscriber } from '../../src/hub/subscriber.ts';
import { VirtualTime } from '../simulation/virtual.ts';
import { DecidingEngine } from './deciding-engine.ts';
import { CommaEncoder } from './harness.ts';

const ROOMS = ['a', 'b'];

/** A reply to one attempt to send. */
interface Reply {
  readonly attempt: number;
  readonly seq?: number;
  readonly duplicate?: true;
  readonly error?: string;
}

/** Attempts to send one message: undecided, or stored at `seq`. */
interface Sent {
  readonly attempts: number[];
  seq: number | undefined;
}

/** The replies and records that Commits must produce, computed in the simplest way. */
class Model {
  readonly replies: Reply[] = [];
  readonly stored = new Map<string, string[]>();
  readonly #undecided = new Map<string, { key: string; data: string }[]>();
  readonly #decisions = new Map<string, boolean[]>();
  readonly #sent = new Map<string, Sent>();

  /** @returns whether the draft is a retry. */
  send({ room, sender, id, data }: Draft, attempt: number): boolean {
    const key = sender === undefined ? `attempt ${attempt}` : `${room} ${sender} ${id}`;
    const sent = this.#sent.get(key);
    if (sent?.seq !== undefined) this.replies.push({ attempt, seq: sent.seq, duplicate: true });
    else if (sent) sent.attempts.push(attempt);
    else {
      this.#sent.set(key, { attempts: [attempt], seq: undefined });
      entry(this.#undecided, room, []).push({ key, data });
    }
    return sent !== undefined;
  }

  /** The engine has decided `count` more drafts of the room. */
  decide(room: string, count: number, stored: boolean): void {
    entry(this.#decisions, room, []).push(...new Array<boolean>(count).fill(stored));
  }

  /** Commits has processed `count` decisions. */
  process(room: string, count: number): void {
    for (const stored of entry(this.#decisions, room, []).splice(0, count)) {
      const { key, data } = entry(this.#undecided, room, []).shift() as { key: string; data: string };
      const sent = this.#sent.get(key) as Sent;
      if (stored) {
        sent.seq = entry(this.stored, room, []).push(data);
        const [first, ...retries] = sent.attempts.splice(0) as [number, ...number[]];
        this.replies.push({ attempt: first, seq: sent.seq });
        for (const attempt of retries) this.replies.push({ attempt, seq: sent.seq, duplicate: true });
      } else {
        for (const attempt of sent.attempts) this.replies.push({ attempt, error: 'unavailable' });
        this.#sent.delete(key);
      }
    }
  }

  undecided(room: string): number {
    return entry(this.#undecided, room, []).length;
  }
}

function entry<V>(map: Map<string, V>, key: string, initial: V): V {
  const value = map.get(key) ?? initial;
  map.set(key, value);
  return value;
}

async function openCommits(turn: { commands: number; bytes: number }, immediate: boolean) {
  const time = new VirtualTime();
  const engine = new DecidingEngine(immediate);
  const settings = hubSettings({ turn });
  const rooms = new Rooms(
    engine,
    time,
    time,
    settings,
    () => {},
    () => {},
  );
  const roomOf = (name: string) => rooms.get(name) as Room;
  const model = new Model();
  const dirty: Room[] = [];
  const commits = new Commits(engine, rooms, new Notices(), createEvents(), time, turn, new Meter(time, turn), {
    dirtied: (room) => dirty.push(room),
    decided(room, drafts) {
      if (immediate) model.decide(room.name, drafts, true);
      model.process(room.name, drafts);
    },
    changed() {},
    moved() {},
    skipped() {},
  });
  await commits.open(
    () => {},
    () => {},
  );
  const add = (draft: Draft) => commits.add(roomOf(draft.room), draft);
  const encoder = new CommaEncoder('sent', 'error');
  const replies: Reply[] = [];
  /** Returns the subscriber of one attempt, so that each reply can be assigned to it. */
  const subscriberOf = (attempt: number): Subscriber => ({
    id: `${attempt}`,
    user: 'ada',
    pump: { encoder, writable: true, advance: ({ to }) => to, release() {} },
    closed: false,
    notify(line) {
      const notice = JSON.parse(line) as Notice;
      if (notice.t === 'sent') {
        const { seq, duplicate } = notice;
        replies.push({ attempt, seq, ...(duplicate && { duplicate }) });
      } else if (notice.t === 'error') replies.push({ attempt, error: notice.code });
    },
    joined() {},
    evict() {},
    end() {},
  });
  return { engine, rooms, roomOf, add, model, commits, dirty, replies, subscriberOf };
}

type Step =
  | { readonly kind: 'send'; readonly room: string; readonly sender: string | undefined; readonly id: string }
  | { readonly kind: 'turn'; readonly commits: number }
  | { readonly kind: 'decide'; readonly room: string; readonly count: number; readonly stored: boolean }
  | { readonly kind: 'flush' };

const room = fc.constantFrom(...ROOMS);
const send = fc.record({
  kind: fc.constant('send' as const),
  room,
  sender: fc.constantFrom('ada', 'bob', undefined),
  id: fc.constantFrom('1', '2', '3'), // few ids: many retries
});
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { arbitrary: send, weight: 6 },
    {
      arbitrary: fc.record({ kind: fc.constant('turn' as const), commits: fc.integer({ min: 1, max: 3 }) }),
      weight: 3,
    },
    {
      arbitrary: fc.record({
        kind: fc.constant('decide' as const),
        room,
        count: fc.integer({ min: 1, max: 6 }),
        stored: fc.boolean(),
      }),
      weight: 3,
    },
    { arbitrary: fc.record({ kind: fc.constant('flush' as const) }), weight: 1 },
  ),
  { maxLength: 150, size: 'max' },
);

test('replies once to every draft and retry, and stores the drafts of a room in order', async () => {
  const turns = fc.record({ commands: fc.integer({ min: 1, max: 8 }), bytes: fc.integer({ min: 1, max: 40 }) });
  await fc.assert(
    fc.asyncProperty(steps, turns, fc.boolean(), async (script, turn, immediate) => {
      const { engine, rooms, roomOf, add, model, commits, dirty, replies, subscriberOf } = await openCommits(
        turn,
        immediate,
      );
      let attempts = 0;
      let added = 0;
      const check = () => {
        expect(replies).toEqual(model.replies);
        for (const name of ROOMS) {
          const { log, flushed, dirtySince } = roomOf(name);
          const stored = model.stored.get(name) ?? [];
          expect(log.head).toBe(stored.length);
          for (let seq = log.first; seq <= log.head; seq++) expect(log.at(seq).data).toBe(stored[seq - 1]);
          expect(dirty.filter((room) => room.name === name)).toHaveLength(log.head > flushed ? 1 : 0);
          expect(dirtySince === undefined).toBe(log.head === flushed);
          const { waiting, inFlight } = roomOf(name).undecided;
          expect(waiting + inFlight > 0).toBe(model.undecided(name) > 0);
        }
      };
      const runTurn = (times: number) => {
        const before = ROOMS.map((name) => roomOf(name).log.head);
        for (let i = 0; i < times; i++) commits.commit();
        const appended = ROOMS.reduce((sum, name, i) => sum + roomOf(name).log.head - (before[i] as number), 0);
        expect(appended).toBeLessThanOrEqual(turn.commands + added);
        for (const name of ROOMS) {
          expect(roomOf(name).undecided).toMatchObject({ waiting: 0, inFlight: model.undecided(name) });
        }
        commits.beginTurn();
        added = 0;
      };

      commits.beginTurn();
      for (const step of script) {
        if (step.kind === 'send') {
          const { room, sender, id } = step;
          const attempt = ++attempts;
          const data = `${attempt}`.padEnd(attempt % 20, '.');
          const by = subscriberOf(attempt);
          const draft = { room, from: 'ada', ...(sender && { sender }), id, data, bytes: data.length, by };
          const isRetry = model.send(draft, attempt);
          expect(add(draft)).toBe(isRetry ? 0 : data.length);
          if (!isRetry) added++;
        } else if (step.kind === 'decide') {
          model.decide(step.room, engine.decide(step.room, step.count, step.stored), step.stored);
        } else if (step.kind === 'turn') runTurn(step.commits);
        else for (const room of dirty.splice(0)) room.finishFlush();
        check();
      }

      runTurn(1);
      for (const name of ROOMS) model.decide(name, engine.decide(name, Number.POSITIVE_INFINITY, true), true);
      for (let left = 1000; commits.size > 0 && left > 0; left--) runTurn(1);
      check();
      expect(replies.map(({ attempt }) => attempt).toSorted((a, b) => a - b)).toEqual(
        Array.from({ length: attempts }, (_, i) => i + 1),
      );
      for (const name of ROOMS) {
        expect(roomOf(name).undecided).toMatchObject({ waiting: 0, inFlight: 0 });
      }
      expect([commits.size, await commits.nextReport()]).toEqual([0, false]);
      rooms.close();
    }),
    { numRuns: 100 },
  );
});

test('sends no reply without an id, nor to a closed subscriber', async () => {
  const { engine, add, commits, replies, subscriberOf } = await openCommits({ commands: 10, bytes: 1000 }, false);
  const draft = { room: 'a', from: 'ada', data: 'x', bytes: 1 };
  commits.beginTurn();
  add({ ...draft, id: '', by: subscriberOf(1) });
  add({ ...draft, id: '1', sender: 'ada' });
  add({ ...draft, id: '2', sender: 'ada', by: { ...subscriberOf(3), closed: true } });
  add({ ...draft, id: '3', sender: 'ada', by: subscriberOf(4) });
  commits.commit();
  engine.decide('a', 4, true);
  commits.commit();
  expect(replies).toEqual([{ attempt: 4, seq: 4 }]);
});

test('waits for the next report while drafts are in flight', async () => {
  const { engine, add, commits, subscriberOf } = await openCommits({ commands: 10, bytes: 1000 }, false);
  expect(await commits.nextReport()).toBe(false);
  commits.beginTurn();
  add({ room: 'a', from: 'ada', id: '1', data: 'x', bytes: 1, by: subscriberOf(1) });
  commits.commit();
  let arrived: boolean | undefined;
  const waiting = commits.nextReport().then((result) => {
    arrived = result;
  });
  await Promise.resolve();
  expect(arrived).toBeUndefined();
  engine.decide('a', 1, true);
  await waiting;
  expect([arrived, commits.size]).toEqual([true, 1]);
  commits.commit();
  expect(await commits.nextReport()).toBe(false);
});
