import { expect, test } from 'vitest';
import type { Draft } from '../../src/hub/engine.ts';
import { Gathering } from '../../src/threads/gathering.ts';
import { VirtualTime } from '../simulation/virtual.ts';

/** A worker whose deliveries the test ends. */
class FakeWorker {
  isSlow = false;
  deliveryMs = 0;
  #isDelivering = false;

  committed(): void {
    this.#isDelivering = true;
  }

  deliveredIn(ms: number): void {
    this.deliveryMs = ms;
    this.#isDelivering = false;
    this.isSlow = false;
  }

  isBusy(): boolean {
    return this.#isDelivering && !this.isSlow;
  }

  markSlow(): void {
    this.isSlow = true;
  }
}

/** A room with two workers that has had a commit of 100 drafts, which neither has delivered. */
function busyRoom() {
  const time = new VirtualTime();
  time.advance(1_000);
  const workers = [new FakeWorker(), new FakeWorker()] as const;
  const commits: number[] = [];
  const append = (drafts: readonly Draft[]) => {
    commits.push(drafts.length);
    for (const worker of workers) worker.committed();
  };
  const deliverers = new Set(workers.map((worker) => ({ worker, lastCommit: 0 })));
  const gathering = new Gathering(deliverers, append, time, time);
  const draft = { room: 'x', from: 'a', id: '', data: '', bytes: 0 };
  const send = (count: number) => gathering.add(new Array(count).fill(draft));
  send(100);
  return { time, workers, commits, gathering, send };
}

test('one commit has the drafts that come until every worker has delivered the last one', () => {
  const { time, workers, commits, gathering, send } = busyRoom();
  expect(send(60)).toBe(true);
  workers[0].deliveredIn(10);
  expect(gathering.check()).toBe(true);
  send(40);
  expect(commits).toEqual([100]);
  workers[1].deliveredIn(12);
  expect(gathering.check()).toBe(false);
  expect(commits).toEqual([100, 100]);
  expect(time.timers).toBe(0);
});

test('a worker may take as long as if the workers shared one core, and 20 ms more', () => {
  const { time, workers, commits, gathering, send } = busyRoom();
  send(100);
  time.advance(19);
  workers[0].deliveredIn(19);
  gathering.check();
  time.advance(57); // 76 ms after the commit
  expect(commits).toEqual([100]);
  time.advance(1);
  expect(commits).toEqual([100, 100]);
  expect(workers.map(({ isSlow }) => isSlow)).toEqual([false, true]);
});

test('the drafts wait for a second where no worker delivers', () => {
  const { time, workers, commits, send } = busyRoom();
  send(1);
  time.advance(999);
  expect(commits).toEqual([100]);
  time.advance(1);
  expect(commits).toEqual([100, 1]);
  expect(workers.map(({ isSlow }) => isSlow)).toEqual([true, true]);
});

test('fewer drafts than usual wait half as long as the delivery took', () => {
  const { time, workers, commits, gathering, send } = busyRoom();
  send(50);
  time.advance(30);
  for (const worker of workers) worker.deliveredIn(30);
  gathering.check();
  time.advance(14);
  expect(commits).toEqual([100]);
  time.advance(1);
  expect(commits).toEqual([100, 50]);
});

test('nine tenths of the usual drafts wait no longer than the delivery takes', () => {
  const { time, workers, commits, gathering, send } = busyRoom();
  send(50);
  time.advance(30);
  for (const worker of workers) worker.deliveredIn(30);
  gathering.check();
  send(39);
  expect(commits).toEqual([100]);
  send(1);
  expect(commits).toEqual([100, 90]);
  expect(time.timers).toBe(0);
});

test('the first drafts after a silence do not wait', () => {
  const { time, workers, commits, send } = busyRoom();
  for (const worker of workers) worker.deliveredIn(30);
  time.advance(81);
  expect(send(1)).toBe(false);
  expect(commits).toEqual([100, 1]);
});

test('a room is not busy any more after several commits of few drafts', () => {
  const { time, workers, commits, send } = busyRoom();
  for (let i = 0; i < 9; i++) {
    for (const worker of workers) worker.deliveredIn(0);
    time.advance(100);
    send(1);
  }
  const before = commits.length;
  send(1); // while both deliver
  expect(commits.length).toBe(before + 1);
});
