import type { Run } from '../run.ts';
import { grouped, time, whole } from './figures.ts';
import { type Spread, spreadOf } from './spread.ts';

const BAR = 24;
const MIB = 2 ** 20;

/** One figure of the table. */
interface Column {
  readonly title: string;
  readonly of: (run: Run) => number | undefined;
  readonly write: (value: number) => string;
}

const columns: readonly Column[] = [
  { title: 'deliveries/s', of: ({ rates }) => rates.deliveriesPerSecond || undefined, write: whole },
  { title: 'per CPU s', of: ({ rates }) => rates.deliveriesPerCpuSecond || undefined, write: whole },
  { title: 'p50', of: ({ result }) => result.roundTrip.p50 || undefined, write: time },
  { title: 'p99', of: ({ result }) => result.roundTrip.p99 || undefined, write: time },
  { title: 'connects/s', of: ({ rates }) => rates.connectionsPerSecond, write: whole },
  { title: 'memory', of: ({ result }) => result.server?.memory.most, write: (bytes) => `${whole(bytes / MIB)} MiB` },
  { title: 'closed', of: ({ result }) => sumOf(result.closes), write: whole },
];

const sumOf = (codes: Readonly<Record<string, number>>) => Object.values(codes).reduce((sum, count) => sum + count, 0);

/** A line of the table: what was run on what. */
interface Row {
  readonly name: string;
  readonly server: string;
  readonly cells: readonly string[];
  readonly deliveries: number;
}

/**
 * A table of several runs: of each scenario on each server the medians, how far its deliveries were spread, and whether it was
 * sound each time. The bars compare what shares a scenario, where there are several servers.
 */
export function table(runs: readonly Run[]): string {
  const servers = new Set(runs.map(({ server }) => server)).size;
  const rows = grouped(runs, ({ scenario, server }) => JSON.stringify([scenario, server])).map(rowOf);
  const order = rows.map(({ name }) => name);
  rows.sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
  const head = ['', ...(servers > 1 ? [''] : []), ...columns.map(({ title }) => title), 'spread', 'audit', ''];
  const lines = rows.map((row) => {
    const beside = servers > 1 ? rows.filter(({ name }) => name === row.name) : rows;
    const most = Math.max(...beside.map(({ deliveries }) => deliveries));
    const names = servers > 1 ? [row.name, row.server] : [row.name];
    return [...names, ...row.cells, barOf(row.deliveries / most)];
  });
  return aligned([head, ...lines], servers > 1 ? 2 : 1);
}

function rowOf(runs: readonly Run[]): Row {
  const [{ scenario = 'load', server } = { server: '' }] = runs;
  const figures = columns.map(({ of, write }) => {
    const spread = spreadOf(runs.map(of));
    return spread ? write(spread.median) : '–';
  });
  const deliveries = spreadOf(runs.map(({ rates }) => rates.deliveriesPerSecond || undefined));
  const unsound = runs.filter(({ sound }) => !sound).length;
  const verdict = unsound > 0 ? `UNSOUND in ${unsound} of ${runs.length}` : 'sound';
  const cells = [...figures, widthOf(deliveries, runs.length), verdict];
  return { name: scenario, server, cells, deliveries: deliveries?.median ?? 0 };
}

/** How far the runs were apart, as a share of the median. */
function widthOf(spread: Spread | undefined, runs: number): string {
  if (!spread || runs < 2) return '–';
  const share = (value: number) => `${Math.round((value / spread.median - 1) * 100)} %`;
  return `${share(spread.least)} … +${share(spread.most)}`;
}

function barOf(share: number): string {
  return '█'.repeat(Math.round((Number.isFinite(share) ? share : 0) * BAR));
}

/** @param names how many columns at the left are names. */
function aligned(rows: readonly (readonly string[])[], names: number): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows
    .map((row) =>
      row.map((cell, column) => (column < names ? cell.padEnd(widths[column] ?? 0) : padded(cell, widths[column]))),
    )
    .map((row) => row.join('  ').trimEnd())
    .join('\n');
}

/** Figures stand at the right, words and bars at the left. */
function padded(cell: string, width = 0): string {
  return /^[█A-Za-z]/.test(cell) && !/\d/.test(cell) ? cell.padEnd(width) : cell.padStart(width);
}
