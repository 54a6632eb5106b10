// Writes what the README says of the figures, from the results that are committed: npm run bench:readme
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { conditionsLine } from '../conditions.ts';
import type { Run } from '../run.ts';
import { scenarios } from '../scenarios/index.ts';
import { grouped, kibi, mebi, percent, time, whole } from './figures.ts';
import { plotsOf } from './plots.ts';
import { AGAIN, noiseOf, type Results } from './results.ts';
import { spreadOf } from './spread.ts';
import { draw } from './svg.ts';
import { readResults } from './write.ts';

/** Pumphouse beside others, and in every scenario by itself. */
export const COMPARISON = 'bench/results/comparison.json';
export const SCENARIOS = 'bench/results/scenarios.json';
const PLOTS = 'bench/results';
const SHOWN = ['throughput', 'cost'];
const README = 'README.md';
const BEGIN = '<!-- figures: npm run bench:readme writes them from bench/results -->';
const END = '<!-- end of figures -->';

type Figure = (run: Run) => number | undefined;

/** What stands between the marks. */
export function figures(comparison: Results, own: Results): string {
  return `${BEGIN}

Measured on ${conditionsLine(comparison.conditions)}: one core for the server and one for the load, messages of 64 bytes, medians of ${repeats(comparison)} runs in turns,
every client's messages counted and some clients' checked one by one. A delivery is one message heard by one client. ${noiseLine(comparison)}

${SHOWN.map((name) => `![${titleOf(comparison, name)}](${PLOTS}/${name}.svg)`).join('\n\n')}

${table(
  [
    '',
    'chat: deliveries/s',
    '1,000 clients: µs of CPU a delivery',
    'p99 at 1,000 messages/s',
    'memory a connection',
    'closed',
  ],
  grouped(
    comparison.runs.filter(({ server }) => server !== AGAIN),
    ({ server }) => server,
  ).map(beside),
)}

Every scenario by itself (\`npm run bench -- all\`):

${table(
  ['scenario', 'deliveries/s', 'p50', 'p99', 'memory at most', ''],
  grouped(own.runs, ({ scenario }) => scenario ?? '').map(alone),
)}

${END}`;
}

function beside(runs: readonly Run[]): string[] {
  const of = (scenario: string, figure: Figure, write: (value: number) => string) => {
    const asked = runs.filter((run) => run.scenario === scenario);
    const spread = spreadOf(asked.map(figure));
    return spread ? write(spread.median) : '–';
  };
  const name = runs[0]?.server ?? '';
  const unsound = runs.filter(({ sound }) => !sound).length;
  const closed = runs.reduce((sum, run) => sum + closedIn(run), 0);
  return [
    name === 'pumphouse' ? '**pumphouse**' : name,
    of('chat', ({ rates }) => rates.deliveriesPerSecond || undefined, whole),
    of(
      'fan-out-1000',
      ({ rates }) => rates.microsPerDelivery,
      (value) => value.toFixed(2),
    ),
    of('open-loop', ({ result }) => result.roundTrip.p99 || undefined, time),
    of('idle', ({ rates }) => rates.bytesPerConnection, kibi),
    [closed > 0 ? `${whole(closed)} clients` : 'none', ...(unsound > 0 ? [`unsound in ${unsound} runs`] : [])].join(
      ', ',
    ),
  ];
}

function alone(runs: readonly Run[]): string[] {
  const median = (figure: Figure, write: (value: number) => string) => {
    const spread = spreadOf(runs.map(figure));
    return spread ? write(spread.median) : '–';
  };
  const name = runs[0]?.scenario ?? '';
  return [
    `\`${name}\``,
    median(({ rates }) => rates.deliveriesPerSecond || undefined, whole),
    median(({ result }) => result.roundTrip.p50 || undefined, time),
    median(({ result }) => result.roundTrip.p99 || undefined, time),
    median(({ result }) => result.server?.memory.most, mebi),
    aside(name, median),
  ];
}

/** What a scenario is about, and the figure that it alone has. */
function aside(name: string, median: (figure: Figure, write: (value: number) => string) => string): string {
  const about = scenarios.find((scenario) => scenario.name === name)?.about ?? '';
  const own: Record<string, () => string> = {
    idle: () => `${median(({ rates }) => rates.bytesPerConnection, kibi)} each`,
    storm: () => `${median(({ rates }) => rates.connectionsPerSecond, whole)} a second`,
    recover: () =>
      `all after ${median(
        ({ result }) => result.recoverySeconds,
        (seconds) => `${seconds.toFixed(1)} s`,
      )}`,
  };
  return [about, own[name]?.()].filter(Boolean).join(': ');
}

const closedIn = ({ result }: Run) => Object.values(result.closes).reduce((sum, count) => sum + count, 0);

const repeats = ({ runs }: Results) =>
  Math.max(...grouped(runs, ({ server, scenario }) => `${server} ${scenario}`).map((group) => group.length));

function noiseLine({ runs }: Results): string {
  const noise = noiseOf(runs);
  return noise === undefined
    ? ''
    : `The same server twice differs from itself by up to ${percent(noise)}: less between others means nothing.`;
}

const titleOf = ({ runs }: Results, name: string) => plotsOf(runs).find((plot) => plot.name === name)?.title ?? name;

/** A table as the formatter would have it: figures at the right, each column as wide as its widest cell. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const left = (column: number) => column === 0 || head[column] === '';
  const widths = head.map((title, column) => Math.max(3, title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const padded = (cell: string, column: number) =>
    left(column) ? cell.padEnd(widths[column] as number) : cell.padStart(widths[column] as number);
  const line = (cells: readonly string[]) => `| ${cells.map(padded).join(' | ')} |`;
  const rule = widths.map((width, column) => (left(column) ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [line(head), `| ${rule.join(' | ')} |`, ...rows.map(line)].join('\n');
}

/** The README with other figures in it. */
export function withFigures(readme: string, text: string): string {
  const [from, to] = [readme.indexOf(BEGIN), readme.indexOf(END)];
  if (from < 0 || to < from) throw new Error(`${README} has no place for figures`);
  return readme.slice(0, from) + text + readme.slice(to + END.length);
}

async function main(): Promise<void> {
  const [comparison, own] = [readResults(COMPARISON), readResults(SCENARIOS)];
  const plots = plotsOf(comparison.runs);
  const drawn = await draw(plots.map(({ spec }) => spec));
  mkdirSync(PLOTS, { recursive: true });
  for (const [i, { name }] of plots.entries()) writeFileSync(`${PLOTS}/${name}.svg`, drawn[i] as string);
  writeFileSync(README, withFigures(readFileSync(README, 'utf8'), figures(comparison, own)));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main();
