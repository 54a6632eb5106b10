import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { Mutex } from '../../src/threads/mutex.ts';
import { openSharedLimits } from '../../src/threads/shared-limits.ts';
import { Random } from '../simulation/virtual.ts';
import { FIRST, GATE, type Job, MUTEX, SECOND, type WorkerData } from './limits-jobs.ts';

const { job, limits, words } = workerData as WorkerData;
const { connections, buckets } = openSharedLimits(limits);

async function run(): Promise<unknown> {
  if (job.kind === 'lock') return new Mutex(words, MUTEX).run(() => true);
  if (job.kind === 'count') return count(job);
  if (job.kind === 'connect') return connect(job);
  if (job.kind === 'take') return take(job);
  await sleep(job.ms);
  return buckets('slow', { perSecond: 0.1, burst: 1 }).reserve('ada', 1);
}

/** Returns how often another thread was in the section, too. */
function count({ rounds, sectionMs }: Extract<Job, { kind: 'count' }>): number {
  const mutex = new Mutex(words, MUTEX);
  let disturbed = 0;
  for (let round = 0; round < rounds; round++) {
    mutex.run(() => {
      const before = words[FIRST] as number;
      if (before !== words[SECOND]) disturbed++;
      words[FIRST] = before + 1;
      const until = performance.now() + sectionMs;
      while (performance.now() < until);
      words[SECOND] = before + 1;
    });
  }
  return disturbed;
}

/** Returns the addresses of the connections that are left open. */
function connect({ seed, rounds, addresses }: Extract<Job, { kind: 'connect' }>): readonly string[] {
  const random = new Random(seed);
  const open: string[] = [];
  for (let round = 0; round < rounds; round++) {
    if (random.chance(0.55)) {
      const address = `address ${random.int(1, addresses)}`;
      connections.add(address);
      open.push(address);
    } else {
      const address = open.pop();
      if (address !== undefined) connections.remove(address);
    }
  }
  return open;
}

/** Returns how many tokens it has got. */
function take({ keys, burst }: Extract<Job, { kind: 'take' }>): number {
  const messages = buckets('messages', { perSecond: 1e-9, burst });
  let taken = 0;
  for (let key = 0; key < keys; key++) while (messages.take(`user ${key}`)) taken++;
  return taken;
}

parentPort?.postMessage('ready');
Atomics.wait(words, GATE, 0);
parentPort?.postMessage({ result: await run() });
