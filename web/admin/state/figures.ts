import type { Histogram, Snapshot, ThreadSnapshot, Totals } from '../../../src/protocol/snapshot.ts';
import { percentile, since, sumOf } from './histograms.ts';

/** Whose figures: of all threads, or of the worker with this number. */
export type Scope = 'all' | number;

/** The figures of a moment. */
export const LEVELS = [
  'headroom',
  'loop',
  'turn',
  'mailboxes',
  'journal',
  'posts',
  'connections',
  'rooms',
  'inStep',
  'parked',
  'catchingUp',
  'lagP99',
  'rss',
  'heap',
] as const;

/** The figures of the time between two snapshots. Rates are per second, durations in milliseconds. */
export const FLOWS = [
  'turns',
  'turnMean',
  'turnP99',
  'sendP50',
  'sendP99',
  'messages',
  'batches',
  'deliveries',
  'frames',
  'connects',
  'closes',
  'evictions',
  'refusals',
  'overloads',
] as const;

export type FigureName = (typeof LEVELS)[number] | (typeof FLOWS)[number];

/** Figures that would be too low without a thread. Others are those of the threads that answered. */
const SUMS: readonly FigureName[] = [
  'posts',
  'connections',
  'inStep',
  'parked',
  'catchingUp',
  'heap',
  'turns',
  'deliveries',
  'frames',
  'connects',
  'closes',
];

/** A figure is null where it is unknown: no time has passed, or there was nothing to measure. */
export type Figures = Readonly<Record<FigureName, number | null>>;

/** Returns the threads of a scope. */
export function threadsOf({ threads }: Snapshot, scope: Scope): readonly ThreadSnapshot[] {
  return scope === 'all' ? threads : threads.filter(({ worker }) => worker === scope);
}

/**
 * Returns the figures of a scope, or undefined if none of its threads has answered.
 *
 * @param earlier the snapshot before; undefined for the first one.
 */
export function figuresOf(earlier: Snapshot | undefined, later: Snapshot, scope: Scope): Figures | undefined {
  const threads = threadsOf(later, scope);
  if (threads.length === 0) return undefined;
  const figures = { ...levelsOf(later, threads, scope), ...flowsBetween(earlier, later, scope) };
  return scope === 'all' && later.missing > 0 ? withoutSums(figures) : figures;
}

function withoutSums(figures: Figures): Figures {
  return { ...figures, ...Object.fromEntries(SUMS.map((name) => [name, null])) };
}

/** Reports whether a snapshot is of another run of the server than an earlier one. */
export function hasRestarted(earlier: Snapshot, later: Snapshot): boolean {
  return later.uptime < earlier.uptime || later.shared.messages < earlier.shared.messages;
}

function levelsOf(
  { shared }: Snapshot,
  threads: readonly ThreadSnapshot[],
  scope: Scope,
): Record<(typeof LEVELS)[number], number | null> {
  const sum = (value: (thread: ThreadSnapshot) => number) => threads.reduce((all, thread) => all + value(thread), 0);
  const highest = (value: (thread: ThreadSnapshot) => number) => Math.max(...threads.map(value));
  const load = {
    loop: highest((thread) => thread.load.loop),
    turn: highest((thread) => thread.load.turn),
    mailboxes: highest((thread) => thread.load.mailboxes),
    journal: highest((thread) => thread.load.journal),
  };
  return {
    ...load,
    headroom: Math.max(0, 1 - Math.max(...Object.values(load))),
    posts: sum(({ mailboxes }) => Object.values(mailboxes).reduce((all, { posts }) => all + posts, 0)),
    connections: sum(({ connections }) => connections),
    rooms: scope === 'all' ? shared.rooms : sum(({ rooms }) => rooms),
    inStep: sum(({ members }) => members.inStep),
    parked: sum(({ members }) => members.parked),
    catchingUp: sum(({ members }) => members.catchingUp),
    lagP99: percentile(lagOf(threads), 0.99),
    rss: highest(({ memory }) => memory.rss), // each thread reports that of the process
    heap: sum(({ memory }) => memory.heap),
  };
}

/** Returns how far the members of some threads are behind. */
export function lagOf(threads: readonly ThreadSnapshot[]): Histogram {
  return threads.map(({ lag }) => lag).reduce(sumOf, { bounds: threads[0]?.lag.bounds ?? [], counts: zeros(threads) });
}

function zeros(threads: readonly ThreadSnapshot[]): readonly number[] {
  return (threads[0]?.lag.counts ?? []).map(() => 0);
}

const UNKNOWN = Object.fromEntries(FLOWS.map((name) => [name, null])) as Record<(typeof FLOWS)[number], null>;

/**
 * Returns what has happened between two snapshots. A thread that has started over, or that one of
 * them lacks, counts for nothing.
 */
function flowsBetween(
  earlier: Snapshot | undefined,
  later: Snapshot,
  scope: Scope,
): Record<(typeof FLOWS)[number], number | null> {
  const seconds = earlier === undefined ? 0 : (later.at - earlier.at) / 1000;
  if (earlier === undefined || seconds <= 0 || hasRestarted(earlier, later)) return UNKNOWN;
  const before = new Map(threadsOf(earlier, scope).map((thread) => [thread.worker, thread]));
  const works = threadsOf(later, scope).flatMap((thread) => workSince(before.get(thread.worker), thread) ?? []);
  if (works.length === 0) return UNKNOWN;
  const total = (name: keyof Totals) => works.reduce((sum, { totals }) => sum + totals[name], 0);
  const rate = (name: keyof Totals) => total(name) / seconds;
  const shared = (name: 'messages' | 'batches') =>
    scope === 'all' ? (later.shared[name] - earlier.shared[name]) / seconds : rate(name);
  const turns = works.map((work) => work.turns).reduce(sumOf);
  const sends = works.map((work) => work.sends).reduce(sumOf);
  return {
    turns: rate('turns'),
    turnMean: total('turns') === 0 ? null : total('turnMs') / total('turns'),
    turnP99: percentile(turns, 0.99),
    sendP50: percentile(sends, 0.5),
    sendP99: percentile(sends, 0.99),
    messages: shared('messages'),
    batches: shared('batches'),
    deliveries: rate('deliveries'),
    frames: rate('frames'),
    connects: rate('connects'),
    closes: rate('closes'),
    evictions: rate('evictions'),
    refusals: rate('refusals'),
    overloads: rate('overloads'),
  };
}

interface Work {
  readonly totals: Totals;
  readonly turns: Histogram;
  readonly sends: Histogram;
}

/** Returns what a thread has done since, or undefined if it has not counted on from there. */
function workSince(earlier: ThreadSnapshot | undefined, later: ThreadSnapshot): Work | undefined {
  if (earlier === undefined) return undefined;
  const totals = { ...later.totals } as Record<keyof Totals, number>;
  for (const name of Object.keys(totals) as (keyof Totals)[]) {
    totals[name] -= earlier.totals[name];
    if (totals[name] < 0) return undefined;
  }
  const [turns, sends] = [since(earlier.turns, later.turns), since(earlier.sends, later.sends)];
  return turns && sends && { totals, turns, sends };
}
