// Writes the README's figures from the committed results: npm run bench:readme
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { conditionsLine } from '../conditions.ts';
import type { Run } from '../run.ts';
import { scenarios } from '../scenarios.ts';
import { type Column, closedIn, columns, hasNodes, medianOf } from './columns.ts';
import { grouped, percent, whole } from './figures.ts';
import { plotsOf } from './plots.ts';
import { CONTROL, noiseOf, PUMPHOUSE, type Results } from './results.ts';
import { isRough, rangeOf, STABLE_RANGE, spreadOf } from './spread.ts';
import { draw } from './svg.ts';
import { readResults } from './write.ts';

/** The results of Pumphouse beside other servers, and of every scenario on Pumphouse alone. */
export const COMPARISON = 'bench/results/comparison.json';
export const SCENARIOS = 'bench/results/scenarios.json';
const PLOTS = 'bench/results';
const README = 'README.md';
const BEGIN = '<!-- figures: npm run bench:readme writes them from bench/results -->';
const END = '<!-- end of figures -->';
const PROSE_WIDTH = 100;
/** The theoretical floor, which is not a server to be ahead of. */
const FLOOR = 'limit';

/** A column of a table of servers. */
interface ServerColumn extends Column {
  readonly scenario: string;
  /** How to compare servers by this figure; undefined if it is for information only. */
  readonly comparison?: { readonly name: string; readonly better: 'higher' | 'lower' };
}

/** An ordinary load. Results from before the scenario `ordinary` have `open-loop` alone. */
interface OrdinaryLoad {
  readonly scenario: string;
  readonly plot: string;
  readonly about: string;
}

const { deliveries, cpu, userCpu, cpuPerDelivery, p50, p99, memory, perConnection } = columns;
const { redisCpu, crossing50, crossing99, reordered } = columns;
const ROUND_TRIP =
  'A round trip counts from when the message was due, so that it includes any delay in the sender. Server CPU is a share of one core';

const ordinaryLoads: readonly OrdinaryLoad[] = [
  {
    scenario: 'ordinary',
    plot: 'latency-ordinary',
    about: `A room of 100 clients receives 1,000 messages per second, which 10 of them send at fixed times (\`ordinary\`). Pumphouse speaks \`pumphouse.v1\` and stores each message on disk before it delivers it; the other servers store nothing. ${ROUND_TRIP}, user CPU the part of it outside the kernel.`,
  },
  {
    scenario: 'open-loop',
    plot: 'latency',
    about: `A room of 100 clients receives 1,000 messages per second, sent at fixed times (\`open-loop\`). ${ROUND_TRIP}.`,
  },
];

const SPREAD_RULE = `The spread of a row is the widest range of the runs among its figures, relative to their median; ≈ marks one above ${percent(STABLE_RANGE)}, and figures of a single run.`;

function ordinaryLoadOf(runs: readonly Run[]): OrdinaryLoad {
  const measured = ordinaryLoads.find(({ scenario }) => runs.some((run) => run.scenario === scenario));
  return measured ?? (ordinaryLoads[0] as OrdinaryLoad);
}

function ordinaryColumns(runs: readonly Run[]): readonly ServerColumn[] {
  const { scenario } = ordinaryLoadOf(runs);
  const hasUserCpu = runs.some((run) => run.scenario === scenario && userCpu.isMeasured(run));
  return [
    { ...deliveries, scenario },
    { ...p50, scenario, comparison: { name: 'p50 at the ordinary load', better: 'lower' } },
    { ...p99, scenario, comparison: { name: 'p99 at the ordinary load', better: 'lower' } },
    { ...cpu, title: 'server CPU', scenario },
    ...(hasUserCpu ? [{ ...userCpu, scenario }] : []),
    {
      ...cpuPerDelivery,
      scenario,
      comparison: { name: 'CPU time per delivery at the ordinary load', better: 'lower' },
    },
  ];
}

const saturation: readonly ServerColumn[] = [
  {
    ...deliveries,
    title: 'chat: deliveries/s',
    scenario: 'chat',
    comparison: { name: 'deliveries per second at saturation', better: 'higher' },
  },
  {
    ...cpuPerDelivery,
    title: 'fan-out-1000: CPU per delivery',
    scenario: 'fan-out-1000',
    comparison: { name: 'CPU time per delivery to 1,000 clients', better: 'lower' },
  },
  {
    ...perConnection,
    title: 'idle: memory per connection',
    scenario: 'idle',
    comparison: { name: 'memory per connection', better: 'lower' },
  },
];

