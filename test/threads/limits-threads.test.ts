import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { buildSync } from 'esbuild';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { LocalConnections } from '../../src/accept/connection-limits.ts';
import { Mutex } from '../../src/threads/mutex.ts';
import { createSharedLimits, openSharedLimits } from '../../src/threads/shared-limits.ts';
import { FIRST, GATE, type Job, MUTEX, SECOND, type WorkerData } from './limits-jobs.ts';

const THREADS = 3;

const folder = mkdtempSync(join(tmpdir(), 'pumphouse-limits-'));
const workerFile = join(folder, 'limits-worker.mjs');
let workers: Worker[] = [];

beforeAll(() => {
  // A worker on Node 20 cannot load TypeScript.
  const entryPoints = [join(import.meta.dirname, 'limits-worker.ts')];
  buildSync({ entryPoints, outfile: workerFile, bundle: true, format: 'esm', platform: 'node', target: 'node20' });
});

afterEach(async () => {
  await Promise.all(workers.map((worker) => worker.terminate()));
  workers = [];
});

afterAll(() => rmSync(folder, { recursive: true }));

const limits = () => createSharedLimits(100_000);
const newWords = () => new Int32Array(new SharedArrayBuffer(16));

/** Runs jobs in threads that start together. @returns their results. */
async function run<T>(jobs: readonly Job[], memory = limits(), words = newWords()): Promise<readonly T[]> {
  const threads = jobs.map((job) => start({ job, limits: memory, words }));
  await Promise.all(threads.map(({ ready }) => ready));
  Atomics.store(words, GATE, 1);
  Atomics.notify(words, GATE);
  return Promise.all(threads.map(({ result }) => result)) as Promise<readonly T[]>;
}

function start(workerData: WorkerData) {
  const worker = new Worker(workerFile, { workerData });
  workers.push(worker);
  const ready = once(worker, 'message');
  const result = ready.then(async () => {
    const [message] = await once(worker, 'message');
    return (message as { result: unknown }).result;
  });
  return { worker, ready, result };
}

const threadsOf = (job: (thread: number) => Job) => Array.from({ length: THREADS }, (_, thread) => job(thread));

describe('a mutex', () => {
  // The sections of 2 ms are long enough that a thread that waits sleeps.
  test.each([
    { rounds: 200_000, sectionMs: 0 },
    { rounds: 100, sectionMs: 2 },
  ])('lets one thread at a time run $rounds sections of $sectionMs ms', async ({ rounds, sectionMs }) => {
    const words = newWords();
    const disturbed = await run<number>(
      threadsOf(() => ({ kind: 'count', rounds, sectionMs })),
      limits(),
      words,
    );
    expect(disturbed).toEqual([0, 0, 0]);
    expect([words[FIRST], words[SECOND]]).toEqual([THREADS * rounds, THREADS * rounds]);
    expect(words[MUTEX]).toBe(0);
  });

  test('is free after a section that throws', async () => {
    const words = newWords();
    const mutex = new Mutex(words, MUTEX);
    const fail = () => {
      throw new Error('the section failed');
    };
    expect(() => mutex.run(fail)).toThrow('the section failed');
    expect(await run([{ kind: 'lock' }], limits(), words)).toEqual([true]);
  });

  test('does not keep a thread that waits from being terminated', async () => {
    const words = newWords();
    Atomics.store(words, MUTEX, 1);
    Atomics.store(words, GATE, 1);
    const { worker, ready } = start({ job: { kind: 'lock' }, limits: limits(), words });
    await ready;
    await expect.poll(() => Atomics.load(words, MUTEX)).toBe(2);
    expect(await worker.terminate()).toBe(1);
  });
});

describe('limits in shared memory', () => {
  test('count the connections of all threads exactly, while their table grows', async () => {
    const memory = limits();
    const open = await run<readonly string[]>(
      threadsOf((seed) => ({ kind: 'connect', seed, rounds: 100_000, addresses: 5_000 })),
      memory,
    );
    const { connections } = openSharedLimits(memory);
    const expected = new LocalConnections();
    for (const address of open.flat()) expected.add(address);
    expect(connections.all).toBe(expected.all);
    const addresses = Array.from({ length: 5_000 }, (_, i) => `address ${i + 1}`);
    expect(addresses.filter((address) => connections.of(address) !== expected.of(address))).toEqual([]);
    for (const address of open.flat()) connections.remove(address);
    expect([connections.all, ...addresses.map((address) => connections.of(address))].filter(Boolean)).toEqual([]);
  });

  test.each([
    { keys: 1, burst: 300_000 },
    { keys: 5_000, burst: 40 },
  ])('grant each token of $keys buckets to one thread', async ({ keys, burst }) => {
    const taken = await run<number>(threadsOf(() => ({ kind: 'take', keys, burst })));
    expect(taken.reduce((sum, count) => sum + count)).toBe(keys * burst);
  });

  test('fill buckets by one clock, whenever a thread has started', async () => {
    const memory = limits();
    expect(openSharedLimits(memory).buckets('slow', { perSecond: 0.1, burst: 1 }).take('ada')).toBe(true);
    const start = performance.now();
    const [ms = 0] = await run<number>([{ kind: 'reserve', ms: 300 }], memory);
    expect(ms).toBeLessThan(9_700);
    expect(ms).toBeGreaterThan(10_000 - (performance.now() - start) - 10);
  });
});
