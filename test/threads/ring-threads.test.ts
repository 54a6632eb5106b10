import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { buildSync } from 'esbuild';
import { afterAll, beforeAll, test } from 'vitest';
import { createRing } from '../../src/threads/ring.ts';
import { type Duties, start, type Traffic } from './ring-traffic.ts';

// A long run: MESSAGES=50000000 SEEDS=10 npx vitest run test/threads/ring-threads.test.ts
const MESSAGES = Number(process.env['MESSAGES'] ?? 2_000_000);
const SEEDS = Number(process.env['SEEDS'] ?? 1);

const SIZES = [1024, 4096, 65_536, 1_048_576];
const DIRECTIONS = ['to the worker', 'from the worker', 'both ways'] as const;
const STALL_MS = 10_000;

// Both ways count twice.
const framesPerRun = Math.ceil(MESSAGES / (SEEDS * SIZES.length * 4));

const folder = mkdtempSync(join(tmpdir(), 'pumphouse-ring-'));
const workerFile = join(folder, 'ring-worker.mjs');

beforeAll(() => {
  // A worker on Node 20 cannot load TypeScript.
  const entryPoints = [join(import.meta.dirname, 'ring-worker.ts')];
  buildSync({ entryPoints, outfile: workerFile, bundle: true, format: 'esm', platform: 'node', target: 'node20' });
});

afterAll(() => rmSync(folder, { recursive: true }));

for (const size of SIZES) {
  for (const direction of DIRECTIONS) {
    test(`passes every frame ${direction} over a ring of ${size} bytes`, { timeout: 3_600_000 }, async () => {
      for (let seed = 1; seed <= SEEDS; seed++) {
        const traffic = (offset: number): Traffic => ({
          memory: createRing(size),
          seed: seed * 1000 + offset,
          frames: framesPerRun,
        });
        await pass({
          produces: direction === 'from the worker' ? null : traffic(0),
          consumes: direction === 'to the worker' ? null : traffic(500),
        });
      }
    });
  }
}

/** Runs the traffic between this thread and a worker. Rejects if a frame is wrong or none moves. */
async function pass(duties: Duties): Promise<void> {
  const worker = new Worker(workerFile, {
    workerData: { produces: duties.consumes, consumes: duties.produces } satisfies Duties,
  });
  const rings = [duties.produces, duties.consumes].filter((traffic) => traffic !== null);
  let watch: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      let pending = rings.length;
      const done = () => {
        if (--pending === 0) resolve();
      };
      worker.on('error', reject);
      worker.on('message', (message: unknown) => {
        if (message === 'done') done();
      });
      watch = watchProgress(rings, reject);
      start(duties, worker, done, reject);
    });
  } finally {
    clearInterval(watch);
    await worker.terminate();
  }
}

/** Rejects when no ring's words change for a while, which is how a lost wake-up looks. */
function watchProgress(rings: readonly Traffic[], reject: (error: Error) => void): NodeJS.Timeout {
  let last = '';
  return setInterval(() => {
    const state = JSON.stringify(rings.map(({ seed, memory }) => ({ seed, ...wordsOf(memory) })));
    if (state === last) reject(new Error(`no frame has moved for ${STALL_MS} ms: a wake-up is lost: ${state}`));
    last = state;
  }, STALL_MS);
}

function wordsOf(memory: SharedArrayBuffer) {
  const words = new Int32Array(memory);
  const [written, read, sleeps, waits] = [0, 16, 32, 48].map((index) => Atomics.load(words, index));
  return { written, read, sleeps, waits };
}
