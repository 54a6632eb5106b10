import { performance } from 'node:perf_hooks';
import {
  AggregatorRegistry,
  Counter,
  Gauge,
  type MetricObjectWithValues,
  type MetricValue,
  Registry,
} from 'prom-client';
import { type CanaryReading, collectCanary } from './canary-metrics.ts';
import { collectProcessMetrics, type OnceActive } from './event-loop.ts';
import { collectValue } from './hub-metrics.ts';
import { collectStorage, type StorageReadings } from './storage-metrics.ts';
import { collectWebhooks, type WebhookReading } from './webhook-metrics.ts';

/** A metric with its values, which can be cloned to another thread. */
export type MetricObject = MetricObjectWithValues<MetricValue<string>>;

type Utilization = ReturnType<typeof performance.eventLoopUtilization>;

/** A worker thread, as its process sees it. */
export interface MonitoredWorker {
  readonly number: number;
  /** Returns the worker's metrics. */
  objects(): Promise<readonly MetricObject[]>;
  /** Returns how busy the worker's event loop has been since its start. */
  utilization(): Utilization;
  /** Commits that its ring had no room for. The worker has read them instead. */
  dropped(): number;
  /** Share of a ring's bytes that wait to be read, from 0 to 1. */
  fill(direction: 'up' | 'down'): number;
}

/** What the log thread has committed and stored. */
export interface Committed {
  readonly messages: number;
  readonly batches: number;
  /** @default the engine keeps nothing on the disk of this process */
  readonly storage?: (() => StorageReadings) | undefined;
}

/** The label `worker` of the thread that has the engine. */
const LOG_THREAD = 'log';

const ANSWER_MS = 1_000;

// One number for all workers. Other metrics of a worker have its number as a label.
const SUMS: ReadonlySet<string> = new Set([
  'pumphouse_connects_total',
  'pumphouse_evictions_total',
  'pumphouse_closes_total',
  'pumphouse_overloads_total',
  'pumphouse_refused_handshakes_total',
  'pumphouse_recoveries_total',
]);

// The log thread's own.
const COMMITTED: ReadonlySet<string> = new Set(['pumphouse_messages_total', 'pumphouse_batches_total']);

const READY = 'pumphouse_engine_ready';

/** Gathers the metrics of all threads on one page. */
export class ThreadMetrics {
  readonly #workers: readonly MonitoredWorker[];
  readonly #registry = new Registry();
  readonly #unanswered: Counter<'worker'>;
  readonly #scraped: () => void;
  /** The last answer of each worker, whose sums go on counting while it does not answer. */
  readonly #last = new Map<number, readonly MetricObject[]>();

