import { addTo, type Faults, none, type Violation } from './generator/audit.ts';
import type { Findings, Snapshot, Timings } from './generator/generator.ts';
import { Histogram } from './generator/histogram.ts';

/** Milliseconds. */
export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** What came out. Rates are of the measured seconds; closes and faults of the whole run. */
export interface LoadResult {
  readonly seconds: number;
  /** How long it took until all clients were connected, and how long each of them waited. */
  readonly connectingSeconds: number;
  readonly connecting: Percentiles;
  /** Seconds until all had what was said before they came; undefined where nothing was. */
  readonly recoverySeconds: number | undefined;
  readonly deliveries: number;
  readonly messages: number;
  /** Undefined where the server does not tell. */
  readonly server:
    | { readonly cpuSeconds: number; readonly memory: Memory; readonly stall: number | undefined }
    | undefined;
  /** The generators' CPU seconds, and what share of the time the busiest one's loop was busy. */
  readonly generator: { readonly cpuSeconds: number; readonly busy: number };
  readonly roundTrip: Percentiles;
  /** Pairs of a percentage, and the milliseconds that so many round trips took at most. */
  readonly roundTrips: readonly (readonly [percent: number, milliseconds: number])[];
  /** How many clients the server closed with each code: those that read, those that never did, and those that come and go. */
  readonly closes: Readonly<Record<string, number>>;
  readonly slowCloses: Readonly<Record<string, number>>;
  readonly churnCloses: Readonly<Record<string, number>>;
  /** How many came and went. */
  readonly came: number;
  readonly audit: Faults & { readonly clients: number; readonly messages: number; readonly first: string | undefined };
  /** Messages that never came back to the client that sent them, though it stayed. */
  readonly unreturned: number;
}

/** Bytes of the server's memory: without clients, with all connected, and the most that was seen afterwards. */
interface Memory {
  readonly before: number;
  readonly connected: number;
  readonly most: number;
}

const CURVE = [1, 5, 10, 25, 50, 75, 90, 95, 98, 99, 99.5, 99.8, 99.9, 99.95, 99.98, 99.99, 100];

/** Each generator's own clock and counts, put together. */
export function measured(starts: readonly Snapshot[], ends: readonly Snapshot[]) {
  const spans = ends.flatMap((end, i) => {
    const start = starts[i];
    return start ? [{ start, end }] : [];
  });
  const sum = (of: (span: { start: Snapshot; end: Snapshot }) => number) =>
    spans.reduce((all, span) => all + of(span), 0);
  return {
    seconds: sum(({ start, end }) => end.at - start.at) / spans.length / 1000,
    deliveries: sum(({ start, end }) => end.deliveries - start.deliveries),
    messages: sum(({ start, end }) => end.messages - start.messages),
    generator: {
      cpuSeconds: sum(({ start, end }) => end.cpuSeconds - start.cpuSeconds),
      busy: Math.max(...ends.map(({ busy }) => busy)),
    },
  };
}

/** Each generator's findings, put together: those that heard everything must have heard it in one order, wherever they are. */
export function judged(findings: readonly Findings[]) {
  const faults = none();
  const orders = new Map<number, number>();
  const violations: Violation[] = [];
  for (const found of findings) {
    addTo(faults, found.faults);
    if (found.first) violations.push(found.first);
    for (const [room, order] of found.orders) {
      const other = orders.get(room);
      if (other === undefined) orders.set(room, order);
      else if (other !== order) {
        faults.swapped++;
        violations.push({
          at: Date.now(),
          what: `two clients of room ${room} heard the same messages in another order`,
        });
      }
    }
  }
  const sum = (of: (found: Findings) => number) => findings.reduce((all, found) => all + of(found), 0);
  const [first] = violations.sort((a, b) => a.at - b.at);
  const roundTrips = merged(findings.map(({ roundTrips }) => roundTrips));
  return {
    roundTrip: percentiles(roundTrips),
    roundTrips:
      roundTrips.count === 0 ? [] : CURVE.map((percent) => [percent, roundTrips.percentile(percent)] as const),
    connecting: percentiles(merged(findings.map(({ connecting }) => connecting))),
    closes: counted(findings.map(({ closes }) => closes)),
    slowCloses: counted(findings.map(({ slowCloses }) => slowCloses)),
    churnCloses: counted(findings.map(({ churnCloses }) => churnCloses)),
    came: sum(({ came }) => came),
    audit: {
      ...faults,
      clients: sum(({ auditors }) => auditors),
      messages: sum(({ audited }) => audited),
      first: first?.what,
    },
    unreturned: sum(({ unreturned }) => unreturned),
  };
}

function merged(timings: readonly Timings[]): Histogram {
  const all = new Histogram();
  for (const { counts, max } of timings) all.merge(counts, max);
  return all;
}

function percentiles(of: Histogram): Percentiles {
  return { p50: of.percentile(50), p99: of.percentile(99), p999: of.percentile(99.9), max: of.max };
}

function counted(codes: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const all: Record<string, number> = {};
  for (const [code, count] of codes.flatMap((each) => Object.entries(each))) all[code] = (all[code] ?? 0) + count;
  return all;
}
