import type { TopLevelSpec } from 'vega-lite';
import type { Run } from '../../run.ts';
import { pointsOf } from '../cores.ts';
import { COLOURS, config, FAINT, type Plot, type Row } from './plot.ts';

const PANEL_WIDTH = 180;
const PANEL_HEIGHT = 220;

/**
 * Deliveries per second against the number of workers, beside the ideal. Each shape has a panel
 * with its own linear scale: a logarithmic one would hide the distance from the ideal.
 */
export function cores(runs: readonly Run[]): Plot | undefined {
  const points = pointsOf(runs);
  const counts = [...new Set(points.map(({ workers }) => workers))].sort((a, b) => a - b);
  if (counts.length < 2) return undefined;
  const measured: Row[] = points.map(({ shape, workers, deliveries, objection }) => ({
    shape,
    workers,
    value: deliveries,
    series: objection === undefined ? 'measured' : 'does not count',
  }));
  const ideals: Row[] = points.flatMap(({ shape, workers, ideal }) =>
    ideal === undefined ? [] : [{ shape, workers, value: ideal, series: 'ideal' }],
  );
  const color = {
    field: 'series',
    type: 'nominal',
    scale: { domain: ['measured', 'ideal', 'does not count'], range: [COLOURS[0], FAINT, COLOURS[4]] },
    legend: { title: null, orient: 'bottom' },
  };
  const x = {
    field: 'workers',
    type: 'quantitative',
    scale: { zero: true },
    axis: { title: 'workers', values: counts, grid: false },
  };
  const y = {
    field: 'value',
    type: 'quantitative',
    axis: { title: 'deliveries per second', format: '.2~s', tickCount: 5 },
  };
  const line = (series: string, mark: object) => ({
    transform: [{ filter: { field: 'series', equal: series } }],
    mark: { type: 'line', ...mark },
  });
  return {
    name: 'cores',
    title: 'Throughput against workers',
    about:
      'Deliveries per second with an increasing number of worker threads, and the ideal: the first point times the workers. Points that do not count, because of the generators or a fault, are marked.',
    spec: {
      config: { ...config, header: { title: null, labelColor: FAINT, labelFontSize: 13 } },
      data: { values: [...measured, ...ideals] },
      facet: { column: { field: 'shape', type: 'nominal', sort: points.map(({ shape }) => shape), title: null } },
      spec: {
        width: PANEL_WIDTH,
        height: PANEL_HEIGHT,
        encoding: { x, y, color },
        layer: [
          line('ideal', { strokeDash: [5, 4], strokeWidth: 1.5 }),
          line('measured', { strokeWidth: 2.5 }),
          {
            transform: [{ filter: "datum.series !== 'ideal'" }],
            mark: { type: 'point', filled: true, size: 50, opacity: 1 },
          },
        ],
      },
      resolve: { scale: { y: 'independent' }, axis: { x: 'independent' } },
    } as TopLevelSpec,
  };
}
