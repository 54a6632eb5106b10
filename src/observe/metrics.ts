import { Counter, Gauge, Registry } from 'prom-client';
import type { Events } from '../hub/events.ts';
import { closes } from '../protocol/close-codes.ts';
import { activityOf, collectProcessMetrics } from './event-loop.ts';
import type { MetricObject } from './thread-metrics.ts';
import { collectWebhooks, type WebhookReading } from './webhook-metrics.ts';

/** Current values, read at each scrape. */
export interface Readings {
  /** Open connections. */
  connections(): number;
  /** Rooms in memory. */
  rooms(): number;
  /** Whether the engine reaches its store. */
  ready(): boolean;
  /** Messages committed so far. */
  messages(): number;
  /** Batches of messages committed so far. */
  batches(): number;
  /** Posts waiting in a mailbox. */
  mailbox(name: 'register' | 'unregister' | 'broadcast'): number;
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
  /** Adds the metrics of webhooks. */
  collectWebhooks(read: () => readonly WebhookReading[]): void;
}

const mailboxes = ['register', 'unregister', 'broadcast'] as const;
const pumphouseCodes: readonly number[] = Object.values(closes).map(({ code }) => code);

/** Counts the Hub's events in a new registry, so that one process may run several servers. */
export function collectMetrics(events: Events, readings: Readings): ServerMetrics {
  const registers = [new Registry()];
  const [registry] = registers as [Registry];
  const scraped = collectProcessMetrics(registry, activityOf(events));
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  gauge('pumphouse_connections', 'Open connections.', readings.connections);
  gauge('pumphouse_rooms', 'Rooms in memory.', readings.rooms);
  gauge('pumphouse_engine_ready', 'Whether the engine reaches its store: 1, or 0 while it is away.', () =>
    readings.ready() ? 1 : 0,
  );
  new Gauge({
    name: 'pumphouse_mailbox_posts',
    help: 'Posts waiting in a mailbox.',
    labelNames: ['mailbox'],
    registers,
    collect() {
      for (const mailbox of mailboxes) this.set({ mailbox }, readings.mailbox(mailbox));
    },
  });
  const connects = new Counter({ name: 'pumphouse_connects_total', help: 'Connections opened.', registers });
  // Read at each scrape: an event for each batch would cost more than the batch's count.
  const counter = (name: string, help: string, read: () => number) =>
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  counter('pumphouse_messages_total', 'Messages committed.', readings.messages);
  counter('pumphouse_batches_total', 'Batches of messages committed.', readings.batches);
  const evictions = new Counter({
    name: 'pumphouse_evictions_total',
    help: 'Slow clients evicted.',
    registers,
  });
  const lost = new Counter({
    name: 'pumphouse_lost_messages_total',
    help: 'Messages that this server had and that their store has lost, counted in each room.',
    registers,
  });
  const closed = new Counter({
    name: 'pumphouse_closes_total',
    help: 'Connections closed, by close code and by the side that closed.',
    labelNames: ['code', 'by'],
    registers,
  });
  const overloads = new Counter({
    name: 'pumphouse_overloads_total',
    help: 'Posts rejected by a full mailbox.',
    labelNames: ['mailbox'],
    registers,
  });
  const refusals = new Counter({
    name: 'pumphouse_refused_handshakes_total',
    help: 'Handshakes refused, by reason.',
    labelNames: ['reason'],
    registers,
  });
  events.on('refused', ({ reason }) => refusals.inc({ reason }));
  events.on('connected', () => connects.inc());
  events.on('evicted', () => evictions.inc());
  events.on('moved', (event) => lost.inc(event.lost));
  events.on('disconnected', ({ close, by }) => closed.inc({ code: labelOf(close.code), by }));
  events.on('overloaded', ({ mailbox }) => overloads.inc({ mailbox }));
  return {
    contentType: registry.contentType,
    text: () => registry.metrics().finally(scraped),
    objects: () => registry.getMetricsAsJSON().finally(scraped),
    collectWebhooks: (read) => collectWebhooks(registry, read),
  };
}

/** Bounds the labels, since peers may close with any code. RFC 6455 reserves 1000…1015. */
function labelOf(code: number): string {
  return pumphouseCodes.includes(code) || (code >= 1000 && code <= 1015) ? `${code}` : 'other';
}
