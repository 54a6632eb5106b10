// Writes the README's figures from the committed results: npm run bench:readme
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { conditionsLine } from '../conditions.ts';
import { hasNodes } from './columns.ts';
import { grouped } from './figures.ts';
import type { Plot } from './plots/plot.ts';
import { plotsOf } from './plots.ts';
import { aheadOf } from './readme/ahead.ts';
import {
  closedCell,
  FLOOR,
  labelOf,
  noiseLine,
  ofTopology,
  repeats,
  SPREAD_RULE,
  serverCells,
} from './readme/cells.ts';
import { ordinaryColumns, ordinaryLoadOf, saturation } from './readme/columns.ts';
import { coresSection } from './readme/cores.ts';
import { table, wrapped } from './readme/markdown.ts';
import { nodesSection } from './readme/nodes.ts';
import { scenarioRow } from './readme/scenarios.ts';
import { CONTROL, type Results } from './results.ts';
import { draw } from './svg.ts';
import { readResults } from './write.ts';

/** The results that the README shows. */
export interface ReadmeResults {
  /** Pumphouse beside other servers. */
  readonly comparison: Results;
  /** Every scenario on Pumphouse alone. */
  readonly alone: Results;
  /** The servers on several nodes. @default those of the comparison */
  readonly nodes?: Results | undefined;
  /** Pumphouse with several numbers of workers. @default undefined, which leaves the section out */
  readonly cores?: Results | undefined;
}

/** The folder of the committed results and plots. */
const FOLDER = 'bench/results';
const README = 'README.md';
const BEGIN = '<!-- figures: npm run bench:readme writes them from bench/results -->';
const END = '<!-- end of figures -->';

/** Reads the committed results. */
export function readCommitted(): ReadmeResults {
  const read = (name: string) => readResults(`${FOLDER}/${name}.json`);
  const readIfPresent = (name: string) => (existsSync(`${FOLDER}/${name}.json`) ? read(name) : undefined);
  return {
    comparison: read('comparison'),
    alone: read('scenarios'),
    nodes: readIfPresent('nodes'),
    cores: readIfPresent('cores'),
  };
}

/** @returns the plots of the README. */
export function readmePlots({ comparison, nodes, cores }: ReadmeResults): Plot[] {
  return [comparison, nodes, cores].flatMap((results) => (results ? plotsOf(results.runs) : []));
}

/** @returns the text between the marks of the README, including the marks. */
export function figures(results: ReadmeResults): string {
  const { comparison, alone, nodes, cores } = results;
  const measured = comparison.runs.filter(({ server }) => server !== CONTROL);
  const servers = grouped(
    measured.filter((run) => !hasNodes(run)),
    ({ server }) => server,
  );
  const load = ordinaryLoadOf(comparison.runs);
  const ordinary = ordinaryColumns(comparison.runs);
  const plots = readmePlots(results);
  const titleOf = (name: string) => plots.find((plot) => plot.name === name)?.title;
  const image = (name: string) => `![${titleOf(name) ?? name}](${FOLDER}/${name}.svg)`;
  return [
    BEGIN,
    wrapped(
      `Measured on ${conditionsLine(comparison.conditions)}: one core for the server and one for the load generator, messages of 64 bytes, medians of ${repeats(comparison.runs)} interleaved runs. Every client's messages are counted, and some clients check each one. A delivery is one message received by one client. \`${FLOOR}\` is the theoretical floor, a minimal server in C. ${noiseLine(ofTopology(comparison.runs, false))} ${SPREAD_RULE}`,
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
    ...nodesSection(nodes ?? comparison, image, nodes !== undefined),
    ...(cores ? coresSection(cores, (name) => (titleOf(name) === undefined ? undefined : image(name))) : []),
    '### Where other servers are ahead',
    aheadOf([...comparison.runs, ...(nodes?.runs ?? [])]),
    '### All scenarios',
    'Pumphouse alone (`npm run bench -- all`):',
    table(
      ['scenario', 'deliveries/s', 'p50', 'p99', 'peak memory', 'spread', ''],
      grouped(alone.runs, ({ scenario }) => scenario ?? '').map(scenarioRow),
    ),
    END,
  ].join('\n\n');
}

/** Replaces the figures in the README. @throws Error if it lacks the marks. */
export function withFigures(readme: string, text: string): string {
  const [from, to] = [readme.indexOf(BEGIN), readme.indexOf(END)];
  if (from < 0 || to < from) throw new Error(`${README} lacks the marks "${BEGIN}" and "${END}"`);
  return readme.slice(0, from) + text + readme.slice(to + END.length);
}

async function main(): Promise<void> {
  const results = readCommitted();
  const plots = readmePlots(results);
  const drawn = await draw(plots.map(({ spec }) => spec));
  mkdirSync(FOLDER, { recursive: true });
  for (const [i, { name }] of plots.entries()) writeFileSync(`${FOLDER}/${name}.svg`, drawn[i] as string);
  writeFileSync(README, withFigures(readFileSync(README, 'utf8'), figures(results)));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main();
