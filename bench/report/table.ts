import type { Run } from '../run.ts';
import { scenarios } from '../scenarios.ts';
import { type Column, cellOf, columns, hasNodes } from './columns.ts';
import { grouped } from './figures.ts';
import { ROUGH_RULE, type Spread, spreadOf } from './spread.ts';

const BAR_WIDTH = 24;

const { deliveries, cpu, userCpu, perCpuSecond, p50, p99, connects, memory, closed } = columns;
const { redisCpu, crossing50, crossing99, reordered } = columns;
/** The columns in order. Those of several nodes are left out if every run has one. */
const allColumns: readonly { readonly column: Column; readonly ofNodes: boolean }[] = [
  ...[deliveries, cpu, userCpu].map((column) => ({ column, ofNodes: false })),
  { column: redisCpu, ofNodes: true },
  ...[perCpuSecond, p50, p99].map((column) => ({ column, ofNodes: false })),
  ...[crossing50, crossing99, reordered].map((column) => ({ column, ofNodes: true })),
  ...[connects, memory, closed].map((column) => ({ column, ofNodes: false })),
];
/** The columns at the end that hold words: the verdict and the bar. */
const TRAILING_WORDS = 2;

/** One row: a scenario on a server. */
interface Row {
  readonly name: string;
  readonly server: string;
  readonly cells: readonly string[];
  readonly bar: Bar | undefined;
}

/** A figure that bars compare. */
interface Bar {
  readonly unit: string;
  readonly better: 'longer' | 'shorter';
  readonly column: Column;
  readonly value: number;
}

/** Rows whose bars share a scale. */
interface Scale {
  readonly rows: readonly Row[];
  readonly full: Bar;
}

/**
 * Formats a table with one row per scenario and server: medians, the spread of the deliveries, and
 * the verdict of the audit. Bars compare the rows of one scale, which `tableNotes` explains.
 */
export function table(runs: readonly Run[]): string {
  const rows = rowsOf(runs);
  const several = hasSeveralServers(rows);
  const scales = scalesOf(rows);
  const head = ['', ...(several ? [''] : []), ...columnsFor(runs).map(({ title }) => title), 'spread', 'audit', ''];
  const lines = rows.map((row) => {
    const scale = scales.find((each) => each.rows.includes(row));
    const names = several ? [row.name, row.server] : [row.name];
    return [...names, ...row.cells, scale && row.bar ? barOf(row.bar.value / scale.full.value) : ''];
  });
  return aligned([head, ...lines], several ? 2 : 1, TRAILING_WORDS);
}

/** @returns the notes of a table: the scale of each group of bars, and the rule of the marks. */
export function tableNotes(runs: readonly Run[]): string[] {
  const rows = rowsOf(runs);
  const scales = scalesOf(rows).map(({ rows, full: { column, value, unit, better } }) => {
    const names = [...new Set(rows.map(({ name }) => name))].join(', ');
    return `  ${names}: a full bar is ${column.write(value)} ${unit}, ${better} is better`;
  });
  const marked = rows.some(({ cells }) => cells.some((cell) => cell.startsWith('≈')));
  return [
    ...(scales.length > 0 ? [['Bars, each group on its own scale:', ...scales].join('\n')] : []),
    ...(marked ? [ROUGH_RULE] : []),
  ];
}

function columnsFor(runs: readonly Run[]): Column[] {
  const several = runs.some(hasNodes);
  return allColumns.filter(({ ofNodes }) => several || !ofNodes).map(({ column }) => column);
}

function rowsOf(runs: readonly Run[]): Row[] {
  const selected = columnsFor(runs);
  const groups = grouped(runs, ({ scenario, server }) => JSON.stringify([scenario, server]));
  const rows = groups.map((group) => rowOf(group, selected));
  const order = rows.map(({ name }) => name);
  return rows.sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
}

function rowOf(runs: readonly Run[], selected: readonly Column[]): Row {
  const [{ scenario = 'load', server } = { server: '' }] = runs;
  const unsound = runs.filter(({ sound }) => !sound).length;
  const verdict = unsound > 0 ? `UNSOUND in ${unsound} of ${runs.length}` : 'sound';
  const spread = rangeOf(spreadOf(runs.map(deliveries.figure)), runs.length);
  const cells = [...selected.map((column) => cellOf(runs, column)), spread, verdict];
  return { name: scenario, server, cells, bar: barFigureOf(runs) };
}

/**
 * Chooses the figure that a load varies. At a fixed rate every server delivers the same, at a
 * different cost.
 *
 * @returns undefined if no run has the figure.
 */
function barFigureOf(runs: readonly Run[]): Bar | undefined {
  const [first] = runs;
  if (!first) return undefined;
  const compared = comparedFigure(first);
  const spread = spreadOf(runs.map(compared.column.figure));
  return spread && { ...compared, value: spread.median };
}

function comparedFigure({ load: { senders, rate, backlog }, scenario }: Run): Omit<Bar, 'value'> {
  if (senders > 0 && rate === undefined) return { unit: 'deliveries/s', better: 'longer', column: deliveries };
  if (senders > 0) return { unit: 'of CPU per delivery', better: 'shorter', column: columns.cpuPerDelivery };
  if (backlog > 0) return { unit: 'until all have recovered', better: 'shorter', column: columns.recovery };
  if (scenario === 'storm') return { unit: 'connects/s', better: 'longer', column: connects };
  return { unit: 'of memory per connection', better: 'shorter', column: columns.perConnection };
}

/**
 * Groups the rows whose bars can be compared: the servers of one scenario, or the scenarios of one
 * family if only one server ran them. A row alone has no bar.
 */
function scalesOf(rows: readonly Row[]): Scale[] {
  const key = ({ name, server }: Row) =>
    rows.some((other) => other.name === name && other.server !== server) ? name : `${familyOf(name)} on ${server}`;
  const comparable = rows.filter(({ bar }) => bar !== undefined);
  return grouped(comparable, (row) => `${key(row)} ${row.bar?.unit}`).flatMap((group): Scale[] => {
    const [full] = group.flatMap(({ bar }) => bar ?? []).sort((a, b) => b.value - a.value);
    return full && full.value > 0 && group.length > 1 ? [{ rows: group, full }] : [];
  });
}

const hasSeveralServers = (rows: readonly Row[]) => new Set(rows.map(({ server }) => server)).size > 1;

function familyOf(name: string): string {
  return scenarios.find((scenario) => scenario.name === name)?.family ?? name;
}

/** Formats the range of several runs relative to their median. */
function rangeOf(spread: Spread | undefined, runs: number): string {
  if (!spread || runs < 2) return '–';
  const share = (value: number) => `${Math.round((value / spread.median - 1) * 100)} %`;
  return `${share(spread.min)} … +${share(spread.max)}`;
}

function barOf(share: number): string {
  return '█'.repeat(Math.round(share * BAR_WIDTH));
}

/**
 * Aligns figures to the right, and words to the left.
 *
 * @param names the number of leading columns that hold names.
 * @param words the number of trailing columns that hold words.
 */
export function aligned(rows: readonly (readonly string[])[], names: number, words: number): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const isFigure = (column: number) => column >= names && column < widths.length - words;
  return rows
    .map((row) =>
      row.map((cell, column) => {
        const width = widths[column] ?? 0;
        return isFigure(column) ? cell.padStart(width) : cell.padEnd(width);
      }),
    )
    .map((row) => row.join('  ').trimEnd())
    .join('\n');
}
