import { expect, test } from 'vitest';
import { deduping } from '../../src/engine/deduping.ts';
import { memory } from '../../src/engine/memory.ts';
import type { Outcome } from '../../src/hub/engine.ts';
import { systemScheduler } from '../../src/hub/time.ts';
import { VirtualTime } from '../simulation/virtual.ts';
import { connectWorker, logServiceOn } from './worker-pair.ts';

/** Two workers in one room. The second one can be stopped. */
async function openWorkers() {
  const time = new VirtualTime();
  const service = logServiceOn(deduping(memory()), {
    now: () => time.now(),
    date: () => time.date(),
    soon: systemScheduler.soon,
    after: (ms, work) => time.after(ms, work),
  });
  await service.open();
  const stopped: (() => void)[] = [];
  let isStopped = false;
  const workers = [1, 2].map((number) => {
    const later = (work: () => void) => void (isStopped ? stopped.push(work) : setImmediate(work));
    const engine = connectWorker(service, number, undefined, number === 2 ? later : undefined);
    const commits: string[][] = [];
    const outcomes: Outcome[] = [];
    engine.open({
      committed: ({ records }) => commits.push([...new Set(records.map(({ data }) => data))]),
      decided: (decision) => outcomes.push(...decision.outcomes),
      moved: () => expect.unreachable(),
      skipped: () => expect.unreachable(),
      changed() {},
    });
    /** Sends as many messages at once as a busy room has. */
    const send = (data: string, count = 8) => {
      const draft = { room: 'x', from: 'a', id: '', data, bytes: data.length };
      engine.append('x', new Array(count).fill(draft));
    };
    return { engine, commits, outcomes, send };
  });
  const [first, second] = workers as [(typeof workers)[0], (typeof workers)[0]];
  for (const { engine } of workers) await engine.attach('x');
  const stop = () => {
    isStopped = true;
  };
  const go = () => {
    isStopped = false;
    for (const work of stopped.splice(0)) setImmediate(work);
  };
  return { first, second, stop, go, time };
}

/** Lets everything happen that waits for no timer. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 30; turn++) await new Promise((resolve) => setImmediate(resolve));
}

test('one commit has what was sent while a worker delivered the last one', async () => {
  const { first, second, stop, go } = await openWorkers();
  stop();
  first.send('one');
  await settle();
  expect(first.commits).toEqual([['one']]);
  first.send('two');
  await settle();
  first.send('three');
  await settle();
  expect(first.commits).toEqual([['one']]);
  go();
  await settle();
  expect(first.commits).toEqual([['one'], ['two', 'three']]);
  expect(second.commits).toEqual(first.commits);
  expect(first.outcomes).toEqual(Array.from({ length: 24 }, (_, i) => ({ kind: 'stored', seq: i + 1 })));
});

test('each message is committed at once where every worker has delivered the last one', async () => {
  const { first, second } = await openWorkers();
  for (const data of ['one', 'two', 'three']) {
    first.send(data);
    await settle();
  }
  expect(first.commits).toEqual([['one'], ['two'], ['three']]);
  expect(second.commits).toEqual(first.commits);
});

test('a room with few messages at once waits for no worker', async () => {
  const { first, second, stop, go } = await openWorkers();
  stop();
  for (const data of ['one', 'two', 'three']) {
    first.send(data, 7);
    await settle();
  }
  expect(first.commits).toEqual([['one'], ['two'], ['three']]);
  go();
  await settle();
  expect(second.commits).toEqual(first.commits);
});

test('a worker that does nothing holds the others up once, for 20 ms', async () => {
  const { first, second, stop, go, time } = await openWorkers();
  stop();
  first.send('one');
  await settle();
  first.send('two');
  await settle();
  time.advance(19);
  await settle();
  expect(first.commits).toEqual([['one']]);
  time.advance(1);
  await settle();
  expect(first.commits).toEqual([['one'], ['two']]);
  for (const data of ['three', 'four']) {
    first.send(data);
    await settle();
  }
  expect(first.commits).toEqual([['one'], ['two'], ['three'], ['four']]);
  go();
  await settle();
  expect(second.commits.flat()).toEqual(['one', 'two', 'three', 'four']);
  // It has caught up, and is waited for again.
  stop();
  first.send('five');
  await settle();
  first.send('six');
  await settle();
  expect(first.commits.flat()).not.toContain('six');
  go();
  await settle();
  expect(first.commits.flat()).toContain('six');
});
