import { type EventLoopUtilization, performance } from 'node:perf_hooks';
import { Gauge, type Registry } from 'prom-client';
import type { Buckets } from './distribution.ts';
import { type MailboxName, mailboxes } from './hub-metrics.ts';

/** Shortest time over which the event loop's load is measured. */
const MIN_SPAN_MS = 1000;

/** What limits a thread that serves connections. */
export interface HeadroomReadings {
  mailbox(name: MailboxName): number;
  /** How many posts a mailbox holds. */
  capacity(name: MailboxName): number;
  readonly meter: { readonly turns: Buckets; readonly load: number };
  /** Returns the share of the journal's limit that waits for the store. @default no journal */
  readonly journal?: (() => number) | undefined;
}

/** Share of each resource of a thread that is in use, from 0 to 1. */
export interface Loads {
  readonly loop: number;
  readonly turn: number;
  readonly mailboxes: number;
  /** Undefined without a journal. */
  readonly journal?: number;
}

/** Returns a function that reads the loads: the event loop's and the turns' since its last call. */
export function loadReader({ mailbox, capacity, meter, journal }: HeadroomReadings): () => Loads {
  const readLoop = loopUtilization();
  const readTurn = turnLoad(meter);
  return () => ({
    loop: readLoop(),
    turn: readTurn(),
    mailboxes: Math.max(...mailboxes.map((name) => mailbox(name) / capacity(name))),
    ...(journal && { journal: journal() }),
  });
}

/**
 * Collects how much of each resource of this thread is in use, as the mean since the last scrape
 * where it changes quickly, and the headroom: 1 minus the fullest of them.
 */
export function collectHeadroom(registry: Registry, readings: HeadroomReadings): void {
  const readLoads = loadReader(readings);
  let fullest = 0;
  new Gauge({
    name: 'pumphouse_load_ratio',
    help: 'Share of a resource in use, from 0 to 1: the event loop and the budget of turns since the last scrape, the fullest mailbox and the journal now.',
    labelNames: ['resource'],
    registers: [registry],
    collect() {
      const loads = readLoads();
      for (const [resource, load] of Object.entries(loads)) this.set({ resource }, load);
      fullest = Math.max(...Object.values(loads));
    },
  });
  new Gauge({
    name: 'pumphouse_headroom_ratio',
    help: '1 minus the fullest resource of pumphouse_load_ratio. New clients overload a server at 0.',
    registers: [registry],
    collect() {
      this.set(Math.max(0, 1 - fullest));
    },
  });
}

/**
 * Returns a function that reads the share of the time in which the event loop was busy, since the
 * last call that is at least a second ago. A shorter time would report the work of a few
 * milliseconds as the load. The first second counts as idle where it has not passed yet.
 */
export function loopUtilization(read = () => performance.eventLoopUtilization()): () => number {
  let before = read();
  let last = before;
  return () => {
    const now = read();
    if (spanOf(now, last) >= MIN_SPAN_MS) {
      before = last;
      last = now;
    }
    return (now.active - before.active) / Math.max(spanOf(now, before), MIN_SPAN_MS);
  };
}

function spanOf(now: EventLoopUtilization, before: EventLoopUtilization): number {
  return now.active + now.idle - before.active - before.idle;
}

/** Returns the mean share of its budget that a turn has used since the last call. */
function turnLoad(meter: HeadroomReadings['meter']): () => number {
  let [turns, load] = [0, 0];
  return () => {
    const [before, loadBefore] = [turns, load];
    turns = Array.from(meter.turns.counts).reduce((sum, count) => sum + count, 0);
    load = meter.load;
    return turns > before ? (load - loadBefore) / (turns - before) : 0;
  };
}
