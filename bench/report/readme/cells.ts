import type { Run } from '../../run.ts';
import { type Column, closedIn, hasNodes, medianOf } from '../columns.ts';
import { grouped, percent, whole } from '../figures.ts';
import { noiseOf, PUMPHOUSE } from '../results.ts';
import { isRough, rangeOf, STABLE_RANGE, spreadOf } from '../spread.ts';
import type { ServerColumn } from './columns.ts';

/** The theoretical floor, which is not a server to be ahead of. */
export const FLOOR = 'limit';

/** The rule of the spread, for the reader of a table. */
export const SPREAD_RULE = `The spread of a row is the widest range of the runs among its figures, relative to their median; ≈ marks one above ${percent(STABLE_RANGE)}, and figures of a single run.`;

/** @returns the runs of several nodes, or those of one. Each has its own noise. */
export const ofTopology = (runs: readonly Run[], several: boolean) => runs.filter((run) => hasNodes(run) === several);

export function labelOf(runs: readonly Run[]): string {
  const name = runs[0]?.server ?? '';
  return name === PUMPHOUSE ? `**${name}**` : name;
}

/** @returns a cell for each column, and the spread of the row. */
export function serverCells(runs: readonly Run[], columns: readonly ServerColumn[]): string[] {
  const figures = columns.map((column) => ({
    column,
    runs: runs.filter(({ scenario }) => scenario === column.scenario),
  }));
  return [...figures.map(({ column, runs }) => medianOf(runs, column)), spreadCell(figures)];
}

/** Formats the widest range of a row's figures. */
export function spreadCell(figures: readonly { readonly column: Column; readonly runs: readonly Run[] }[]): string {
  const values = figures.filter(({ column }) => !column.isCount).map(({ column, runs }) => runs.map(column.figure));
  const widest = Math.max(...values.map((each) => rangeOf(each) ?? Number.NEGATIVE_INFINITY));
  const text = Number.isFinite(widest) ? percent(widest) : 'single run';
  return values.some(isRough) ? `≈ ${text}` : text;
}

export function closedCell(runs: readonly Run[]): string {
  const closed = runs.reduce((sum, run) => sum + closedIn(run), 0);
  const unsound = runs.filter(({ sound }) => !sound).length;
  return [
    closed > 0 ? `${whole(closed)} clients` : 'none',
    ...(unsound > 0 ? [`unsound in ${unsound} runs`] : []),
  ].join(', ');
}

/** @returns the number of runs of each server in each scenario. */
export const repeats = (runs: readonly Run[]) =>
  Math.max(...grouped(runs, ({ server, scenario }) => `${server} ${scenario}`).map((group) => group.length));

/** From this share of a core on, the CPU time of other processes is worth a sentence. */
const MAX_OTHERS_CPU = 0.2;

/** Says how much CPU time other processes took from a measurement, if it matters. */
export function othersLine(runs: readonly Run[]): string {
  const shares = runs.map(({ result: { othersCpuSeconds, seconds } }) =>
    othersCpuSeconds === undefined ? undefined : othersCpuSeconds / seconds,
  );
  const spread = spreadOf(shares);
  if (!spread || spread.median <= MAX_OTHERS_CPU) return '';
  return ` Other processes of the machine used ${percent(spread.min)} to ${percent(spread.max)} of a core meanwhile: throughput is a lower bound, and CPU time per delivery is the figure to compare.`;
}

export function noiseLine(runs: readonly Run[]): string {
  const noise = noiseOf(runs);
  if (noise === undefined) return '';
  return `Measured twice, the same server differs from itself by up to ${percent(noise)} in deliveries per CPU second; smaller differences are noise.`;
}
