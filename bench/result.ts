import { addTo, type Faults, noFaults } from './generator/audit.ts';
import type { Findings, Snapshot, Timings } from './generator/generator.ts';
import { Histogram } from './generator/histogram.ts';
import { compareOrders, type OrderCheck } from './order.ts';
import type { CpuTime } from './usage.ts';

/** Percentiles of durations, in milliseconds. */
export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/**
 * The result of a load. Counts of deliveries cover the measured seconds; closes and faults cover
 * the whole run.
 */
export interface LoadResult {
  readonly seconds: number;
  /** Seconds until all clients were connected. */
  readonly connectingSeconds: number;
  /** How long each client took to connect. */
  readonly connecting: Percentiles;
  /** Seconds until all clients had received the backlog; undefined without one. */
  readonly recoverySeconds: number | undefined;
  readonly deliveries: number;
  readonly messages: number;
  /** Frames in which the deliveries arrived. Earlier results lack it. */
  readonly frames?: number;
  /** Undefined if the usage of the server is not available. */
  readonly server: ServerResult | undefined;
  /** Undefined with one node. */
  readonly cluster: ClusterResult | undefined;
  /**
   * CPU seconds of all generators, the highest share of time that one of their event loops was
   * busy, and the highest share of a core that one of them used. Earlier results lack the last one.
   */
  readonly generator: { readonly cpuSeconds: number; readonly busy: number; readonly maxCpu?: number };
  /**
   * CPU seconds of all other processes of the machine, and those that the hypervisor withheld.
   * Undefined if they are not available, and in earlier results.
   */
  readonly othersCpuSeconds?: number | undefined;
  readonly roundTrip: Percentiles;
  readonly roundTrips: Distribution;
  /** How many reading clients the server closed, by code. */
  readonly closes: Readonly<Record<string, number>>;
  /** How many of the clients that never read the server closed, by code. */
  readonly slowCloses: Readonly<Record<string, number>>;
  /** How many of the churning clients the server closed or rejected, by code. */
  readonly churnCloses: Readonly<Record<string, number>>;
  /** The number of churning clients. */
  readonly came: number;
  readonly audit: Faults & { readonly clients: number; readonly messages: number; readonly first: string | undefined };
  /** Messages never delivered to their sender although it stayed connected. */
  readonly unreturned: number;
}

/** Pairs of a percentile and its value. */
export type Distribution = readonly (readonly [percent: number, milliseconds: number])[];

/** The usage of the server: of all nodes together, without Redis. */
interface ServerResult extends CpuTime {
  readonly memory: Memory;
  /** The longest stall of the event loop, in seconds; only measured with a backlog. */
  readonly stall: number | undefined;
}

/** The figures of several nodes. */
export interface ClusterResult {
  /** CPU seconds of each node; undefined if that of one is not available. */
  readonly nodeCpuSeconds: readonly number[] | undefined;
  /** Undefined if its usage is not available. */
  readonly redis: (CpuTime & { readonly memoryBytes: number; readonly version: string }) | undefined;
  /** From when a message was due to its receipt by auditing clients of other nodes. */
  readonly crossing: Percentiles;
  readonly crossings: Distribution;
  readonly order: OrderCheck;
}

/** Resident memory of the server, in bytes. Each is undefined if it was not measured. */
interface Memory {
  /**
   * Without clients. Undefined for a server that was already running: memory that earlier clients
   * left is used again, so growth from it says nothing.
   */
  readonly before: number | undefined;
  /** With all clients connected. */
  readonly connected: number | undefined;
  /** The maximum. */
  readonly most: number | undefined;
}

const PERCENTILES = [1, 5, 10, 25, 50, 75, 90, 95, 98, 99, 99.5, 99.8, 99.9, 99.95, 99.98, 99.99, 100];

/** Combines the snapshots of all generators. Each has its own clock, so seconds are averaged. */
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
    frames: sum(({ start, end }) => end.frames - start.frames),
    generator: {
      cpuSeconds: sum(({ start, end }) => end.cpuSeconds - start.cpuSeconds),
      busy: Math.max(...ends.map(({ busy }) => busy)),
      maxCpu: Math.max(
        ...spans.map(({ start, end }) => ((end.cpuSeconds - start.cpuSeconds) * 1000) / (end.at - start.at)),
      ),
    },
  };
}

/**
 * Combines the findings of all generators. Auditors of a room that received everything must agree
 * on one order, even across generators.
 *
 * @param promisesOrder whether that includes the auditors of different nodes.
 */
export function judged(findings: readonly Findings[], promisesOrder = true) {
  const faults = noFaults();
  for (const found of findings) addTo(faults, found.faults);
  const orders = compareOrders(
    findings.flatMap(({ orders }) => orders),
    promisesOrder,
  );
  faults.swapped += orders.swapped;
  const violations = [...findings.flatMap(({ first }) => first ?? []), ...orders.violations];
  const sum = (of: (found: Findings) => number) => findings.reduce((all, found) => all + of(found), 0);
  const [first] = violations.sort((a, b) => a.at - b.at);
  const roundTrips = merged(findings.map(({ roundTrips }) => roundTrips));
  const crossings = merged(findings.map(({ crossings }) => crossings));
  return {
    cluster: { crossing: percentiles(crossings), crossings: distribution(crossings), order: orders.check },
    roundTrip: percentiles(roundTrips),
    roundTrips: distribution(roundTrips),
    connecting: percentiles(merged(findings.map(({ connecting }) => connecting))),
    closes: sumByCode(findings.map(({ closes }) => closes)),
    slowCloses: sumByCode(findings.map(({ slowCloses }) => slowCloses)),
    churnCloses: sumByCode(findings.map(({ churnCloses }) => churnCloses)),
    came: sum(({ visits }) => visits),
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

function distribution(of: Histogram): Distribution {
  return of.count === 0 ? [] : PERCENTILES.map((percent) => [percent, of.percentile(percent)] as const);
}

function percentiles(of: Histogram): Percentiles {
  return { p50: of.percentile(50), p99: of.percentile(99), p999: of.percentile(99.9), max: of.max };
}

function sumByCode(closes: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const all: Record<string, number> = {};
  for (const [code, count] of closes.flatMap((each) => Object.entries(each))) all[code] = (all[code] ?? 0) + count;
  return all;
}
