import { CORES, parseCoresName } from '../cores.ts';
import type { Run } from '../run.ts';
import { closedIn, columns, medianOf } from './columns.ts';
import { grouped, percent, whole } from './figures.ts';
import { isRough, rangeOf, spreadOf } from './spread.ts';
import { aligned } from './table.ts';

/** A shape at a number of workers, measured once or several times. */
export interface Point {
  readonly shape: string;
  readonly workers: number;
  readonly runs: readonly Run[];
  /** Deliveries per second: the median. */
  readonly deliveries: number;
  /** The highest share of a core that a generator used in any run; undefined if not measured. */
  readonly generatorCpu: number | undefined;
  /** Whether server and generators had their own cores. */
  readonly isDivided: boolean;
  /** The same point with fewer generators. */
  readonly calibration: Calibration | undefined;
  /** Why the point does not count; undefined if it counts. */
  readonly objection: string | undefined;
  /** Deliveries per second of the first point of the shape that counts, times the workers. */
  readonly ideal: number | undefined;
}

/** A point with fewer generators. If it has the same figure, the generators are not the limit. */
interface Calibration {
  readonly generators: number;
  /** Its deliveries per second relative to the point's: -0.1 is 10 % less. */
  readonly difference: number;
  /** Whether its own generators had time left: otherwise the difference says nothing. */
  readonly isValid: boolean;
}

