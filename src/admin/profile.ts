import { Session } from 'node:inspector/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { plainText } from '../http/responses.ts';
import type { HttpRequest, HttpResponse } from '../transport/transport.ts';

/** Records what the threads of a server do. */
export interface Profiler {
  /** The threads: the empty name is that of the only one, or of the log thread. */
  readonly threads: readonly string[];
  /** Records a thread. Resolves with a CPU profile, as JSON for Chromium's developer tools. */
  record(thread: string, ms: number): Promise<string>;
}

const MAX_SECONDS = 60;
const DEFAULT_SECONDS = 10;

/** Records this thread. */
export async function recordProfile(ms: number): Promise<string> {
  const session = new Session();
  session.connect();
  try {
    await session.post('Profiler.enable');
    await session.post('Profiler.start');
    await sleep(ms);
    const { profile } = await session.post('Profiler.stop');
    return JSON.stringify(profile);
  } finally {
    session.disconnect();
  }
}

/** Returns a profiler of the only thread, or one that passes the other threads on. */
export function createProfiler(
  workers: readonly string[] = [],
  ofWorker: Profiler['record'] = () => Promise.reject(new Error('there is no such thread')),
): Profiler {
  return {
    threads: ['', ...workers],
    record: (thread, ms) => (thread === '' ? recordProfile(ms) : ofWorker(thread, ms)),
  };
}

// One profile at a time: V8 records one, and each makes its thread slower.
const recording = new WeakSet<Profiler>();

/** Answers `?seconds=` and `?worker=` with the profile. */
export async function answerProfile({ query }: HttpRequest, profiler: Profiler): Promise<HttpResponse> {
  const parameters = new URLSearchParams(query);
  const seconds = parameters.get('seconds') ?? `${DEFAULT_SECONDS}`;
  if (!/^\d{1,2}$/.test(seconds) || Number(seconds) < 1 || Number(seconds) > MAX_SECONDS) {
    return plainText(400, `seconds: must be a number from 1 to ${MAX_SECONDS}`);
  }
  const worker = parameters.get('worker') ?? '';
  if (!profiler.threads.includes(worker)) return plainText(400, 'worker: must be the number of a worker');
  if (recording.has(profiler)) return plainText(409, 'another profile is being recorded');
  recording.add(profiler);
  try {
    const headers = {
      'content-type': 'application/json',
      'cache-control': 'no-store',
      'content-disposition': 'attachment; filename="pumphouse.cpuprofile"',
    };
    return { status: 200, headers, body: await profiler.record(worker, Number(seconds) * 1000) };
  } finally {
    recording.delete(profiler);
  }
}