/** @returns the text between the marks of the README, including the marks. */
export function figures(comparison: Results, alone: Results): string {
  const measured = comparison.runs.filter(({ server }) => server !== CONTROL);
  const servers = grouped(
    measured.filter((run) => !hasNodes(run)),
    ({ server }) => server,
  );
  const load = ordinaryLoadOf(comparison.runs);
  const ordinary = ordinaryColumns(comparison.runs);
  const image = (name: string) => `![${titleOf(comparison, name)}](${PLOTS}/${name}.svg)`;
  return [
    BEGIN,
    wrapped(
      `Measured on ${conditionsLine(comparison.conditions)}: one core for the server and one for the load generator, messages of 64 bytes, medians of ${repeats(comparison)} interleaved runs. Every client's messages are counted, and some clients check each one. A delivery is one message received by one client. \`${FLOOR}\` is the theoretical floor, a minimal server in C. ${noiseLine(ofTopology(comparison.runs, false))} ${SPREAD_RULE}`,
    ),
    '### Ordinary load',
    wrapped(load.about),
    image(load.plot),
    table(
      ['', ...ordinary.map(({ title }) => title), 'spread'],
      servers
        .filter((runs) => runs.some(({ scenario }) => scenario === load.scenario))
        .map((runs) => [labelOf(runs), ...serverCells(runs, ordinary)]),
    ),
    '### Saturation',
    wrapped(
      'Senders always have messages in flight: 100 of 1,000 clients with 10 messages each (`chat`), or 10 of 1,000 with one each (`fan-out-1000`). Memory is that of an idle connection. The last column counts the clients that a server closed, and runs in which it lost, repeated or reordered messages.',
    ),
    image('throughput'),
    image('cost'),
    table(
      ['', ...saturation.map(({ title }) => title), 'spread', 'closed'],
      servers.map((runs) => [labelOf(runs), ...serverCells(runs, saturation), closedCell(runs)]),
    ),
    ...nodesSection(comparison.runs, image),
    '### Where other servers are ahead',
    aheadOf(comparison.runs),
    '### All scenarios',
    'Pumphouse alone (`npm run bench -- all`):',
    table(
      ['scenario', 'deliveries/s', 'p50', 'p99', 'peak memory', 'spread', ''],
      grouped(alone.runs, ({ scenario }) => scenario ?? '').map(scenarioRow),
    ),
    END,
  ].join('\n\n');
}

const ofNodes: readonly ServerColumn[] = [
  {
    ...deliveries,
    scenario: 'nodes',
    comparison: { name: 'deliveries per second on two nodes', better: 'higher' },
  },
  { ...crossing50, scenario: 'nodes', comparison: { name: 'p50 across two nodes', better: 'lower' } },
  { ...crossing99, scenario: 'nodes', comparison: { name: 'p99 across two nodes', better: 'lower' } },
  { ...cpu, title: 'CPU of both nodes', scenario: 'nodes' },
  { ...redisCpu, scenario: 'nodes' },
  {
    ...cpuPerDelivery,
    scenario: 'nodes',
    comparison: { name: 'CPU time per delivery on two nodes', better: 'lower' },
  },
  { ...reordered, scenario: 'nodes' },
  {
    ...deliveries,
    title: 'nodes-rooms: deliveries/s',
    scenario: 'nodes-rooms',
    comparison: { name: 'deliveries per second in many rooms on two nodes', better: 'higher' },
  },
];

/** @returns the runs of several nodes, or those of one. Each has its own noise. */
const ofTopology = (runs: readonly Run[], several: boolean) => runs.filter((run) => hasNodes(run) === several);

