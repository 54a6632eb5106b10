import type { TopLevelSpec } from 'vega-lite';
import type { Run } from '../../run.ts';
import type { Figure } from '../results.ts';
import { COLOURS, config, FAINT, INK, medians, type Plot, type Row, WIDTH } from './plot.ts';

/** The settings of a plot with one bar for each server. */
interface Bars {
  readonly name: string;
  readonly title: string;
  readonly about: string;
  readonly scenario: string;
  readonly unit: string;
  readonly of: Figure;
  /** Decimals of the labels. */
  readonly digits: number;
}

/** One bar for each server, the lowest figure first. */
export function bars(runs: readonly Run[], { name, title, about, scenario, unit, of, digits }: Bars): Plot | undefined {
  const selected = runs.filter((run) => run.scenario === scenario);
  const values: Row[] = medians(selected, of).map(({ run, value, isRough }) => ({
    server: run.server,
    value,
    label: `${isRough ? '≈ ' : ''}${value.toFixed(digits)}`,
  }));
  if (values.length === 0) return undefined;
  const y = {
    field: 'server',
    type: 'nominal',
    sort: [...values].sort((a, b) => Number(a['value']) - Number(b['value'])).map(({ server }) => server),
    axis: { title: null, labelFontSize: 13, labelColor: INK, domain: false, ticks: false },
  };
  const x = { field: 'value', type: 'quantitative', axis: { title: unit, tickCount: 5 } };
  return {
    name,
    title,
    about,
    spec: {
      config,
      width: WIDTH,
      height: { step: 28 },
      data: { values },
      encoding: { x, y },
      layer: [
        {
          mark: { type: 'bar', cornerRadiusEnd: 3, height: { band: 0.7 } },
          encoding: {
            color: { condition: { test: "indexof(datum.server, 'pumphouse') === 0", value: COLOURS[0] }, value: FAINT },
          },
        },
        {
          mark: { type: 'text', align: 'left', dx: 6, color: INK, fontSize: 12 },
          encoding: { text: { field: 'label', type: 'nominal' } },
        },
      ],
    } as TopLevelSpec,
  };
}
