import { Counter, Gauge, type Registry } from 'prom-client';

/** The numbers of a webhook. */
export interface WebhookReading {
  readonly webhook: string;
  /** Acknowledged requests. */
  readonly deliveries: number;
  readonly messages: number;
  readonly gaps: number;
  /** Failed attempts, by class. */
  readonly failures: ReadonlyMap<string, number>;
  /** Records that wait. */
  readonly lag: number;
  /** Age of the oldest record that waits, in seconds. */
  readonly oldestSeconds: number;
}

/** Adds the metrics of webhooks to a registry. They are read at each scrape. */
export function collectWebhooks(registry: Registry, read: () => readonly WebhookReading[]): void {
  const registers = [registry];
  const counter = (name: string, help: string, value: (reading: WebhookReading) => number) =>
    new Counter({
      name,
      help,
      labelNames: ['webhook'],
      registers,
      collect() {
        this.reset();
        for (const reading of read()) this.inc({ webhook: reading.webhook }, value(reading));
      },
    });
  const gauge = (name: string, help: string, value: (reading: WebhookReading) => number) =>
    new Gauge({
      name,
      help,
      labelNames: ['webhook'],
      registers,
      collect() {
        for (const reading of read()) this.set({ webhook: reading.webhook }, value(reading));
      },
    });
  counter(
    'pumphouse_webhook_deliveries_total',
    'Requests of a webhook that its receiver has acknowledged.',
    ({ deliveries }) => deliveries,
  );
  counter('pumphouse_webhook_messages_total', 'Messages in these requests.', ({ messages }) => messages);
  counter(
    'pumphouse_webhook_gaps_total',
    'Gaps that a receiver has acknowledged: messages that were trimmed or lost before their delivery.',
    ({ gaps }) => gaps,
  );
  new Counter({
    name: 'pumphouse_webhook_failures_total',
    help: 'Failed attempts, by class: 3xx, 4xx, 5xx, timeout, unreachable, or refused for a private address.',
    labelNames: ['webhook', 'class'],
    registers,
    collect() {
      this.reset();
      for (const { webhook, failures } of read()) {
        for (const [kind, count] of failures) this.inc({ webhook, class: kind }, count);
      }
    },
  });
  gauge('pumphouse_webhook_lag_messages', 'Messages that wait for a receiver.', ({ lag }) => lag);
  gauge(
    'pumphouse_webhook_oldest_seconds',
    'Age of the oldest message that waits for a receiver; 0 if none waits.',
    ({ oldestSeconds }) => oldestSeconds,
  );
}