/** @returns the parts of the section on several nodes; none without results. */
function nodesSection(runs: readonly Run[], image: (name: string) => string): string[] {
  const measured = ofTopology(runs, true);
  const servers = grouped(
    measured.filter(({ server }) => server !== CONTROL),
    ({ server }) => server,
  );
  if (servers.length === 0) return [];
  return [
    '### Two nodes',
    wrapped(
      `Two nodes share a Redis without persistence, with the clients of each room on both: one room of 200 clients, 20 of which send (\`nodes\`), or 100 rooms of 10 (\`nodes-rooms\`). Latency is that across nodes, from when a message was due to its receipt on the other node. CPU per delivery includes Redis. Reordered messages are those that clients of the two nodes received in different orders: a fault in Pumphouse, while Socket.IO does not promise one order. ${noiseLine(measured)}`,
    ),
    image('latency-nodes'),
    image('cost-nodes'),
    table(
      ['', ...ofNodes.map(({ title }) => title), 'spread', 'closed'],
      servers.map((group) => [labelOf(group), ...serverCells(group, ofNodes), closedCell(group)]),
    ),
  ];
}

/**
 * Lists where other servers are ahead of Pumphouse by more than the noise of the figure. Runs with
 * faults or closed clients do not count, since a server that does less work is faster.
 */
export function aheadOf(runs: readonly Run[]): string {
  const lines: string[] = [];
  const notAhead: string[] = [];
  const valid = runs.filter((run) => run.sound && closedIn(run) === 0);
  for (const { scenario, figure, write, comparison } of [...ordinaryColumns(runs), ...saturation, ...ofNodes]) {
    if (!comparison) continue;
    const several = scenario.startsWith('nodes');
    const noise = noiseOf(ofTopology(runs, several), figure) ?? 0;
    const medians = grouped(
      valid.filter((run) => run.scenario === scenario),
      ({ server }) => server,
    ).map((group) => ({ server: group[0]?.server ?? '', median: spreadOf(group.map(figure))?.median }));
    const reference = medians.find(({ server }) => server === PUMPHOUSE)?.median;
    if (reference === undefined) continue;
    const ahead = medians.flatMap(({ server, median }) => {
      if (median === undefined || server.startsWith(PUMPHOUSE) || server === FLOOR) return [];
      const lead = comparison.better === 'lower' ? 1 - median / reference : median / reference - 1;
      return lead > noise ? [{ server, median, lead }] : [];
    });
    if (ahead.length === 0) notAhead.push(`${comparison.name} (noise ${percent(noise)})`);
    else {
      const names = ahead
        .sort((a, b) => b.lead - a.lead)
        .map(({ server, median, lead }) => `${server} with ${write(median)} (${percent(lead)} ${comparison.better})`);
      lines.push(
        `- ${comparison.name}, ${write(reference)} on Pumphouse (noise ${percent(noise)}): ${listOf(names, 'and')}.`,
      );
    }
  }
  const intro =
    lines.length > 0
      ? 'Other servers are ahead of Pumphouse in these figures. Differences below the noise, the largest difference between two measurements of Pumphouse itself, are left out.'
      : '';
  const rest = notAhead.length > 0 ? `No server is ahead by more than the noise in ${listOf(notAhead, 'or')}.` : '';
  return [wrapped(intro), lines.map((line) => wrapped(line, '  ')).join('\n'), wrapped(rest)]
    .filter((part) => part !== '')
    .join('\n\n');
}

function labelOf(runs: readonly Run[]): string {
  const name = runs[0]?.server ?? '';
  return name === PUMPHOUSE ? `**${name}**` : name;
}

/** @returns a cell for each column, and the spread of the row. */
function serverCells(runs: readonly Run[], columns: readonly ServerColumn[]): string[] {
  const figures = columns.map((column) => ({
    column,
    runs: runs.filter(({ scenario }) => scenario === column.scenario),
  }));
  return [...figures.map(({ column, runs }) => medianOf(runs, column)), spreadCell(figures)];
}

/** Formats the widest range of a row's figures. */
function spreadCell(figures: readonly { readonly column: Column; readonly runs: readonly Run[] }[]): string {
  const values = figures.filter(({ column }) => !column.isCount).map(({ column, runs }) => runs.map(column.figure));
  const widest = Math.max(...values.map((each) => rangeOf(each) ?? Number.NEGATIVE_INFINITY));
  const text = Number.isFinite(widest) ? percent(widest) : 'single run';
  return values.some(isRough) ? `≈ ${text}` : text;
}

