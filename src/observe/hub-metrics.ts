import { Counter, Gauge, type Registry } from 'prom-client';
import type { Events } from '../hub/events.ts';
import { closes } from '../protocol/close-codes.ts';
import { type Buckets, DistributionMetric } from './distribution.ts';

export const mailboxes = ['register', 'unregister', 'broadcast', 'request'] as const;

export type MailboxName = (typeof mailboxes)[number];

/** How far the members of all rooms have got. */
interface Census {
  readonly inStep: number;
  readonly parked: number;
  readonly catchingUp: number;
  readonly lag: Buckets;
}

/** What the Hub has measured so far. */
interface Measurements {
  /** In milliseconds. */
  readonly turns: Buckets;
  readonly turnBytes: Buckets;
  /** In milliseconds. */
  readonly sends: Buckets;
}

/** Current values of a Hub and its clients, read at each scrape. */
export interface HubReadings {
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
  mailbox(name: MailboxName): number;
  /** Returns how far the members have got. Visits every member. */
  census(): Census;
  readonly meter: Measurements;
}

const MS = 1 / 1000;

/** Collects the state of a Hub, read at each scrape, and counts its events. */
export function collectHubMetrics(registry: Registry, events: Events, readings: HubReadings): void {
  collectState(registry, readings);
  collectMembers(registry, readings);
  collectMeter(registry, readings.meter);
  countEvents(registry, events);
}

/** Adds a gauge, or a counter that something else counts, which is read at each scrape. */
export function collectValue(
  Metric: typeof Gauge | typeof Counter,
  registry: Registry,
  name: string,
  help: string,
  read: () => number,
): void {
  new Metric({
    name,
    help,
    registers: [registry],
    collect() {
      this.reset();
      this.inc(read());
    },
  });
}

function collectState(registry: Registry, readings: HubReadings): void {
  const { connections, rooms, ready, messages, batches, mailbox: posts } = readings;
  collectValue(Gauge, registry, 'pumphouse_connections', 'Open connections.', connections);
  collectValue(Gauge, registry, 'pumphouse_rooms', 'Rooms in memory.', rooms);
  const readyHelp = 'Whether the engine reaches its store: 1, or 0 while it is away.';
  collectValue(Gauge, registry, 'pumphouse_engine_ready', readyHelp, () => (ready() ? 1 : 0));
  new Gauge({
    name: 'pumphouse_mailbox_posts',
    help: 'Posts waiting in a mailbox.',
    labelNames: ['mailbox'],
    registers: [registry],
    collect() {
      for (const mailbox of mailboxes) this.set({ mailbox }, posts(mailbox));
    },
  });
  // Read at each scrape: an event for each batch would cost more than the batch's count.
  collectValue(Counter, registry, 'pumphouse_messages_total', 'Messages committed.', messages);
  collectValue(Counter, registry, 'pumphouse_batches_total', 'Batches of messages committed.', batches);
}

/** One visit of all members serves both metrics of a scrape, which reads them in this order. */
function collectMembers(registry: Registry, readings: HubReadings): void {
  let census = readings.census();
  new Gauge({
    name: 'pumphouse_members',
    help: 'Members of rooms: in_step have every message, parked are behind and accept no data, catching_up are behind and read on.',
    labelNames: ['state'],
    registers: [registry],
    collect() {
      census = readings.census();
      this.set({ state: 'in_step' }, census.inStep);
      this.set({ state: 'parked' }, census.parked);
      this.set({ state: 'catching_up' }, census.catchingUp);
    },
  });
  new DistributionMetric({
    name: 'pumphouse_cursor_lag_records',
    help: 'Messages that each member is behind its room now. It counts members, not changes: use it without rate().',
    registry,
    read: () => census.lag,
  });
}

function collectMeter(registry: Registry, meter: Measurements): void {
  new DistributionMetric({
    name: 'pumphouse_turn_duration_seconds',
    help: "Durations of the Hub's turns.",
    registry,
    scale: MS,
    read: () => meter.turns,
  });
  new DistributionMetric({
    name: 'pumphouse_turn_bytes',
    help: 'Bytes of the messages that each turn of the Hub has taken.',
    registry,
    read: () => meter.turnBytes,
  });
  new DistributionMetric({
    name: 'pumphouse_send_to_commit_seconds',
    help: 'Times from a send to its commit, of one message at a time.',
    registry,
    scale: MS,
    read: () => meter.sends,
  });
}

function countEvents(registry: Registry, events: Events): void {
  const registers = [registry];
  const connects = new Counter({ name: 'pumphouse_connects_total', help: 'Connections opened.', registers });
  const counter = <Label extends string>(name: string, help: string, labelNames: readonly Label[]) =>
    new Counter({ name, help, labelNames: [...labelNames], registers });
  const evictions = counter('pumphouse_evictions_total', 'Slow clients evicted, by reason.', ['reason']);
  const lost = counter(
    'pumphouse_lost_messages_total',
    'Messages that this server had and that their store has lost, counted in each room.',
    [],
  );
  const closed = counter('pumphouse_closes_total', 'Connections closed, by close code and by the side that closed.', [
    'code',
    'by',
  ]);
  const recoveries = counter(
    'pumphouse_recoveries_total',
    'Clients that have resumed in a room, by whether they get everything: complete, or what prevents it.',
    ['outcome'],
  );
  const overloads = counter('pumphouse_overloads_total', 'Posts rejected by a full mailbox.', ['mailbox']);
  const refusals = counter('pumphouse_refused_handshakes_total', 'Handshakes refused, by reason.', ['reason']);
  events.on('refused', ({ reason }) => refusals.inc({ reason }));
  events.on('connected', () => connects.inc());
  events.on('evicted', ({ why }) => evictions.inc({ reason: evictionReason(why) }));
  events.on('moved', (event) => lost.inc(event.lost));
  events.on('resumed', ({ outcome }) => recoveries.inc({ outcome }));
  events.on('disconnected', ({ close, by }) => closed.inc({ code: labelOf(close.code), by }));
  events.on('overloaded', ({ mailbox }) => overloads.inc({ mailbox }));
}

/** Returns the reason of an eviction by that of its close. */
export function evictionReason(why: string): 'too_far_behind' | 'write_timeout' | 'other' {
  if (why === closes.slowConsumer.reason) return 'too_far_behind';
  return why === closes.writeTimeout.reason ? 'write_timeout' : 'other';
}

const pumphouseCodes: readonly number[] = Object.values(closes).map(({ code }) => code);

/** Bounds the labels, since peers may close with any code. RFC 6455 reserves 1000…1015. */
function labelOf(code: number): string {
  return pumphouseCodes.includes(code) || (code >= 1000 && code <= 1015) ? `${code}` : 'other';
}
