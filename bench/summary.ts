import { time, whole } from './report.ts';
import type { Run } from './run.ts';
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
];

/** A table of several runs: of each scenario the medians, how far its deliveries were spread, and whether it was sound each time. */
export function summary(runs: readonly Run[]): string {
  const names = [...new Set(runs.map(({ scenario }) => scenario))];
  const rows = names.map((name) =>
    rowOf(
      name ?? 'load',
      runs.filter(({ scenario }) => scenario === name),
    ),
  );
  const most = Math.max(...rows.map(({ deliveries }) => deliveries?.median ?? 0));
  const head = ['', ...columns.map(({ title }) => title), 'spread', 'audit', ''];
  const lines = rows.map(({ cells, deliveries }) => [...cells, barOf((deliveries?.median ?? 0) / most)]);
  return aligned([head, ...lines]);
}

function rowOf(name: string, runs: readonly Run[]): { cells: string[]; deliveries: Spread | undefined } {
  const figures = columns.map(({ of, write }) => {
    const spread = spreadOf(runs.map(of));
    return spread ? write(spread.median) : '–';
  });
  const deliveries = spreadOf(runs.map(({ rates }) => rates.deliveriesPerSecond || undefined));
  const unsound = runs.filter(({ sound }) => !sound).length;
  const verdict = unsound > 0 ? `UNSOUND in ${unsound} of ${runs.length}` : 'sound';
  return { cells: [name, ...figures, widthOf(deliveries, runs.length), verdict], deliveries };
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

function aligned(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows
    .map((row) =>
      row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : padded(cell, widths[column]))),
    )
    .map((row) => row.join('  ').trimEnd())
    .join('\n');
}

/** Figures stand at the right, words and bars at the left. */
function padded(cell: string, width = 0): string {
  return /^[█A-Za-z]/.test(cell) && !/\d/.test(cell) ? cell.padEnd(width) : cell.padStart(width);
}