  /** @param onceActive reports the next activity of the log thread. */
  constructor(workers: readonly MonitoredWorker[], committed: Committed, onceActive: OnceActive) {
    this.#workers = workers;
    this.#scraped = collectProcessMetrics(this.#registry, onceActive);
    this.#collectCommitted(committed);
    if (committed.storage) collectStorage(this.#registry, committed.storage);
    this.#collectUtilization();
    this.#collectRings();
    this.#unanswered = new Counter({
      name: 'pumphouse_unanswered_scrapes_total',
      help: 'Scrapes that a worker did not answer within a second. They lack its metrics.',
      labelNames: ['worker'],
      registers: [this.#registry],
    });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Adds the metrics of the process's canary. @returns a function that ends its gauge. */
  collectCanary(reading: CanaryReading): () => void {
    return collectCanary(this.#registry, reading);
  }

  /** Adds the metrics of webhooks, which the log thread delivers. */
  collectWebhooks(read: () => readonly WebhookReading[]): void {
    collectWebhooks(this.#registry, read);
  }

  /** Returns the page in Prometheus's text format. */
  readonly text = async (): Promise<string> => (await this.#gather()).metrics();

  /** Returns the metrics of the page. */
  readonly objects = async (): Promise<readonly MetricObject[]> => (await this.#gather()).getMetricsAsJSON();

  async #gather(): Promise<Registry> {
    const answers = await Promise.all(this.#workers.map((worker) => this.#ask(worker)));
    const own = (await this.#registry.getMetricsAsJSON().finally(this.#scraped)).map(ofLogThread);
    return AggregatorRegistry.aggregate([...answers, own]);
  }

  async #ask(worker: MonitoredWorker): Promise<MetricObject[]> {
    const { number } = worker;
    const answer = await withinTime(worker.objects());
    if (answer !== undefined) this.#last.set(number, answer);
    else this.#unanswered.inc({ worker: `${number}` });
    const metrics = answer ?? this.#last.get(number)?.filter(({ name }) => SUMS.has(name)) ?? [];
    return metrics.filter(({ name }) => !isOfProcess(name)).map((metric) => ofWorker(metric, number));
  }

  #collectCommitted(committed: Committed): void {
    const messages = () => committed.messages;
    collectValue(Counter, this.#registry, 'pumphouse_messages_total', 'Messages committed.', messages);
    const batches = () => committed.batches;
    collectValue(Counter, this.#registry, 'pumphouse_batches_total', 'Batches of messages committed.', batches);
  }

  /** The main thread reads it of a worker, also of one that does not answer. */
  #collectUtilization(): void {
    const threads = [
      { label: LOG_THREAD, read: () => performance.eventLoopUtilization() },
      ...this.#workers.map((worker) => ({ label: `${worker.number}`, read: () => worker.utilization() })),
    ];
    const before = new Map<string, Utilization>();
    new Gauge({
      name: 'pumphouse_eventloop_utilization_ratio',
      help: 'Share of the time since the last scrape in which the event loop of a thread was busy.',
      labelNames: ['worker'],
      registers: [this.#registry],
      collect() {
        for (const { label, read } of threads) {
          const now = read();
          const last = before.get(label);
          const { utilization } = last ? performance.eventLoopUtilization(now, last) : now;
          this.set({ worker: label }, utilization);
          before.set(label, now);
        }
      },
    });
  }

  #collectRings(): void {
    const workers = this.#workers;
    const registers = [this.#registry];
    new Counter({
      name: 'pumphouse_ring_full_total',
      help: 'Commits that did not fit into the ring of a worker, which read them instead.',
      labelNames: ['worker'],
      registers,
      collect() {
        this.reset();
        for (const worker of workers) this.inc({ worker: `${worker.number}` }, worker.dropped());
      },
    });
    new Gauge({
      name: 'pumphouse_ring_fill_ratio',
      help: 'Share of a ring that waits to be read: up by the log thread, down by the worker.',
      labelNames: ['worker', 'direction'],
      registers,
      collect() {
        for (const worker of workers) {
          for (const direction of ['up', 'down'] as const)
            this.set({ worker: `${worker.number}`, direction }, worker.fill(direction));
        }
      },
    });
  }
}

/** The metrics that each thread would report alike, and those that the log thread has. */
function isOfProcess(name: string): boolean {
  return name.startsWith('process_') || name === 'nodejs_version_info' || COMMITTED.has(name);
}

function ofWorker(metric: MetricObject, number: number): MetricObject {
  if (metric.name === READY) return { ...metric, aggregator: 'min' };
  return SUMS.has(metric.name) ? { ...metric, aggregator: 'sum' } : labelled(metric, `${number}`);
}

function ofLogThread(metric: MetricObject): MetricObject {
  const isShared = metric.name.startsWith('pumphouse_') || isOfProcess(metric.name);
  return isShared ? { ...metric, aggregator: 'sum' } : labelled(metric, LOG_THREAD);
}

/** The sum of what has a label of its own is the value itself. */
function labelled(metric: MetricObject, worker: string): MetricObject {
  const values = metric.values.map((value) => ({ ...value, labels: { ...value.labels, worker } }));
  return { ...metric, aggregator: 'sum', values };
}

/** Resolves with undefined after a second, and if the answer fails. */
function withinTime<T>(answer: Promise<T>): Promise<T | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ANSWER_MS, undefined);
    answer.then(
      (value) => {
        clearTimeout(timer);
        resolve(value);
      },
      () => {
        clearTimeout(timer);
        resolve(undefined);
      },
    );
  });
}
