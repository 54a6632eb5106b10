import type { CollectionResult, DataPoint, MetricData } from '@opentelemetry/sdk-metrics';
import type { MetricObject } from './thread-metrics.ts';

/** The optional packages. Their enumerations are values. */
export interface OtlpPackages {
  readonly api: typeof import('@opentelemetry/api');
  readonly sdk: typeof import('@opentelemetry/sdk-metrics');
}

type Time = DataPoint<unknown>['startTime'];
type Attributes = DataPoint<unknown>['attributes'];
type Sample = MetricObject['values'][number] & { readonly metricName?: string };

/** Returns a time as OpenTelemetry has it. @param ms in milliseconds since 1970. */
function timeOf(ms: number): Time {
  return [Math.floor(ms / 1000), Math.round((ms % 1000) * 1e6)];
}

// Units by the end of a name, as the conventions of Prometheus and of OpenTelemetry have them.
const UNITS: readonly (readonly [suffix: RegExp, unit: string])[] = [
  [/_seconds(_total)?$/, 's'],
  [/_bytes(_total)?$/, 'By'],
  [/_ratio$/, '1'],
];

// Distributions of the present. A point that starts when it is read has nothing before it.
const SNAPSHOTS: ReadonlySet<string> = new Set(['pumphouse_cursor_lag_records']);

/** Converts metrics of prom-client to data of OpenTelemetry: cumulative, under the same names. */
export class OtlpData {
  readonly #packages: OtlpPackages;
  readonly #start: Time;

  /** @param start when the counters began, in milliseconds since 1970. */
  constructor(packages: OtlpPackages, start: number) {
    this.#packages = packages;
    this.#start = timeOf(start);
  }

  /**
   * Returns the metrics that have samples.
   *
   * @param now when they were read, in milliseconds since 1970.
   */
  convert(metrics: readonly MetricObject[], now: number): MetricData[] {
    const end = timeOf(now);
    return metrics.map((metric) => this.#convert(metric, end)).filter(({ dataPoints }) => dataPoints.length > 0);
  }

  #convert(metric: MetricObject, end: Time): MetricData {
    const { DataPointType, AggregationTemporality } = this.#packages.sdk;
    const { name, help: description } = metric;
    const unit = UNITS.find(([suffix]) => suffix.test(name))?.[1] ?? '';
    const descriptor = { name, description, unit, valueType: this.#packages.api.ValueType.DOUBLE };
    const common = { descriptor, aggregationTemporality: AggregationTemporality.CUMULATIVE };
    const startTime = SNAPSHOTS.has(name) ? end : this.#start;
    const times = { startTime, endTime: end };
    const samples = (metric.values as readonly Sample[]).filter(({ value }) => Number.isFinite(value));
    const type = String(metric.type);
    if (type === 'histogram') {
      const dataPoints = histograms(samples, name).map((point) => ({ ...times, ...point }));
      return { ...common, dataPointType: DataPointType.HISTOGRAM, dataPoints };
    }
    const dataPoints = samples.map(({ labels, value }) => ({ ...times, attributes: attributesOf(labels), value }));
    if (type === 'counter') return { ...common, dataPointType: DataPointType.SUM, isMonotonic: true, dataPoints };
    return { ...common, dataPointType: DataPointType.GAUGE, dataPoints };
  }
}

interface HistogramPoint {
  readonly attributes: Attributes;
  readonly value: {
    readonly buckets: { boundaries: number[]; counts: number[] };
    sum: number;
    count: number;
  };
}

/** Gathers the samples of each histogram. Those of Prometheus count lower buckets, too. */
function histograms(samples: readonly Sample[], name: string): HistogramPoint[] {
  const points = new Map<string, HistogramPoint & { below: number }>();
  for (const { metricName = name, labels, value } of samples) {
    const { le, ...rest } = labels as Record<string, string | number>;
    const key = JSON.stringify(Object.entries(rest).sort());
    const buckets = { boundaries: [], counts: [] };
    const point = points.get(key) ?? { attributes: attributesOf(rest), value: { buckets, sum: 0, count: 0 }, below: 0 };
    points.set(key, point);
    if (metricName === `${name}_sum`) point.value.sum = value;
    else if (metricName === `${name}_count`) point.value.count = value;
    else {
      point.value.buckets.counts.push(value - point.below);
      point.below = value;
      if (le !== '+Inf') point.value.buckets.boundaries.push(Number(le));
    }
  }
  return [...points.values()].map(({ attributes, value }) => ({ attributes, value }));
}

function attributesOf(labels: Partial<Record<string, string | number>>): Attributes {
  return Object.fromEntries(Object.entries(labels).map(([name, value]) => [name, String(value)]));
}

/** Returns the result of a collection. @param attributes describe the server. */
export function collectionOf(metrics: MetricData[], attributes: Attributes, version: string): CollectionResult {
  // The exporters read the attributes alone. The package of resources has a class for them.
  const resource = { attributes } as unknown as CollectionResult['resourceMetrics']['resource'];
  return {
    resourceMetrics: { resource, scopeMetrics: [{ scope: { name: 'pumphouse', version }, metrics }] },
    errors: [],
  };
}
