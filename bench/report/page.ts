import { conditionsLine } from '../conditions.ts';
import type { Run } from '../run.ts';
import { grouped, kibi, percent, time, whole } from './figures.ts';
import type { Plot } from './plots.ts';
import { gistOf } from './rates.ts';
import { CONTROL, type Figure, noiseOf, type Results } from './results.ts';
import { spreadOf } from './spread.ts';
import { palette } from './svg.ts';

/** A plot with its SVG. */
export interface DrawnPlot {
  readonly plot: Plot;
  readonly svg: string;
}

const STYLE = `
${palette}
:root{color-scheme:light dark;--ground:#fbfcfd;--panel:#fff}
@media(prefers-color-scheme:dark){:root{--ground:#12181f;--panel:#19212a}}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.55 system-ui,sans-serif}
main{max-width:56rem;margin:0 auto;padding:2.5rem 1.25rem 5rem}
h1{font-size:1.75rem;margin:0 0 .25rem}
h2{font-size:1.2rem;margin:2.75rem 0 .25rem}
p{margin:.25rem 0 1rem}
.faint{color:var(--faint)}
figure{margin:1rem 0 0;padding:1.25rem;background:var(--panel);border:1px solid var(--line);border-radius:.75rem;overflow-x:auto}
figure svg{display:block;max-width:100%;height:auto;margin:auto}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:.875rem;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .6rem;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}
th{font-weight:600;color:var(--faint)}
th:first-child,td:first-child{text-align:left}
tr.pumphouse td:first-child{font-weight:600}
.bad{color:#d9480f}
@media(prefers-color-scheme:dark){.bad{color:#ff922b}}
`;

/** Renders a self-contained HTML page. */
export function page(results: Results, drawn: readonly DrawnPlot[]): string {
  const { conditions, runs, missing } = results;
  const repeat = Math.max(...grouped(runs, keyOf).map((group) => group.length));
  const figures = drawn.map(
    ({ plot, svg }) =>
      `<h2>${escaped(plot.title)}</h2><p class="faint">${escaped(plot.about)}</p><figure role="img" aria-label="${escaped(plot.title)}">${svg}</figure>`,
  );
  const tables = grouped(runs, ({ scenario = 'load' }) => scenario).map(scenarioTable);
  const notices = grouped(
    runs.flatMap((run) => run.notices.map((notice) => ({ gist: gistOf(notice), source: nameOf(run) }))),
    ({ gist }) => gist,
  ).map((same) => `${same[0]?.gist} (${[...new Set(same.map(({ source }) => source))].join(', ')})`);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Pumphouse benchmark</title><style>${STYLE}</style></head>
<body><main>
<h1>Results</h1>
<p class="faint">${escaped(conditionsLine(conditions))}</p>
<p>The messages of every client are counted, and auditing clients check each message. A server that loses, repeats or reorders messages is marked. Figures are medians of ${repeat} ${repeat === 1 ? 'run' : 'interleaved runs'}; the spread is the range of the runs relative to the median. ${escaped(noiseLine(runs))}</p>
${figures.join('\n')}
<h2>All figures</h2>
${tables.join('\n')}
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
  const { clients = 0, senders = 0, window = 0, rate } = first?.load ?? {};
  const pace = rate === undefined ? `${whole(window)} in flight each` : `${whole(rate)} messages per second`;
  const load = senders > 0 ? `${whole(senders)} senders, ${pace}` : 'no senders';
  const rows = grouped(runs, ({ server }) => server).map(row);
  return `<h3>${escaped(first?.scenario ?? 'load')} <small class="faint">${whole(clients)} clients, ${load}</small></h3>
<div class="scroll"><table><thead><tr><th></th><th>deliveries/s</th><th>spread</th><th>per CPU s</th><th>p50</th><th>p99</th><th>p99.9</th><th>memory</th><th>per connection</th><th>closed</th><th>audit</th></tr></thead>
<tbody>${rows.join('')}</tbody></table></div>`;
}

function row(runs: readonly Run[]): string {
  const [first] = runs;
  const median = (of: Figure, write: (value: number) => string) => {
    const spread = spreadOf(runs.map(of));
    return spread ? write(spread.median) : '–';
  };
  const deliveries = spreadOf(runs.map(({ rates }) => rates.deliveriesPerSecond || undefined));
  const range = deliveries && runs.length > 1 ? percent((deliveries.max - deliveries.min) / deliveries.median) : '–';
  const closed = runs.reduce(
    (sum, { result }) => sum + Object.values(result.closes).reduce((all, count) => all + count, 0),
    0,
  );
  const unsound = runs.filter(({ sound }) => !sound).length;
  const cells = [
    deliveries ? whole(deliveries.median) : '–',
    range,
    median(({ rates }) => rates.deliveriesPerCpuSecond, whole),
    median(({ result }) => result.roundTrip.p50 || undefined, time),
    median(({ result }) => result.roundTrip.p99 || undefined, time),
    median(({ result }) => result.roundTrip.p999 || undefined, time),
    median(
      ({ result }) => result.server?.memory.most,
      (bytes) => `${whole(bytes / 2 ** 20)} MiB`,
    ),
    median(({ rates }) => rates.bytesPerConnection, kibi),
    closed > 0 ? `<span class="bad">${whole(closed)}</span>` : '0',
    unsound > 0 ? `<span class="bad">unsound in ${unsound} of ${runs.length}</span>` : 'sound',
  ];
  const name = first?.server ?? '';
  const highlighted = name.startsWith('pumphouse') && name !== CONTROL;
  return `<tr${highlighted ? ' class="pumphouse"' : ''}><td>${escaped(name)}</td>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
}

function list(title: string, lines: readonly string[]): string {
  if (lines.length === 0) return '';
  return `<h2>${title}</h2><ul class="faint">${lines.map((line) => `<li>${escaped(line)}</li>`).join('')}</ul>`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
