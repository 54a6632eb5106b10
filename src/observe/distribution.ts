import { Histogram, type MetricObjectWithValues, type MetricValueWithName, type Registry } from 'prom-client';

/** Values that were counted in buckets elsewhere. */
export interface Buckets {
  /** Upper bounds of the buckets, ascending. The last bucket has none. */
  readonly bounds: readonly number[];
  /** How many values each bucket has, without those of lower buckets. */
  readonly counts: ArrayLike<number>;
  readonly sum: number;
}

export interface DistributionOptions {
  readonly name: string;
  readonly help: string;
  readonly registry: Registry;
  /** Factor from the values to the metric's unit. @default 1 */
  readonly scale?: number;
  /** Returns the buckets at a scrape. */
  readonly read: () => Buckets;
}

/** A histogram whose values are counted elsewhere, and read at each scrape. */
export class DistributionMetric extends Histogram<'le'> {
  readonly #options: DistributionOptions;

  constructor(options: DistributionOptions) {
    super({ name: options.name, help: options.help, registers: [options.registry] });
    this.#options = options;
  }

  override async get(): Promise<MetricObjectWithValues<MetricValueWithName<'le'>>> {
    const { name, help, scale = 1, read } = this.#options;
    const { bounds, counts, sum } = read();
    const values: MetricValueWithName<'le'>[] = [];
    let total = 0;
    for (let i = 0; i < counts.length; i++) {
      total += counts[i] as number;
      // Without the rounding, 0.1 ms would be a bound of 0.00009999999999999999 s.
      const le = i < bounds.length ? Number(((bounds[i] as number) * scale).toPrecision(12)) : '+Inf';
      values.push({ metricName: `${name}_bucket`, labels: { le }, value: total });
    }
    values.push({ metricName: `${name}_sum`, labels: {}, value: sum * scale });
    values.push({ metricName: `${name}_count`, labels: {}, value: total });
    // The typings declare the type as a number, and a function that no metric has here.
    const metric = { name, help, type: 'histogram', values, aggregator: 'sum' };
    return metric as unknown as MetricObjectWithValues<MetricValueWithName<'le'>>;
  }

  /** prom-client prefers this function where there is one. */
  getForPromString(): ReturnType<DistributionMetric['get']> {
    return this.get();
  }
}