/** A table of points: a heading and the cells of each row. */
export interface CoresTable {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** A generator that uses more of its core may be the limit. */
const MAX_GENERATOR_CPU = 0.85;
/** Two numbers of generators that differ by more do not have the same figure. */
const MAX_CALIBRATION_DIFFERENCE = 0.1;
/** Other processes that use more of a core disturb the measurement. */
const MAX_OTHERS_CPU = 0.2;

const CORES_RULE = `A point counts if no generator used more than ${percent(MAX_GENERATOR_CPU)} of a core, and if fewer generators gave the same deliveries per second within ${percent(MAX_CALIBRATION_DIFFERENCE)}, unless those had no time left. It does not count if other processes used more than ${percent(MAX_OTHERS_CPU)} of a core. The ideal is the first point that counts times the workers.`;

const SHARED_RULE =
  'Where server and generators share cores, they compete for CPU time: more workers cannot show in deliveries per second. Compare deliveries per CPU second there.';

export const isOfCores = ({ scenario }: Run): boolean => parseCoresName(scenario) !== undefined;

/** @returns the points by shape, each with increasing workers. */
export function pointsOf(runs: readonly Run[]): Point[] {
  const named = runs.flatMap((run) => {
    const name = parseCoresName(run.scenario);
    return name ? [{ run, ...name }] : [];
  });
  return grouped(named, ({ shape }) => shape).flatMap((ofShape) => {
    const points = grouped(
      ofShape.filter(({ isCalibration }) => !isCalibration),
      ({ workers }) => String(workers),
    ).map((same) => {
      const { shape, workers } = same[0] as (typeof same)[number];
      const calibrations = ofShape.filter((other) => other.isCalibration && other.workers === workers);
      return pointOf(
        shape,
        workers,
        same.map(({ run }) => run),
        calibrations.map(({ run }) => run),
      );
    });
    points.sort((a, b) => a.workers - b.workers);
    const first = points.find(({ objection }) => objection === undefined);
    return points.map((point) => ({
      ...point,
      ideal: first && (first.deliveries / first.workers) * point.workers,
    }));
  });
}

function pointOf(
  shape: string,
  workers: number,
  runs: readonly Run[],
  calibrations: readonly Run[],
): Omit<Point, 'ideal'> {
  const deliveries = deliveriesOf(runs);
  const generatorCpu = generatorCpuOf(runs);
  const calibration = calibrationOf(deliveries, calibrations);
  return {
    shape,
    workers,
    runs,
    deliveries,
    generatorCpu,
    isDivided: runs.every(({ load }) => load.pinning !== undefined),
    calibration,
    objection: objectionTo(runs, generatorCpu, calibration),
  };
}

function calibrationOf(deliveries: number, runs: readonly Run[]): Calibration | undefined {
  const [first] = runs;
  if (!first || deliveries === 0) return undefined;
  return {
    generators: first.load.generators,
    difference: deliveriesOf(runs) / deliveries - 1,
    isValid: (generatorCpuOf(runs) ?? 1) <= MAX_GENERATOR_CPU,
  };
}

function objectionTo(
  runs: readonly Run[],
  generatorCpu: number | undefined,
  calibration: Calibration | undefined,
): string | undefined {
  if (runs.some(({ sound }) => !sound)) return 'unsound';
  if (runs.some((run) => closedIn(run) > 0)) return 'the server closed clients';
  if (generatorCpu === undefined) return 'generator CPU not measured';
  if (generatorCpu > MAX_GENERATOR_CPU) return 'limited by the generator';
  if (Math.max(...runs.map(othersCpuOf)) > MAX_OTHERS_CPU) return 'disturbed by other processes';
  if (calibration?.isValid && Math.abs(calibration.difference) > MAX_CALIBRATION_DIFFERENCE) {
    return 'differs with fewer generators';
  }
  return undefined;
}

const deliveriesOf = (runs: readonly Run[]) =>
  spreadOf(runs.map(({ rates }) => rates.deliveriesPerSecond))?.median ?? 0;

/** @returns the cores that other processes used. */
const othersCpuOf = ({ result }: Run) => (result.othersCpuSeconds ?? 0) / result.seconds;

function generatorCpuOf(runs: readonly Run[]): number | undefined {
  const shares = runs.map(({ result }) => result.generator.maxCpu);
  return shares.includes(undefined) ? undefined : Math.max(...(shares as number[]));
}

/** @returns the table of the points. */
export function coresTable(runs: readonly Run[]): CoresTable {
  const head = [
    '',
    'workers',
    'deliveries/s',
    'of the ideal',
    'per CPU s',
    'server CPU',
    'per frame',
    'cores',
    'generators',
    'generator CPU',
    'other CPU',
    'fewer generators',
    'spread',
    'verdict',
  ];
  return { head, rows: pointsOf(runs).map(rowOf) };
}

function rowOf(point: Point): string[] {
  const { shape, workers, runs, deliveries, generatorCpu, isDivided, ideal, objection } = point;
  const figures = runs.map(({ rates }) => rates.deliveriesPerSecond);
  const range = rangeOf(figures);
  return [
    shape,
    String(workers),
    `${isRough(figures) ? '≈ ' : ''}${whole(deliveries)}`,
    ideal === undefined || objection !== undefined ? '–' : percent(deliveries / ideal),
    medianOf(runs, columns.perCpuSecond),
    medianOf(runs, columns.cpu),
    perFrame(runs),
    isDivided ? 'own' : 'shared',
    String(runs[0]?.load.generators ?? 0),
    generatorCpu === undefined ? 'not measured' : percent(generatorCpu),
    percent(spreadOf(runs.map(othersCpuOf))?.median ?? 0),
    calibrationCell(point),
    range === undefined ? '–' : percent(range),
    objection ?? 'counts',
  ];
}

/** Formats the average number of messages of a frame. */
function perFrame(runs: readonly Run[]): string {
  const spread = spreadOf(runs.map(({ result: { deliveries, frames } }) => (frames ? deliveries / frames : undefined)));
  return spread ? spread.median.toFixed(1) : '–';
}

function calibrationCell({ calibration }: Point): string {
  if (!calibration) return '–';
  const { generators, difference, isValid } = calibration;
  const sign = difference > 0 ? '+' : '';
  return isValid ? `${generators}: ${sign}${percent(difference)}` : `${generators}: no time left`;
}

/** Formats the table for a terminal. */
export function coresText(runs: readonly Run[]): string {
  const { head, rows } = coresTable(runs);
  return aligned([head, ...rows], 1, 1);
}

/** Explains the table: how a point counts, and what shared cores mean. */
export function coresNotes(runs: readonly Run[]): string[] {
  const points = pointsOf(runs);
  const isAlone = points.every(({ workers }) => workers === 1);
  return [
    CORES_RULE,
    ...(points.some(({ isDivided }) => !isDivided) ? [SHARED_RULE] : []),
    ...(isAlone ? [`The server has no --workers: ${CORES} measured one worker only.`] : []),
  ];
}
