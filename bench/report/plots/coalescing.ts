import type { TopLevelSpec } from 'vega-lite';
import type { Run } from '../../run.ts';
import { COLOURS, config, HEIGHT, INK, medians, type Plot, type Row, WIDTH } from './plot.ts';

/** CPU time per delivery against the latency of each delay. */
export function coalescing(runs: readonly Run[]): Plot | undefined {
  const coalesced = runs.filter(({ scenario }) => scenario?.startsWith('coalescing-'));
  const cost = medians(coalesced, ({ rates }) => rates.microsPerDelivery);
  const p99s = medians(coalesced, ({ result }) => result.roundTrip.p99 || undefined);
  const values: Row[] = cost.flatMap(({ run, value }) => {
    const p99 = p99s.find((other) => other.run === run)?.value;
    const delay = run.scenario?.slice('coalescing-'.length) ?? '';
    return p99 === undefined ? [] : [{ delay: `${delay} ms`, order: Number(delay), cost: value, p99 }];
  });
  if (values.length < 2) return undefined;
  return {
    name: 'coalescing',
    title: 'Coalescing delay: CPU time against latency',
    about:
      'A room may delay messages by some milliseconds to send several in one frame: 2,000 messages per second to 1,000 clients. Lower costs less CPU time; further left is faster.',
    spec: {
      config,
      width: WIDTH,
      height: HEIGHT,
      data: { values },
      encoding: {
        x: {
          field: 'p99',
          type: 'quantitative',
          axis: { title: 'p99 of the round trip, ms', grid: false },
          scale: { zero: true },
        },
        y: { field: 'cost', type: 'quantitative', axis: { title: 'µs of CPU per delivery' }, scale: { zero: true } },
        order: { field: 'order', type: 'quantitative' },
      },
      layer: [
        { mark: { type: 'line', color: COLOURS[0], strokeWidth: 2.5, point: { size: 70, color: COLOURS[0] } } },
        {
          mark: { type: 'text', align: 'left', dx: 8, dy: -8, color: INK, fontSize: 12 },
          encoding: { text: { field: 'delay', type: 'nominal' } },
        },
      ],
    } as TopLevelSpec,
  };
}
