import type { TopLevelSpec } from 'vega-lite';
import type { Distribution, LoadResult } from '../result.ts';
import type { Run } from '../run.ts';
import { hasNodes } from './columns.ts';
import { grouped } from './figures.ts';
import { CONTROL, type Figure } from './results.ts';
import { isRough, spreadOf } from './spread.ts';

/** A plot of some figures. */
export interface Plot {
  readonly name: string;
  readonly title: string;
  /** A description of the plot and how to read it. */
  readonly about: string;
  readonly spec: TopLevelSpec;
}

type Row = Record<string, string | number>;

const WIDTH = 640;
const HEIGHT = 320;

// Custom properties adapt to the light or dark mode of the page.
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
  legend: { labelColor: INK, titleColor: FAINT, labelFontSize: 12, labelLimit: 240, symbolStrokeWidth: 3 },
  view: { stroke: null },
};

/** @returns the plots for which the runs have figures. */
export function plotsOf(all: readonly Run[]): Plot[] {
  const measured = all.filter(({ server }) => server !== CONTROL);
  const runs = measured.filter((run) => !hasNodes(run));
  const ofNodes = measured.filter(hasNodes);
  const colour = colourOf(runs);
  const plots: (Plot | undefined)[] = [
    throughput(runs, colour),
    latency(runs, colour, {
      name: 'latency',
      scenario: 'open-loop',
      title: 'Round trip at 1,000 messages per second',
      load: '1,000 messages per second to 100 clients, all of which send',
    }),
    latency(runs, colour, {
      name: 'latency-ordinary',
      scenario: 'ordinary',
      title: 'Round trip at an ordinary load',
      load: '1,000 messages per second to 100 clients, 10 of which send; Pumphouse stores each message on disk',
    }),
    bars(runs, {
      name: 'cost',
      title: 'CPU time per delivery',
      about:
        'CPU time of the server per message delivered to one client, with 10 senders and 1,000 clients. Lower is better.',
      scenario: 'fan-out-1000',
      unit: 'µs of CPU per delivery',
      of: ({ rates }) => rates.microsPerDelivery,
      digits: 2,
    }),
    bars(runs, {
      name: 'memory',
      title: 'Memory per connection',
      about: "Growth of the server's resident memory per idle connection. Lower is better.",
      scenario: 'idle',
      unit: 'KiB per connection',
      of: ({ rates }) => rates.bytesPerConnection && rates.bytesPerConnection / 1024,
      digits: 1,
    }),
    coalescing(runs),
    latency(ofNodes, colourOf(ofNodes), {
      name: 'latency-nodes',
      scenario: 'nodes',
      title: 'Latency across two nodes',
      load: '200 clients on two nodes, 20 of which keep one message in flight each',
      measured: 'time until clients of the other node receive a message',
      axis: 'latency, ms',
      of: ({ cluster }) => cluster?.crossings ?? [],
    }),
    costOfNodes(ofNodes),
  ];
  return plots.filter((plot) => plot !== undefined);
}

/** @returns the encoding that gives each server its colour. */
function colourOf(runs: readonly Run[]) {
  const servers = [...new Set(runs.map(({ server }) => server))];
  return { field: 'server', type: 'nominal', sort: servers, scale: { domain: servers, range: COLOURS } } as const;
}

/** @returns the median of a figure for each server in each scenario. */
function medians(runs: readonly Run[], of: Figure): { run: Run; value: number; isRough: boolean }[] {
  return grouped(runs, ({ server, scenario }) => JSON.stringify([server, scenario])).flatMap((group) => {
    const values = group.map(of);
    const spread = spreadOf(values);
    const [run] = group;
    return run && spread ? [{ run, value: spread.median, isRough: isRough(values) }] : [];
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

function latency(runs: readonly Run[], color: object, settings: Latency): Plot | undefined {
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

function bars(runs: readonly Run[], { name, title, about, scenario, unit, of, digits }: Bars): Plot | undefined {
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

/** @returns microseconds. */
function perDelivery({ deliveries }: LoadResult, cpuSeconds: number | undefined): number | undefined {
  return cpuSeconds === undefined || deliveries === 0 ? undefined : (cpuSeconds * 1e6) / deliveries;
}

/** Stacks the CPU time of the nodes and that of Redis. */
function costOfNodes(runs: readonly Run[]): Plot | undefined {
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

function coalescing(runs: readonly Run[]): Plot | undefined {
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
