import { type Cpus, divide } from './cpus.ts';
import { type Job, jobOf } from './job.ts';
import type { LoadSettings } from './load-options.ts';

/** A load whose throughput is measured against the number of workers. */
export interface Shape {
  readonly name: string;
  /** Completes the sentence "Deliveries per second of …". */
  readonly about: string;
  readonly load: Partial<LoadSettings>;
}

/** The keyword of the command line that runs the scenario of every shape and number of workers. */
export const CORES = 'cores';

export const shapes: readonly Shape[] = [
  {
    name: 'fan-out',
    about: 'one room of 1,000 clients, one of which keeps one message in flight: almost nothing to merge',
    load: { clients: 1000, senders: 1, window: 1, readInterval: 50 },
  },
  {
    name: 'chat',
    about: 'one room of 1,000 clients, 50 of which keep 40 messages in flight each: many messages share a frame',
    load: { clients: 1000, senders: 50, window: 40 },
  },
  {
    name: 'rooms',
    about: '200 rooms of 10 clients, one of which keeps 2 messages in flight',
    load: { clients: 2000, senders: 200, roomSize: 10, window: 2, audit: 50, readInterval: 100 },
  },
];

/** The parts of the name of a scenario of cores. */
export interface CoresName {
  readonly shape: string;
  readonly workers: number;
  /** Whether it repeats a point with fewer generators. */
  readonly isCalibration: boolean;
}

const SECONDS = 2;
/** The share of the generators that a calibration runs. */
const CALIBRATION_SHARE = 3 / 4;
const CALIBRATION_SUFFIX = '-calibration';

/** @returns undefined for a scenario that is not part of `cores`. */
export function parseCoresName(scenario: string | undefined): CoresName | undefined {
  const [, shape, workers, suffix] = /^cores-(.+)-(\d+)(-calibration)?$/.exec(scenario ?? '') ?? [];
  return shape === undefined ? undefined : { shape, workers: Number(workers), isCalibration: suffix !== undefined };
}

/** @returns 1, 2, 4 … and the number of cores; 1 alone for a server without workers. */
export function workerCounts(cores: number, hasWorkers: boolean): number[] {
  if (!hasWorkers) return [1];
  const counts: number[] = [];
  for (let workers = 1; workers < cores; workers *= 2) counts.push(workers);
  return [...counts, cores];
}

/**
 * Creates the jobs of `cores`: each shape with each number of workers, and again with fewer
 * generators where the generators have several CPUs of their own.
 *
 * @param overrides settings that take precedence. @param reject is called with the reason if a load
 * is invalid.
 */
export function coresJobs(
  cpus: Cpus,
  hasWorkers: boolean,
  overrides: Partial<LoadSettings> = {},
  reject?: (reason: string) => never,
): Job[] {
  return shapes.flatMap(({ name, about, load: ofShape }) =>
    workerCounts(cpus.ids.length, hasWorkers).flatMap((workers) => {
      const { generators, pinning } = divide(cpus, workers);
      const job = (suffix: string, generators: number): Job => {
        // The senders have a process of their own beside those of clients that only read.
        const processes = generators + (ofShape.readInterval ? 1 : 0);
        const settings = { workers, generators: processes, pinning };
        const load = { wire: 'v1', seconds: SECONDS, ...ofShape, ...settings } as const;
        return jobOf({ name: `${CORES}-${name}-${workers}${suffix}`, about, load }, overrides, reject);
      };
      const point = job('', generators);
      if (!pinning || generators < 2) return [point];
      return [point, job(CALIBRATION_SUFFIX, Math.floor(generators * CALIBRATION_SHARE))];
    }),
  );
}
