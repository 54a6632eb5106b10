import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { Events } from '../hub/events.ts';
import { closes } from '../protocol/close-codes.ts';

/** What is read when someone asks. */
export interface Readings {
  connections(): number;
  rooms(): number;
  mailbox(name: 'register' | 'unregister' | 'broadcast'): number;
}

/** The metrics in Prometheus's text form. */
export interface Metrics {
  readonly contentType: string;
  text(): Promise<string>;
}

const mailboxes = ['register', 'unregister', 'broadcast'] as const;
const ownCodes: readonly number[] = Object.values(closes).map(({ code }) => code);

/** Counts the Hub's events. Each set of metrics has a registry of its own, so that a process may run several. */
export function collectMetrics(events: Events, readings: Readings): Metrics {
  const registers = [new Registry()];
  const [registry] = registers as [Registry];
  collectDefaultMetrics({ register: registry });
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  gauge('pumphouse_connections', 'Connections that are open.', readings.connections);
  gauge('pumphouse_rooms', 'Rooms in memory.', readings.rooms);
  new Gauge({
    name: 'pumphouse_mailbox_posts',
    help: 'Posts that wait in a mailbox.',
    labelNames: ['mailbox'],
    registers,
    collect() {
      for (const mailbox of mailboxes) this.set({ mailbox }, readings.mailbox(mailbox));
    },
  });
  const connects = new Counter({ name: 'pumphouse_connects_total', help: 'Connections that were opened.', registers });
  const messages = new Counter({ name: 'pumphouse_messages_total', help: 'Messages that were committed.', registers });
  const batches = new Counter({ name: 'pumphouse_batches_total', help: 'Batches they were committed in.', registers });
  const evictions = new Counter({
    name: 'pumphouse_evictions_total',
    help: 'Slow clients that were closed.',
    registers,
  });
  const closed = new Counter({
    name: 'pumphouse_closes_total',
    help: 'Connections that were closed, by the code of the close frame and by who closed.',
    labelNames: ['code', 'by'],
    registers,
  });
  const overloads = new Counter({
    name: 'pumphouse_overloads_total',
    help: 'Posts that a full mailbox refused.',
    labelNames: ['mailbox'],
    registers,
  });
  events.on('connected', () => connects.inc());
  events.on('committed', ({ from, to }) => {
    messages.inc(to - from + 1);
    batches.inc();
  });
  events.on('evicted', () => evictions.inc());
  events.on('disconnected', ({ close, by }) => closed.inc({ code: labelOf(close.code), by }));
  events.on('overloaded', ({ mailbox }) => overloads.inc({ mailbox }));
  return { contentType: registry.contentType, text: () => registry.metrics() };
}

/** Peers may close with any code: only those of our table and of RFC 6455 get a label of their own. */
function labelOf(code: number): string {
  return ownCodes.includes(code) || (code >= 1000 && code <= 1015) ? `${code}` : 'other';
}
