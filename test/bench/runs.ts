import { parseOptions } from '../../bench/options.ts';
import { ratesOf } from '../../bench/report/rates.ts';
import type { LoadResult } from '../../bench/result.ts';
import type { Run } from '../../bench/run.ts';

/** The figures in which a synthetic run differs from the others. */
export interface Overrides {
  readonly server?: string;
  readonly deliveries?: number;
  readonly sound?: boolean;
  readonly clients?: number;
  readonly notices?: readonly string[];
  /** Whether the usage of the server's process was available. @default true */
  readonly hasUsage?: boolean;
  readonly load?: Partial<Run['load']>;
  /** The figures of several nodes. @default undefined */
  readonly cluster?: LoadResult['cluster'];
}

const usage: LoadResult['server'] = {
  cpuSeconds: 1,
  userCpuSeconds: 0.4,
  memory: { before: 0, connected: 2 ** 20, most: 100 * 2 ** 20 },
  stall: undefined,
};

/** @returns a synthetic run of 2 s in which the server used 1 s of CPU time. */
export function run(
  scenario: string,
  {
    server = 'pumphouse',
    deliveries = 1000,
    sound = true,
    clients = 100,
    notices = [],
    hasUsage = true,
    load: settings = {},
    cluster,
  }: Overrides = {},
): Run {
  const result: LoadResult = {
    seconds: 2,
    connectingSeconds: 0.5,
    connecting: { p50: 1, p99: 2, p999: 3, max: 4 },
    recoverySeconds: undefined,
    deliveries,
    messages: 10,
    server: hasUsage ? usage : undefined,
    cluster,
    generator: { cpuSeconds: 1, busy: 0.5 },
    roundTrip: { p50: 0.5, p99: 12, p999: 20, max: 30 },
    roundTrips: [
      [50, 0.5],
      [99, 12],
      [99.9, 20],
      [100, 30],
    ],
    closes: {},
    slowCloses: {},
    churnCloses: {},
    came: 0,
    audit: { lost: 0, repeated: 0, swapped: 0, unknown: 0, clients: 1, messages: 10, first: undefined },
    unreturned: 0,
  };
  const load = { ...(parseOptions([]).jobs[0]?.load as Run['load']), clients, ...settings };
  return { server, scenario, load, result, rates: ratesOf(result, clients), notices, sound };
}

/** @returns figures of two nodes, with 0.5 s of CPU time of Redis. @param reordered a share. */
export function clusterResult(reordered = 0, promised = true): LoadResult['cluster'] {
  return {
    nodeCpuSeconds: [0.6, 0.4],
    redis: { cpuSeconds: 0.5, userCpuSeconds: 0.2, memoryBytes: 12 * 2 ** 20, version: '7.0.15' },
    crossing: { p50: 2, p99: 24, p999: 40, max: 60 },
    crossings: [
      [50, 2],
      [99, 24],
      [99.9, 40],
      [100, 60],
    ],
    order: { promised, clients: 5, differing: reordered > 0 ? 4 : 0, messages: 1000, reordered: reordered * 1000 },
  };
}
