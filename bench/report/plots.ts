import type { TopLevelSpec } from 'vega-lite';
import type { Run } from '../run.ts';
import { grouped } from './figures.ts';
import { AGAIN } from './results.ts';
import { spreadOf } from './spread.ts';

/** A picture of some of the figures. */
export interface Plot {
  readonly name: string;
  readonly title: string;
  /** What it shows, and how to read it. */
  readonly about: string;
  readonly spec: TopLevelSpec;
}

type Row = Record<string, string | number>;

const WIDTH = 640;
const HEIGHT = 320;

// As custom properties they follow the page's colours, dark or light.
const INK = 'var(--ink)';
const FAINT = 'var(--faint)';
const LINE = 'var(--line)';
const COLOURS = Array.from({ length: 12 }, (_, i) => `var(--series-${i})`);

const config: TopLevelSpec['config'] = {
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
  legend: { labelColor: INK, titleColor: FAINT, labelFontSize: 12, symbolStrokeWidth: 3 },
  view: { stroke: null },
};

/** All pictures that these runs have figures for. */
export function plotsOf(all: readonly Run[]): Plot[] {
  const runs = all.filter(({ server }) => server !== AGAIN);
  const servers = [...new Set(runs.map(({ server }) => server))];
  const colour = {
    field: 'server',
    type: 'nominal',
    sort: servers,
    scale: { domain: servers, range: COLOURS },
  } as const;
  const plots: (Plot | undefined)[] = [
    throughput(runs, colour),
    latency(runs, colour),
    bars(runs, {
      name: 'cost',
      title: 'What a delivery costs',
      about:
        "Microseconds of the server's CPU for a message that one client hears: 10 senders, 1,000 clients. Less is better.",
      scenario: 'fan-out-1000',
      unit: 'µs of CPU a delivery',
      of: ({ rates }) => rates.microsPerDelivery,
      format: '.2~f',
    }),
    bars(runs, {
      name: 'memory',
      title: 'What a connection costs',
      about: "How much the server's memory grew for each of the idle connections, all in. Less is better.",
      scenario: 'idle',
      unit: 'KiB a connection',
      of: ({ rates }) => rates.bytesPerConnection && rates.bytesPerConnection / 1024,
      format: '.1~f',
    }),
    coalescing(runs),
  ];
  return plots.filter((plot) => plot !== undefined);
}

/** The medians of a figure: of each server in each scenario. */
function medians(runs: readonly Run[], of: (run: Run) => number | undefined): { run: Run; value: number }[] {
  return grouped(runs, ({ server, scenario }) => JSON.stringify([server, scenario])).flatMap((group) => {
    const spread = spreadOf(group.map(of));
    const [run] = group;
    return run && spread ? [{ run, value: spread.median }] : [];
  });
}

function throughput(runs: readonly Run[], color: object): Plot | undefined {
  const values: Row[] = medians(
    runs.filter(({ scenario }) => scenario?.startsWith('fan-out-')),
    ({ rates }) => rates.deliveriesPerSecond || undefined,
  ).map(({ run, value }) => ({ server: run.server, clients: run.load.clients, deliveries: value }));
  if (new Set(values.map(({ clients }) => clients)).size < 2) return undefined;
  return {
    name: 'throughput',
    title: 'Throughput against clients',
    about:
      '10 senders, each with a message of 64 bytes on its way, and more and more clients that hear them. More is better.',
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
          axis: { title: 'deliveries a second', format: '.2~s', tickCount: 6 },
        },
        color: { ...color, legend: { title: null } },
      },
    } as TopLevelSpec,
  };
}

function latency(runs: readonly Run[], color: object): Plot | undefined {
  const open = runs.filter(({ scenario, result }) => scenario === 'open-loop' && result.roundTrips.length > 0);
  const percents = [...new Set(open.flatMap(({ result }) => result.roundTrips.map(([percent]) => percent)))];
  const values: Row[] = percents
    .filter((percent) => percent >= 50 && percent < 100)
    .flatMap((percent) =>
      medians(open, ({ result }) => result.roundTrips.find(([at]) => at === percent)?.[1]).map(({ run, value }) => ({
        server: run.server,
        // How many of all are slower: one in so many.
        slower: 100 / (100 - percent),
        ms: value,
      })),
    );
  if (values.length === 0) return undefined;
  const labels =
    "{'2': 'p50', '10': 'p90', '100': 'p99', '1000': 'p99.9', '10000': 'p99.99'}[format(datum.value, 'd')]";
  return {
    name: 'latency',
    title: 'How long a message takes',
    about:
      'The round trip of 1,000 messages a second to 100 clients, by percentile, counted from when each was due to be sent: what waits in the sender counts too. Less is better.',
    spec: {
      config,
      width: WIDTH,
      height: HEIGHT,
      data: { values },
      mark: { type: 'line', strokeWidth: 2.5, interpolate: 'monotone' },
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
          axis: { title: 'milliseconds', format: '~g', tickCount: 6 },
        },
        color: { ...color, legend: { title: null } },
      },
    } as TopLevelSpec,
  };
}

interface Bars {
  readonly name: string;
  readonly title: string;
  readonly about: string;
  readonly scenario: string;
  readonly unit: string;
  readonly of: (run: Run) => number | undefined;
  readonly format: string;
}

function bars(runs: readonly Run[], { name, title, about, scenario, unit, of, format }: Bars): Plot | undefined {
  const asked = runs.filter((run) => run.scenario === scenario);
  const values: Row[] = medians(asked, of).map(({ run, value }) => ({ server: run.server, value }));
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
          encoding: { text: { field: 'value', type: 'quantitative', format } },
        },
      ],
    } as TopLevelSpec,
  };
}

function coalescing(runs: readonly Run[]): Plot | undefined {
  const waiting = runs.filter(({ scenario }) => scenario?.startsWith('coalescing-'));
  const cost = medians(waiting, ({ rates }) => rates.microsPerDelivery);
  const slow = medians(waiting, ({ result }) => result.roundTrip.p99 || undefined);
  const values: Row[] = cost.flatMap(({ run, value }) => {
    const p99 = slow.find((other) => other.run === run)?.value;
    const delay = run.scenario?.slice('coalescing-'.length) ?? '';
    return p99 === undefined ? [] : [{ delay: `${delay} ms`, order: Number(delay), cost: value, p99 }];
  });
  if (values.length < 2) return undefined;
  return {
    name: 'coalescing',
    title: 'What waiting gains, and what it costs',
    about:
      'A room may wait some milliseconds for more messages, and send them together: 2,000 messages a second to 1,000 clients. Further down is cheaper, further left is quicker.',
    spec: {
      config,
      width: WIDTH,
      height: HEIGHT,
      data: { values },
      encoding: {
        x: {
          field: 'p99',
          type: 'quantitative',
          axis: { title: 'p99 of the round trip, milliseconds', grid: false },
          scale: { zero: true },
        },
        y: { field: 'cost', type: 'quantitative', axis: { title: 'µs of CPU a delivery' }, scale: { zero: true } },
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
