import { monitorEventLoopDelay } from 'node:perf_hooks';
import { collectDefaultMetrics, Gauge, type Registry } from 'prom-client';
import type { Events } from '../hub/events.ts';

const RESOLUTION_MS = 10;
const QUIET_MS = 1_000;

// The longest period of a timer: 25 days.
const NEVER_MS = 2 ** 31 - 1;

const NS_PER_S = 1e9;

/** Calls a listener once, at the next activity of a thread. */
export type OnceActive = (listener: () => void) => void;

/** Returns the activity of a server: clients come, go or send. */
export function activityOf(events: Events): OnceActive {
  return (listener) => {
    const off = (['connected', 'disconnected', 'committed'] as const).map((type) =>
      events.on(type, () => {
        for (const remove of off) remove();
        listener();
      }),
    );
  };
}

/**
 * Collects the metrics of the process and of this thread, in `registry`. The delay of the event
 * loop is sampled while the thread is active, and for up to two seconds afterwards: the library
 * samples it all the time, which wakes an idle process a hundred times a second.
 *
 * @returns a function to call after each scrape.
 */
export function collectProcessMetrics(registry: Registry, onceActive: OnceActive): () => void {
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: NEVER_MS });
  const delay = new BusyDelay(onceActive);
  for (const statistic of ['max', 'min', 'mean', 'stddev', 'p50', 'p90', 'p99'] as const) {
    const name = `nodejs_eventloop_lag_${statistic}_seconds`;
    registry.removeSingleMetric(name);
    new Gauge({
      name,
      help: `Delay of the event loop while busy, since the last scrape: ${statistic}.`,
      registers: [registry],
      collect() {
        this.set(delay.read(statistic));
      },
    });
  }
  return () => delay.reset();
}

type Statistic = 'min' | 'max' | 'mean' | 'stddev' | 'p50' | 'p90' | 'p99';

/** The delay of the event loop while the process is busy. */
class BusyDelay {
  readonly #onceActive: OnceActive;
  readonly #delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  #timer: NodeJS.Timeout | undefined;
  #busy = false;

  constructor(onceActive: OnceActive) {
    this.#onceActive = onceActive;
    this.#awaitActivity();
  }

  /** Returns a statistic in seconds; 0 without a sample. */
  read(statistic: Statistic): number {
    const delays = this.#delays;
    if (delays.count === 0) return 0;
    const value = statistic.startsWith('p')
      ? delays.percentile(Number(statistic.slice(1)))
      : delays[statistic as 'min'];
    return value / NS_PER_S;
  }

  /** Forgets the samples so far. */
  reset(): void {
    this.#delays.reset();
  }

  /** Handles the first activity of each second: a handler for each would slow a busy process. */
  #awaitActivity(): void {
    this.#onceActive(() => this.#sample());
  }

  #sample(): void {
    this.#busy = true;
    if (this.#timer !== undefined) return;
    this.#delays.reset(); // or the time since it was disabled would count as a delay
    this.#delays.enable();
    this.#timer = setInterval(this.#tick, QUIET_MS).unref();
  }

  readonly #tick = (): void => {
    if (this.#busy) {
      this.#busy = false;
      this.#awaitActivity();
      return;
    }
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#delays.disable();
  };
}
