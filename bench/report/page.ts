import { conditionsLine } from '../conditions.ts';
import type { Run } from '../run.ts';
import { type Column, cellOf, closedIn, columns, hasNodes, NOT_MEASURED } from './columns.ts';
import { coresNotes, coresTable, isOfCores } from './cores.ts';
import { grouped, percent, whole } from './figures.ts';
import type { Plot } from './plots/plot.ts';
import { gistOf } from './rates.ts';
import { CONTROL, noiseOf, type Results } from './results.ts';
import { escaped, scrollable, scrollStyle } from './scrollable.ts';
import { ROUGH_RULE, rangeOf } from './spread.ts';
import { palette } from './svg.ts';

/** A plot with its SVG. */
export interface DrawnPlot {
  readonly plot: Plot;
  readonly svg: string;
}

const { deliveries, cpu, userCpu, perCpuSecond, p50, p99, p999, memory, perConnection } = columns;
const { redisCpu, crossing50, crossing99, reordered } = columns;
const ofOneNode: readonly Column[] = [deliveries, cpu, userCpu, perCpuSecond, p50, p99, p999, memory, perConnection];
const ofNodes: readonly Column[] = [
  deliveries,
  cpu,
  redisCpu,
  perCpuSecond,
  p50,
  p99,
  crossing50,
  crossing99,
  reordered,
  memory,
];

const NODES_RULE =
  ' With several nodes, CPU and memory are those of all nodes together, and per CPU s includes the CPU of Redis. Across is the time until clients of other nodes receive a message, while a round trip may stay on one node. Reordered is the share of messages that clients of different nodes received in different orders.';

const STYLE = `
${palette}
:root{color-scheme:light dark;--ground:#fbfcfd;--panel:#fff;--shade:#1d273340}
@media(prefers-color-scheme:dark){:root{--ground:#12181f;--panel:#19212a;--shade:#0009}}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.55 system-ui,sans-serif}
main{display:grid;grid-template-columns:minmax(0,56rem);justify-content:center;padding:2.5rem 1.25rem 5rem}
h1{font-size:1.75rem;margin:0 0 .25rem}
h2{font-size:1.2rem;margin:2.75rem 0 .25rem}
h3{margin:1.5rem 0 .25rem}
p{margin:.25rem 0 1rem}
.faint{color:var(--faint)}
figure{margin:1rem 0 0;padding:1.25rem;background:var(--panel);border:1px solid var(--line);border-radius:.75rem}
figure svg{display:block;max-width:100%;min-width:36rem;height:auto;margin:auto}
.tables{width:min(100vw - 2.5rem,78rem);justify-self:center}
table{border-collapse:collapse;font-size:.875rem;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .5rem;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}
thead th{font-weight:600;color:var(--faint);vertical-align:bottom;white-space:normal}
th:first-child{position:sticky;left:0;min-width:6.5rem;max-width:9rem;text-align:left;white-space:normal;overflow-wrap:anywhere;background:var(--ground)}
td span{white-space:normal}
tbody th{font-weight:400}
tr.pumphouse th{font-weight:600}
.bad{color:#d9480f}
@media(prefers-color-scheme:dark){.bad{color:#ff922b}}
${scrollStyle}
`;

