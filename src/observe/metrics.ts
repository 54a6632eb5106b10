import { Registry } from 'prom-client';
import type { Events } from '../hub/events.ts';
import { type CanaryReading, collectCanary } from './canary-metrics.ts';
import { activityOf, collectProcessMetrics } from './event-loop.ts';
import { collectHeadroom, type HeadroomReadings } from './headroom.ts';
import { collectHubMetrics, type HubReadings } from './hub-metrics.ts';
import { collectStorage, type StorageReadings } from './storage-metrics.ts';
import type { MetricObject } from './thread-metrics.ts';
import { collectWebhooks, type WebhookReading } from './webhook-metrics.ts';

/** Current values, read at each scrape. */
export interface Readings extends HubReadings, HeadroomReadings {
  readonly meter: HubReadings['meter'] & HeadroomReadings['meter'];
  /** @default the engine keeps nothing on the disk of this process */
  readonly storage?: (() => StorageReadings) | undefined;
}

/** The metrics in Prometheus's text format. */
interface Metrics {
  readonly contentType: string;
  text(): Promise<string>;
}

/** The metrics of a server, which may be one of several threads. */
export interface ServerMetrics extends Metrics {
  /** Returns the metrics in a form that can be cloned to another thread. */
  objects(): Promise<readonly MetricObject[]>;
  /** Adds the metrics of a canary. @returns a function that ends its gauge. */
  collectCanary(reading: CanaryReading): () => void;
  /** Adds the metrics of webhooks. */
  collectWebhooks(read: () => readonly WebhookReading[]): void;
}

/** Counts the Hub's events in a new registry, so that one process may run several servers. */
export function collectMetrics(events: Events, readings: Readings): ServerMetrics {
  const registry = new Registry();
  const scraped = collectProcessMetrics(registry, activityOf(events));
  collectHubMetrics(registry, events, readings);
  collectHeadroom(registry, readings);
  if (readings.storage) collectStorage(registry, readings.storage);
  return {
    contentType: registry.contentType,
    text: () => registry.metrics().finally(scraped),
    objects: () => registry.getMetricsAsJSON().finally(scraped),
    collectCanary: (reading) => collectCanary(registry, reading),
    collectWebhooks: (read) => collectWebhooks(registry, read),
  };
}
