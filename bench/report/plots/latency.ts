import type { TopLevelSpec } from 'vega-lite';
import type { Distribution, LoadResult } from '../../result.ts';
import type { Run } from '../../run.ts';
import { config, HEIGHT, medians, type Plot, type Row, WIDTH } from './plot.ts';

/** The settings of a plot of percentiles. */
interface Latency {
  readonly name: string;
  readonly scenario: string;
  readonly title: string;
  /** A description of the load. */
  readonly load: string;
  /** @default 'round trip' */
  readonly measured?: string;
  /** @default 'round trip, ms' */
  readonly axis?: string;
  /** @default the round trips */
  readonly of?: (result: LoadResult) => Distribution;
}

/** Percentiles of a latency, on a scale that shows the slowest. */
export function latency(runs: readonly Run[], color: object, settings: Latency): Plot | undefined {
  const { name, scenario, title, load, measured = 'round trip', axis = 'round trip, ms' } = settings;
  const { of = ({ roundTrips }) => roundTrips } = settings;
  const open = runs.filter((run) => run.scenario === scenario && of(run.result).length > 0);
  const percents = [...new Set(open.flatMap(({ result }) => of(result).map(([percent]) => percent)))];
  const values: Row[] = percents
    .filter((percent) => percent >= 50 && percent < 100)
    .flatMap((percent) =>
      medians(open, ({ result }) => of(result).find(([at]) => at === percent)?.[1]).map(({ run, value }) => ({
        server: run.server,
        // One in this many round trips is slower.
        slower: 100 / (100 - percent),
        ms: value,
      })),
    );
  if (values.length === 0) return undefined;
  const labels =
    "{'2': 'p50', '10': 'p90', '100': 'p99', '1000': 'p99.9', '10000': 'p99.99'}[format(datum.value, 'd')]";
  return {
    name,
    title,
    about: `Percentiles of the ${measured}: ${load}. Each point is a measured percentile; straight lines join the points of a server. Time counts from when a message was due, so it includes any delay in the sender. Lower is better.`,
    spec: {
      config,
      width: WIDTH,
      height: HEIGHT,
      data: { values },
      // A smoothed line would invent values between the percentiles.
      mark: { type: 'line', point: { size: 36 }, strokeWidth: 1, interpolate: 'linear' },
      encoding: {
        x: {
          field: 'slower',
          type: 'quantitative',
          scale: { type: 'log' },
          axis: { title: null, values: [2, 10, 100, 1000, 10_000], labelExpr: labels },
        },
        y: {
          field: 'ms',
          type: 'quantitative',
          scale: { type: 'log', nice: false },
          axis: { title: axis, format: '~g', tickCount: 6 },
        },
        color: { ...color, legend: { title: null } },
      },
    } as TopLevelSpec,
  };
}