/** Renders a self-contained HTML page. */
export function page(results: Results, drawn: readonly DrawnPlot[]): string {
  const { conditions, runs, missing } = results;
  const repeat = Math.max(...grouped(runs, keyOf).map((group) => group.length));
  const figures = drawn.map(
    ({ plot, svg }) =>
      `<h2>${escaped(plot.title)}</h2><p class="faint">${escaped(plot.about)}</p><figure>${scrollable(plot.title, `<div role="img" aria-label="${escaped(plot.title)}">${svg}</div>`)}</figure>`,
  );
  const ofCores = runs.filter(isOfCores);
  const others = runs.filter((run) => !isOfCores(run));
  const tables = [
    ...grouped(others, ({ scenario = 'load' }) => scenario).map(scenarioTable),
    ...(ofCores.length > 0 ? [coresSection(ofCores)] : []),
  ];
  const notices = grouped(
    runs.flatMap((run) => run.notices.map((notice) => ({ gist: gistOf(notice), source: nameOf(run) }))),
    ({ gist }) => gist,
  ).map((same) => `${same[0]?.gist} (${[...new Set(same.map(({ source }) => source))].join(', ')})`);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Pumphouse benchmark</title><style>${STYLE}</style></head>
<body><main>
<h1>Results</h1>
<p class="faint">${escaped(conditionsLine(conditions))}</p>
<p>The messages of every client are counted, and auditing clients check each message. A server that loses, repeats or reorders messages is marked. Figures are medians of ${repeat} ${repeat === 1 ? 'run' : 'interleaved runs'}; the spread is the range of the runs relative to the median. ${ROUGH_RULE} ${escaped(noiseLine(runs))}</p>
${figures.join('\n')}
<h2>All figures</h2>
<p class="faint">CPU is the share of one core that the server used; user CPU is the part of it outside the kernel. Per CPU s is deliveries per second of CPU time.${runs.some(hasNodes) ? NODES_RULE : ''}</p>
<section class="tables">
${tables.join('\n')}
</section>
${list('Notes', notices)}
${list('Not run', missing)}
</main></body></html>
`;
}

const keyOf = ({ scenario, server }: Run) => JSON.stringify([scenario, server]);

const nameOf = ({ server, scenario = 'load' }: Run) => `${server} at ${scenario}`;

function noiseLine(runs: readonly Run[]): string {
  const noise = noiseOf(runs);
  if (noise === undefined) return '';
  return `The same server, measured under two names, differs from itself by up to ${percent(noise)} in deliveries per CPU second: smaller differences are noise.`;
}

function scenarioTable(runs: readonly Run[]): string {
  const [first] = runs;
  const { clients = 0, senders = 0, window = 0, rate, nodes = 1, aof = 'off' } = first?.load ?? {};
  const selected = nodes > 1 ? ofNodes : ofOneNode;
  const pace = rate === undefined ? `${whole(window)} in flight each` : `${whole(rate)} messages per second`;
  const load = senders > 0 ? `${whole(senders)} senders, ${pace}` : 'no senders';
  const persistence = aof === 'off' ? 'without persistence' : `with an append-only file (${aof})`;
  const place = nodes > 1 ? `, ${nodes} nodes on Redis ${persistence}` : '';
  const rows = grouped(runs, ({ server }) => server).map((group) => row(group, selected));
  const head = ['server', ...selected.map(({ title }) => title), 'spread', 'closed', 'audit'];
  return `<h3>${escaped(first?.scenario ?? 'load')} <small class="faint">${whole(clients)} clients, ${load}${place}</small></h3>
${scrollable(
  `Figures of ${first?.scenario ?? 'load'}`,
  `<table><thead><tr>${head.map((title) => `<th scope="col">${title}</th>`).join('')}</tr></thead>
<tbody>${rows.join('')}</tbody></table>`,
)}`;
}

/** Lets the words of a verdict wrap, which figures must not. */
function coresCell(text: string): string {
  return /[a-z]{3}/.test(text) ? `<td><span>${escaped(text)}</span></td>` : `<td>${escaped(text)}</td>`;
}

/** Shows all points of `cores` in one table, instead of a table for each. */
function coresSection(runs: readonly Run[]): string {
  const { head, rows } = coresTable(runs);
  const body = rows.map(
    ([shape = '', ...cells]) =>
      `<tr><th scope="row">${escaped(shape)}</th>${cells.map((cell) => `${coresCell(cell)}`).join('')}</tr>`,
  );
  const table = `<table><thead><tr>${head.map((title) => `<th scope="col">${title}</th>`).join('')}</tr></thead>
<tbody>${body.join('')}</tbody></table>`;
  const notes = coresNotes(runs).map((note) => `<p class="faint">${escaped(note)}</p>`);
  return `<h3>cores</h3>\n${scrollable('Figures of cores', table)}${notes.join('')}`;
}

function row(runs: readonly Run[], selected: readonly Column[]): string {
  const [first] = runs;
  const range = rangeOf(runs.map(deliveries.figure));
  const closed = runs.reduce((sum, run) => sum + closedIn(run), 0);
  const unsound = runs.filter(({ sound }) => !sound).length;
  const cells = [
    ...selected.map((column) => figureCell(cellOf(runs, column))),
    range === undefined ? '–' : percent(range),
    closed > 0 ? `<span class="bad">${whole(closed)}</span>` : '0',
    unsound > 0 ? `<span class="bad">unsound in ${unsound} of ${runs.length}</span>` : 'sound',
  ];
  const name = first?.server ?? '';
  const highlighted = name.startsWith('pumphouse') && name !== CONTROL;
  return `<tr${highlighted ? ' class="pumphouse"' : ''}><th scope="row">${escaped(name)}</th>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
}

/** Lets words wrap, which a figure with its unit must not. */
function figureCell(text: string): string {
  return text === NOT_MEASURED ? `<span class="faint">${text}</span>` : text;
}

function list(title: string, lines: readonly string[]): string {
  if (lines.length === 0) return '';
  return `<h2>${title}</h2><ul class="faint">${lines.map((line) => `<li>${escaped(line)}</li>`).join('')}</ul>`;
}
