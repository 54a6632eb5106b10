import type { TopLevelSpec } from 'vega-lite';
import type { Run } from '../../run.ts';
import { config, HEIGHT, medians, type Plot, type Row, WIDTH } from './plot.ts';

/** Deliveries per second against the number of clients. */
export function throughput(runs: readonly Run[], color: object): Plot | undefined {
  const values: Row[] = medians(
    runs.filter(({ scenario }) => scenario?.startsWith('fan-out-')),
    ({ rates }) => rates.deliveriesPerSecond || undefined,
  ).map(({ run, value }) => ({ server: run.server, clients: run.load.clients, deliveries: value }));
  if (new Set(values.map(({ clients }) => clients)).size < 2) return undefined;
  return {
    name: 'throughput',
    title: 'Throughput against clients',
    about:
      '10 senders, each with one message of 64 bytes in flight, and an increasing number of clients. Higher is better.',
    spec: {
      config,
      width: WIDTH,
      height: HEIGHT,
      data: { values },
      mark: { type: 'line', point: { size: 50 }, strokeWidth: 2.5 },
      encoding: {
        x: {
          field: 'clients',
          type: 'quantitative',
          scale: { type: 'log' },
          axis: {
            title: 'clients',
            format: ',',
            grid: false,
            values: [...new Set(values.map(({ clients }) => Number(clients)))],
          },
        },
        y: {
          field: 'deliveries',
          type: 'quantitative',
          scale: { type: 'log', nice: false },
          axis: { title: 'deliveries per second', format: '.2~s', tickCount: 6 },
        },
        color: { ...color, legend: { title: null } },
      },
    } as TopLevelSpec,
  };
}
