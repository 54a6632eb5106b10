import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Load, type LoadResult } from './load.ts';
import type { BenchOptions, Job, LoadSettings } from './options.ts';
import { notices, type Rates, ratesOf, sound } from './report.ts';
import { startServer } from './server.ts';

/** One run of one load, and what came out. */
export interface Run {
  /** Undefined for a load that the command line alone describes. */
  readonly scenario: string | undefined;
  readonly load: LoadSettings;
  readonly result: LoadResult;
  readonly rates: Rates;
  readonly notices: readonly string[];
  readonly sound: boolean;
}

/** Sees that a load is run to its end: it may show how it goes. */
export type Watch = (load: Load) => Promise<LoadResult>;

/** Runs all that was asked for, each as often as was asked for, in alternation: what the machine does meanwhile is shared out. */
export async function runAll({ jobs, repeat, ...where }: BenchOptions, watch: Watch): Promise<Run[]> {
  const runs: Run[] = [];
  for (let round = 0; round < repeat; round++) {
    for (const job of jobs) runs.push(await runOnce(job, where, watch));
  }
  return runs;
}

async function runOnce(job: Job, where: Pick<BenchOptions, 'url' | 'transport'>, watch: Watch): Promise<Run> {
  const { load } = job;
  const result = where.url
    ? await watch(new Load({ ...load, url: where.url }))
    : await withServer(job, where.transport, (url) => watch(new Load({ ...load, url })));
  const rates = ratesOf(result, load.clients + load.slow);
  const told = { result, rates, notices: notices(result, rates), sound: sound(result) };
  return { scenario: job.scenario?.name, load, ...told };
}

/** Loads a server that it starts and ends itself, in a folder that goes with it. */
async function withServer<T>({ scenario }: Job, transport: string, run: (url: URL) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'pumphouse-bench-'));
  const config = join(folder, 'config.json');
  writeFileSync(config, JSON.stringify({ rooms: scenario?.rooms ?? {} }));
  const flags = ['--publish-rate', 'off', '--transport', transport, '--log-level', 'error'];
  flags.push('--config', config, '--data', join(folder, 'data'), ...(scenario?.flags ?? []));
  try {
    const server = await startServer(flags);
    try {
      return await run(new URL('/ws', server.url));
    } finally {
      await server.kill();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
