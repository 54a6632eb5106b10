import type { Run } from '../run.ts';
import { grouped, time, whole } from './figures.ts';
import type { Figure } from './results.ts';
import { type Spread, spreadOf } from './spread.ts';

const BAR_WIDTH = 24;
const MIB = 2 ** 20;

/** One column of figures. */
interface Column {
  readonly title: string;
  readonly of: Figure;
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

/** One row: a scenario on a server. */
interface Row {
  readonly name: string;
  readonly server: string;
  readonly cells: readonly string[];
  readonly deliveries: number;
}

/**
 * Formats a table with one row per scenario and server: medians, the spread of the deliveries, and
 * the verdict of the audit. With several servers, the bars compare those of one scenario.
 */
export function table(runs: readonly Run[]): string {
  const servers = new Set(runs.map(({ server }) => server)).size;
  const rows = grouped(runs, ({ scenario, server }) => JSON.stringify([scenario, server])).map(rowOf);
  const order = rows.map(({ name }) => name);
  rows.sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
  const head = ['', ...(servers > 1 ? [''] : []), ...columns.map(({ title }) => title), 'spread', 'audit', ''];
  const lines = rows.map((row) => {
    const compared = servers > 1 ? rows.filter(({ name }) => name === row.name) : rows;
    const max = Math.max(...compared.map(({ deliveries }) => deliveries));
    const names = servers > 1 ? [row.name, row.server] : [row.name];
    return [...names, ...row.cells, barOf(row.deliveries / max)];
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
  const cells = [...figures, rangeOf(deliveries, runs.length), verdict];
  return { name: scenario, server, cells, deliveries: deliveries?.median ?? 0 };
}

/** Formats the range of several runs relative to their median. */
function rangeOf(spread: Spread | undefined, runs: number): string {
  if (!spread || runs < 2) return '–';
  const share = (value: number) => `${Math.round((value / spread.median - 1) * 100)} %`;
  return `${share(spread.min)} … +${share(spread.max)}`;
}

function barOf(share: number): string {
  return '█'.repeat(Math.round((Number.isFinite(share) ? share : 0) * BAR_WIDTH));
}

/** @param names the number of leading columns that hold names. */
function aligned(rows: readonly (readonly string[])[], names: number): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows
    .map((row) =>
      row.map((cell, column) => (column < names ? cell.padEnd(widths[column] ?? 0) : padded(cell, widths[column]))),
    )
    .map((row) => row.join('  ').trimEnd())
    .join('\n');
}

/** Aligns figures to the right, words and bars to the left. */
function padded(cell: string, width = 0): string {
  return /^[█A-Za-z]/.test(cell) && !/\d/.test(cell) ? cell.padEnd(width) : cell.padStart(width);
}
