import type { Conditions } from '../conditions.ts';
import type { Run } from '../run.ts';
import { grouped } from './figures.ts';
import { spreadOf } from './spread.ts';

/** What a benchmark leaves: everything that it tells is made from this. */
export interface Results {
  readonly conditions: Conditions;
  readonly runs: readonly Run[];
  /** What could not be run, and why. */
  readonly missing: readonly string[];
}

/** The same server once more, under another name: how far it is from itself is what a difference between others must exceed. */
export const AGAIN = 'pumphouse again';
const FIRST = 'pumphouse';

/** How far apart the medians of the same server are, at most: a share; undefined where it was not run twice. */
export function noiseOf(runs: readonly Run[]): number | undefined {
  const cost = ({ rates }: Run) => rates.deliveriesPerCpuSecond;
  const ratios = grouped(runs, ({ scenario = '' }) => scenario).flatMap((group) => {
    const [one, other] = [FIRST, AGAIN].map((name) =>
      spreadOf(group.filter(({ server }) => server === name).map(cost)),
    );
    return one && other ? [Math.abs(other.median / one.median - 1)] : [];
  });
  return ratios.length > 0 ? Math.max(...ratios) : undefined;
}
