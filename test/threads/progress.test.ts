import { expect, test } from 'vitest';
import { ConnectedWorker } from '../../src/threads/connected-worker.ts';
import { createRings, LogLink } from '../../src/threads/link.ts';
import type { LogMethods, WorkerMethods } from '../../src/threads/log-methods.ts';
import { createProgress, ProgressReader, ProgressWatcher } from '../../src/threads/progress.ts';
import { VirtualTime } from '../simulation/virtual.ts';

function progress(shared = createProgress()) {
  const time = new VirtualTime();
  return { time, shared, reader: new ProgressReader(shared, time, time, () => {}) };
}

/** Receives a frame, and takes as long over what follows from it. */
function deliver({ time, reader }: Pick<ReturnType<typeof progress>, 'time' | 'reader'>, ms: number): void {
  reader.received();
  time.advance(ms);
  time.settle();
}

test('the writer learns how long the reader took, in whole milliseconds', () => {
  const { shared, ...rest } = progress();
  const watcher = new ProgressWatcher(shared);
  deliver(rest, 12.7);
  expect(watcher.deliveryMs).toBe(12);
});

test('a reader may pause after a long delivery, until the next one or a silence', () => {
  const { time, reader } = progress();
  expect(reader.pauseMs).toBe(0);
  deliver({ time, reader }, 3);
  expect(reader.pauseMs).toBe(0);
  deliver({ time, reader }, 8);
  expect(reader.pauseMs).toBe(1);
  time.advance(17);
  expect(reader.pauseMs).toBe(0);
  deliver({ time, reader }, 400);
  expect(reader.pauseMs).toBe(5);
  reader.received();
  expect(reader.pauseMs).toBe(0);
});

test('a slow worker is waited for again once it has done with the commit that it was slow at', () => {
  const rings = createRings();
  const time = new VirtualTime();
  const link = new LogLink<WorkerMethods, LogMethods>({ post() {}, receive() {} }, rings, time);
  const worker = new ConnectedWorker(1, link);
  const write = () => {
    link.write(Buffer.alloc(8), 8);
    return link.progress.written;
  };
  const first = write();
  expect(worker.isBusy(first)).toBe(true);
  worker.markSlow(first);
  const second = write();
  expect([worker.isBusy(second), worker.isSlow]).toEqual([false, true]);
  Atomics.store(new Int32Array(rings.progress), 0, first);
  expect([worker.isBusy(second), worker.isSlow]).toEqual([true, false]);
});
