import type { TopLevelSpec } from 'vega-lite';
import type { LoadResult } from '../../result.ts';
import type { Run } from '../../run.ts';
import type { Figure } from '../results.ts';
import { COLOURS, config, INK, medians, type Plot, type Row, WIDTH } from './plot.ts';

/** @returns microseconds. */
function perDelivery({ deliveries }: LoadResult, cpuSeconds: number | undefined): number | undefined {
  return cpuSeconds === undefined || deliveries === 0 ? undefined : (cpuSeconds * 1e6) / deliveries;
}

/** Stacks the CPU time of the nodes and that of Redis. */
export function costOfNodes(runs: readonly Run[]): Plot | undefined {
  const ofScenario = runs.filter(({ scenario }) => scenario === 'nodes');
  const parts: readonly { readonly part: string; readonly of: Figure }[] = [
    { part: 'nodes', of: ({ result }) => perDelivery(result, result.server?.cpuSeconds) },
    { part: 'Redis', of: ({ result }) => perDelivery(result, result.cluster?.redis?.cpuSeconds) },
  ];
  const values: Row[] = parts.flatMap(({ part, of }, order) =>
    medians(ofScenario, of).map(({ run, value }) => ({ server: run.server, part, order, value })),
  );
  if (values.length === 0) return undefined;
  return {
    name: 'cost-nodes',
    title: 'CPU time per delivery on two nodes',
    about:
      'CPU time of the two nodes and of the Redis that they share, per message delivered to one client, with 200 clients, 20 of which send. Lower is better.',
    spec: {
      config,
      width: WIDTH,
      height: { step: 28 },
      data: { values },
      mark: { type: 'bar', height: { band: 0.7 } },
      encoding: {
        x: {
          field: 'value',
          type: 'quantitative',
          aggregate: 'sum',
          axis: { title: 'µs of CPU per delivery', tickCount: 5 },
        },
        y: {
          field: 'server',
          type: 'nominal',
          sort: { field: 'value', op: 'sum' },
          axis: { title: null, labelFontSize: 13, labelColor: INK, domain: false, ticks: false },
        },
        color: {
          field: 'part',
          type: 'nominal',
          scale: { domain: ['nodes', 'Redis'], range: [COLOURS[0], COLOURS[4]] },
          legend: { title: null },
        },
        order: { field: 'order', type: 'quantitative' },
      },
    } as TopLevelSpec,
  };
}
