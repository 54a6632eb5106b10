import type { TopLevelSpec } from 'vega-lite';
import type { Run } from '../../run.ts';
import { grouped } from '../figures.ts';
import type { Figure } from '../results.ts';
import { isRough, spreadOf } from '../spread.ts';

/** A plot of some figures. */
export interface Plot {
  readonly name: string;
  readonly title: string;
  /** A description of the plot and how to read it. */
  readonly about: string;
  readonly spec: TopLevelSpec;
}

/** A row of the data of a plot. */
export type Row = Record<string, string | number>;

export const WIDTH = 640;
export const HEIGHT = 320;

// Custom properties adapt to the light or dark mode of the page.
export const INK = 'var(--ink)';
export const FAINT = 'var(--faint)';
const LINE = 'var(--line)';
export const COLOURS = Array.from({ length: 12 }, (_, i) => `var(--series-${i})`);

/** The style of every plot. */
export const config: TopLevelSpec['config'] = {
  background: 'transparent',
  font: 'system-ui, sans-serif',
  axis: {
    labelColor: FAINT,
    titleColor: FAINT,
    gridColor: LINE,
    domainColor: LINE,
    tickColor: LINE,
    labelFontSize: 12,
    titleFontSize: 12,
    titleFontWeight: 'normal',
  },
  legend: { labelColor: INK, titleColor: FAINT, labelFontSize: 12, labelLimit: 240, symbolStrokeWidth: 3 },
  view: { stroke: null },
};

/** @returns the encoding that gives each server its colour. */
export function colourOf(runs: readonly Run[]) {
  const servers = [...new Set(runs.map(({ server }) => server))];
  return { field: 'server', type: 'nominal', sort: servers, scale: { domain: servers, range: COLOURS } } as const;
}

/** @returns the median of a figure for each server in each scenario. */
export function medians(runs: readonly Run[], of: Figure): { run: Run; value: number; isRough: boolean }[] {
  return grouped(runs, ({ server, scenario }) => JSON.stringify([server, scenario])).flatMap((group) => {
    const values = group.map(of);
    const spread = spreadOf(values);
    const [run] = group;
    return run && spread ? [{ run, value: spread.median, isRough: isRough(values) }] : [];
  });
}
