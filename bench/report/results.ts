import type { Conditions } from '../conditions.ts';
import type { Run } from '../run.ts';
import { grouped } from './figures.ts';
import { spreadOf } from './spread.ts';

/** The results of a benchmark. Every table, page and plot is derived from them. */
export interface Results {
  readonly conditions: Conditions;
  readonly runs: readonly Run[];
  /** Servers and trials that could not be run, with the reason. */
  readonly missing: readonly string[];
}

/** A figure of a run; undefined if the run does not have it. */
export type Figure = (run: Run) => number | undefined;

export const PUMPHOUSE = 'pumphouse';
/**
 * The control: the same server measured under a second name. Its difference from the first is the
 * noise.
 */
export const CONTROL = 'pumphouse again';

/**
 * Measures the noise of a figure: the largest relative difference between the medians of Pumphouse
 * and its control in any scenario.
 *
 * @param figure deliveries per CPU second by default. @returns a share; undefined if there was no
 * control.
 */
export function noiseOf(
  runs: readonly Run[],
  figure: Figure = ({ rates }) => rates.deliveriesPerCpuSecond,
): number | undefined {
  const differences = grouped(runs, ({ scenario = '' }) => scenario).flatMap((group) => {
    const [subject, control] = [PUMPHOUSE, CONTROL].map((name) =>
      spreadOf(group.filter(({ server }) => server === name).map(figure)),
    );
    return subject && control ? [Math.abs(control.median / subject.median - 1)] : [];
  });
  return differences.length > 0 ? Math.max(...differences) : undefined;
}