function closedCell(runs: readonly Run[]): string {
  const closed = runs.reduce((sum, run) => sum + closedIn(run), 0);
  const unsound = runs.filter(({ sound }) => !sound).length;
  return [
    closed > 0 ? `${whole(closed)} clients` : 'none',
    ...(unsound > 0 ? [`unsound in ${unsound} runs`] : []),
  ].join(', ');
}

/** The figures that only one scenario has. */
const specialColumns: Readonly<Record<string, { readonly column: Column; readonly suffix: string }>> = {
  idle: { column: perConnection, suffix: 'each' },
  storm: { column: columns.connects, suffix: 'per second' },
  recover: { column: columns.recovery, suffix: 'for all' },
  nodes: { column: crossing99, suffix: 'across nodes (p99)' },
  'nodes-rooms': { column: crossing99, suffix: 'across nodes (p99)' },
};

function scenarioRow(runs: readonly Run[]): string[] {
  const name = runs[0]?.scenario ?? '';
  const selected = [deliveries, p50, p99, memory];
  const own = specialColumns[name];
  const spread = spreadCell([...selected, ...(own ? [own.column] : [])].map((column) => ({ column, runs })));
  const cells = [...selected.map((column) => medianOf(runs, column)), spread];
  return [`\`${name}\``, ...cells, descriptionOf(name, runs)];
}

/** @returns what a scenario measures, with the figure that only this scenario has. */
function descriptionOf(name: string, runs: readonly Run[]): string {
  const about = scenarios.find((scenario) => scenario.name === name)?.about ?? '';
  const special = specialColumns[name];
  return special ? `${about}: **${medianOf(runs, special.column)} ${special.suffix}**` : about;
}

const repeats = ({ runs }: Results) =>
  Math.max(...grouped(runs, ({ server, scenario }) => `${server} ${scenario}`).map((group) => group.length));

function noiseLine(runs: readonly Run[]): string {
  const noise = noiseOf(runs);
  if (noise === undefined) return '';
  return `Measured twice, the same server differs from itself by up to ${percent(noise)} in deliveries per CPU second; smaller differences are noise.`;
}

const titleOf = ({ runs }: Results, name: string) => plotsOf(runs).find((plot) => plot.name === name)?.title ?? name;

function listOf(items: readonly string[], conjunction: 'and' | 'or'): string {
  const last = items.at(-1) ?? '';
  return items.length < 2 ? last : `${items.slice(0, -1).join(', ')} ${conjunction} ${last}`;
}

/** Wraps prose. @param indent starts every line but the first. */
function wrapped(text: string, indent = ''): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line.length + 1 + word.length > PROSE_WIDTH && line !== '') {
      lines.push(line);
      line = indent + word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].join('\n').trim();
}

/**
 * Formats a Markdown table: figures aligned to the right, each column as wide as its widest cell.
 */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const left = (column: number) => column === 0 || head[column] === '';
  const widths = head.map((title, column) => Math.max(3, title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const padded = (cell: string, column: number) =>
    left(column) ? cell.padEnd(widths[column] as number) : cell.padStart(widths[column] as number);
  const line = (cells: readonly string[]) => `| ${cells.map(padded).join(' | ')} |`;
  const rule = widths.map((width, column) => (left(column) ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [line(head), `| ${rule.join(' | ')} |`, ...rows.map(line)].join('\n');
}

/** Replaces the figures in the README. @throws Error if it lacks the marks. */
export function withFigures(readme: string, text: string): string {
  const [from, to] = [readme.indexOf(BEGIN), readme.indexOf(END)];
  if (from < 0 || to < from) throw new Error(`${README} lacks the marks "${BEGIN}" and "${END}"`);
  return readme.slice(0, from) + text + readme.slice(to + END.length);
}

async function main(): Promise<void> {
  const [comparison, alone] = [readResults(COMPARISON), readResults(SCENARIOS)];
  const plots = plotsOf(comparison.runs);
  const drawn = await draw(plots.map(({ spec }) => spec));
  mkdirSync(PLOTS, { recursive: true });
  for (const [i, { name }] of plots.entries()) writeFileSync(`${PLOTS}/${name}.svg`, drawn[i] as string);
  writeFileSync(README, withFigures(readFileSync(README, 'utf8'), figures(comparison, alone)));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main();
