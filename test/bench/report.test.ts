import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TopLevelSpec } from 'vega-lite';
import { expect, test } from 'vitest';
import type { Conditions } from '../../bench/conditions.ts';
import { tooSlow } from '../../bench/quick.ts';
import { plotsOf } from '../../bench/report/plots.ts';
import { aheadOf } from '../../bench/report/readme/ahead.ts';
import { figures } from '../../bench/report/readme.ts';
import { CONTROL, noiseOf, type Results } from '../../bench/report/results.ts';
import { draw } from '../../bench/report/svg.ts';
import { report } from '../../bench/report/text.ts';
import { readResults, writeReport } from '../../bench/report/write.ts';
import type { Run } from '../../bench/run.ts';
import { bench } from './program.ts';
import { clusterResult, run } from './runs.ts';

const conditions: Conditions = {
  cpu: 'a CPU of the test',
  cores: 2,
  node: 'v20',
  kernel: 'Linux',
  commit: 'abc',
  date: '2026-01-01',
};
const servers = ['pumphouse', 'other & <b>'];
const runs = servers.flatMap((server, i) => [
  ...[100, 1000, 5000].map((clients) => run(`fan-out-${clients}`, { server, clients, deliveries: clients * (i + 1) })),
  run('open-loop', { server }),
  run('idle', { server, clients: 1024 }),
  ...[0, 20].map((delay) => run(`coalescing-${delay}`, { server: 'pumphouse', deliveries: 1000 * (delay + 1) })),
]);
const results: Results = { conditions, runs, missing: ['bun is left out: it is not installed'] };

/** @returns the page of some runs. */
async function pageOf(runs: readonly Run[]): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'pumphouse-report-'));
  try {
    return readFileSync(await writeReport(folder, { conditions, runs, missing: [] }), 'utf8');
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('writes a page with all plots from JSON results, and each plot as a file', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pumphouse-report-'));
  try {
    const first = readFileSync(await writeReport(folder, results), 'utf8');
    const again = join(folder, 'again');
    const html = readFileSync(await writeReport(again, readResults(join(folder, 'results.json'))), 'utf8');
    expect(html === first).toBe(true);
    const names = plotsOf(runs).map(({ name }) => name);
    expect(names).toEqual(['throughput', 'latency', 'cost', 'memory', 'coalescing']);
    for (const name of names) {
      const svg = readFileSync(join(folder, `${name}.svg`), 'utf8');
      expect(html).toContain(svg);
      expect(svg).toContain('prefers-color-scheme:dark');
      expect(svg).not.toMatch(/NaN|undefined/);
    }
    expect(html.match(/<svg /g)).toHaveLength(5);
    expect(html).not.toMatch(/<script|<link|src=|@import|url\((?!#)/); // it is self-contained
    expect(html).not.toContain('<b>');
    for (const text of ['a CPU of the test', 'commit abc', 'other &amp; &lt;b&gt;', 'bun is left out', '1.0 KiB']) {
      expect(html).toContain(text);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('draws no plot without its figures', () => {
  expect(plotsOf([run('chat')])).toEqual([]);
  expect(plotsOf([run('fan-out-100', { clients: 100 })])).toEqual([]); // a single point is not a line
  expect(plotsOf([run('idle')]).map(({ name }) => name)).toEqual(['memory']);
});

test('draws a point for each measured percentile, joined by straight lines only', async () => {
  const [plot] = plotsOf([run('ordinary'), run('ordinary', { server: 'ws' })]);
  expect(plot?.name).toBe('latency-ordinary');
  const [svg = ''] = await draw([plot?.spec as TopLevelSpec]);
  // p50, p99 and p99.9 of two servers; the maximum has no place on the axis.
  expect(svg.match(/aria-roledescription="point"/g)).toHaveLength(6);
  const lines = svg.match(/aria-roledescription="line mark"[^>]*? d="[^"]*"/g) ?? [];
  expect(lines).toHaveLength(2);
  for (const line of lines) expect(line).toMatch(/ d="M[\d.,]+L[\d.,]+L[\d.,]+"$/);
});

test('marks a rough figure in the page and its bars, and states the rule once', async () => {
  const labels = (runs: readonly Run[]) =>
    JSON.stringify(plotsOf(runs).map(({ spec }) => spec)).match(/"label":"[^"]*"/g);
  expect(labels([run('idle')])).toEqual(['"label":"≈ 10.2"']);
  expect(labels([run('idle'), run('idle')])).toEqual(['"label":"10.2"']);
  const html = await pageOf([run('chat'), run('broadcast'), run('broadcast')]);
  expect(html.match(/<td>≈ /g)).toHaveLength(9); // those of the scenario with a single run
  expect(html.match(/≈ marks a rough figure/g)).toHaveLength(1);
});

test('shows in the page as not measured what depends on the process of a server without one', async () => {
  const html = await pageOf([run('chat', { hasUsage: false })]);
  expect(html.match(/<td><span class="faint">not measured<\/span><\/td>/g)).toHaveLength(5);
  expect(html).not.toMatch(/KiB|MiB|NaN|undefined/);
});

test('derives rates again from earlier results, without memory that did not grow', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pumphouse-report-'));
  try {
    const { result, ...idle } = run('idle');
    const memory = { before: 4096, connected: 2048, most: 4096 };
    const server = { cpuSeconds: 1, userCpuSeconds: undefined, memory, stall: undefined };
    const rates = { ...idle.rates, bytesPerConnection: -2048 };
    await writeReport(folder, { conditions, runs: [{ ...idle, rates, result: { ...result, server } }], missing: [] });
    const [read] = readResults(join(folder, 'results.json')).runs;
    expect(read?.rates.bytesPerConnection).toBeUndefined();
    expect(read && report(read)).toContain('per connection: not measured');
    expect(plotsOf(read ? [read] : [])).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('leads the figures of the README with the scenario ordinary where it was measured', () => {
  const of = (scenario: string) => servers.flatMap((server) => [run(scenario, { server }), run(scenario, { server })]);
  const text = figures({ comparison: { ...results, runs: [...of('open-loop'), ...of('ordinary')] }, alone: results });
  expect(text).toContain('(bench/results/latency-ordinary.svg)');
  expect(text).toMatch(/^\|.* server CPU \| user CPU \| CPU per delivery \| +spread \|$/m);
  expect(text).toMatch(/^\| \*\*pumphouse\*\* .* 50 % .* 20 % .* 0 % \|$/m);
  expect(figures({ comparison: { ...results, runs: [run('ordinary')] }, alone: results })).toMatch(
    /^\| \*\*pumphouse\*\* .* ≈ single run \|$/m,
  );
  const differing = [run('ordinary', { deliveries: 1000 }), run('ordinary', { deliveries: 1300 })];
  expect(figures({ comparison: { ...results, runs: differing }, alone: results })).toMatch(
    /^\| \*\*pumphouse\*\* .* ≈ 26 % \|$/m,
  );
  const earlier = figures({ comparison: { ...results, runs: of('open-loop') }, alone: results });
  expect(earlier).toContain('(bench/results/latency.svg)');
});

test('marks a server that loses messages and the number of clients that it closed', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pumphouse-report-'));
  try {
    const bad = run('chat', { sound: false, notices: ['NOT SOUND: faults in the received messages: 1 lost.'] });
    const closed = { ...run('idle'), result: { ...run('idle').result, closes: { 1006: 12 } } };
    const html = readFileSync(await writeReport(folder, { conditions, runs: [bad, closed], missing: [] }), 'utf8');
    expect(html).toContain('<span class="bad">unsound in 1 of 1</span>');
    expect(html).toContain('<span class="bad">12</span>');
    expect(html).toContain('NOT SOUND: faults in the received messages: 1 lost. (pumphouse at chat)');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

const nodesOf = (server: string, reordered = 0) =>
  ['nodes', 'nodes-rooms'].flatMap((scenario) => {
    const cluster = clusterResult(reordered, server === 'pumphouse');
    return [1000, 1010].map((deliveries) => run(scenario, { server, deliveries, cluster, load: { nodes: 2 } }));
  });

test('shows the runs of several nodes in plots, the page and the README', async () => {
  const others = [run('chat'), run('fan-out-1000', { server: 'ws' })];
  const all = [...others, ...nodesOf('pumphouse'), ...nodesOf('peer', 0.25)];
  expect(plotsOf(all).map(({ name }) => name)).toEqual(['cost', 'latency-nodes', 'cost-nodes']);
  // The servers of one node are not in the legend of several, nor the other way round.
  const specs = plotsOf(all).map(({ spec }) => JSON.stringify(spec));
  expect(specs[0]).not.toContain('peer');
  expect(specs[1]).not.toContain('"ws"');
  const html = await pageOf(all);
  expect(html).toContain('2 nodes on Redis without persistence');
  expect(html).toContain('<td>25.0 %</td>');
  expect(html).not.toMatch(/NaN|undefined/);
  const text = figures({ comparison: { ...results, runs: all }, alone: { ...results, runs: nodesOf('pumphouse') } });
  const section = text.slice(text.indexOf('### Two nodes'), text.indexOf('### Where'));
  expect(section).toMatch(/^\| \*\*pumphouse\*\* +\| +503 .* 25 % .* none .*\|$/m);
  expect(section).toMatch(/^\| peer .* 25\.0 % .*\|$/m);
  expect(text.slice(0, text.indexOf('### Two nodes'))).not.toContain('| peer');
  expect(text).toMatch(/^\| `nodes` .* \*\*24\.0 ms across nodes \(p99\)\*\* \|$/m);
  expect(figures({ comparison: { ...results, runs: others }, alone: results })).not.toContain('Two nodes');
});

test('shows the results of several nodes with conditions of their own, and what disturbed them', () => {
  const oneLine = (nodes: Results) =>
    figures({ comparison: { ...results, runs: [run('chat')] }, alone: results, nodes }).replaceAll(/\s+/g, ' ');
  const nodes = { ...results, conditions: { ...conditions, cpu: 'another CPU' }, runs: nodesOf('pumphouse') };
  const text = oneLine(nodes);
  expect(text).toContain('### Two nodes Measured on 2 cores of another CPU, Node v20,');
  expect(text).toContain('medians of 2 interleaved runs. Two nodes share a Redis');
  expect(text).not.toContain('Other processes');
  const disturbed = nodes.runs.map((each, i) => ({
    ...each,
    result: { ...each.result, othersCpuSeconds: i % 2 === 0 ? 1 : 2 },
  }));
  expect(oneLine({ ...nodes, runs: disturbed })).toContain('used 50 % to 100 % of a core meanwhile: throughput is a');
});

test('describes several nodes of a single run', () => {
  const [one] = nodesOf('pumphouse');
  const [other] = nodesOf('peer', 0.25);
  const text = (run: Run | undefined) => (run ? report(run) : '');
  expect(text(one)).toMatch(/^load .* on 2 nodes,/m);
  expect(text(one)).toMatch(/^server CPU .*; by node: 30 %, 20 %$/m);
  expect(text(one)).toMatch(/^Redis +25 % of a core, 12 MiB; version 7\.0\.15, without persistence$/m);
  expect(text(one)).toMatch(/^across nodes +p50 2\.0 ms, p99 24\.0 ms/m);
  expect(text(one)).toMatch(/^order +5 clients compared with one on another node: all received one order$/m);
  expect(text(other)).toMatch(/^order .*: 4 received another order, 250 of 1,000 messages$/m);
});

test('measures noise as the largest difference of the control in any scenario', () => {
  const twice = (scenario: string, other: number) => [
    run(scenario),
    run(scenario, { server: CONTROL, deliveries: other }),
  ];
  expect(noiseOf([...twice('one', 1100), ...twice('two', 800)])).toBeCloseTo(0.2);
  expect(noiseOf([run('one')])).toBeUndefined();
});

test('lists the figures in which other servers are ahead by more than the noise', () => {
  const cost = (server: string, deliveries: number) => run('fan-out-1000', { server, deliveries });
  const noisy = [cost('pumphouse', 1000), cost(CONTROL, 800)];
  const oneLine = (runs: readonly Run[]) => aheadOf(runs).replaceAll(/\s+/g, ' ');
  expect(oneLine([...noisy, cost('quick', 2000), cost('similar', 1100), cost('limit', 4000)])).toContain(
    '- CPU time per delivery to 1,000 clients, 1000.00 µs on Pumphouse (noise 25 %): quick with 500.00 µs (50 % lower).',
  );
  expect(oneLine([...noisy, cost('similar', 1100), { ...cost('lossy', 9000), sound: false }])).toBe(
    'No server is ahead by more than the noise in CPU time per delivery to 1,000 clients (noise 25 %).',
  );
});

test('compares several nodes by their own noise', () => {
  const ofNodes = (server: string, deliveries: number) =>
    run('nodes', { server, deliveries, cluster: clusterResult(), load: { nodes: 2 } });
  const noisy = [ofNodes('pumphouse', 1000), ofNodes(CONTROL, 800)];
  const alone = [run('fan-out-1000'), run('fan-out-1000', { server: CONTROL, deliveries: 990 })];
  const text = aheadOf([...noisy, ...alone, ofNodes('peer', 2000)]).replaceAll(/\s+/g, ' ');
  expect(text).toContain('- deliveries per second on two nodes, 500 on Pumphouse (noise 20 %): peer with 1,000');
  expect(text).toContain('CPU time per delivery to 1,000 clients (noise 1 %)');
  const page = figures({ comparison: { ...results, runs: [...noisy, ...alone] }, alone: results }).replaceAll(
    /\s+/g,
    ' ',
  );
  expect(page.match(/differs from itself by up to \d+ %/g)).toEqual([
    'differs from itself by up to 1 %',
    'differs from itself by up to 20 %',
  ]);
});

test('fails the quick check if Pumphouse is far slower than expected, but not because of noise', () => {
  const runsWith = (pumphouse: number, limit: number, control: number) => [
    run('chat', { deliveries: pumphouse }),
    run('chat', { deliveries: limit, server: 'limit' }),
    run('fan-out-100', { deliveries: 1000 }),
    run('fan-out-100', { deliveries: control, server: CONTROL }),
  ];
  expect(tooSlow(runsWith(800, 1000, 700))).toEqual([]);
  expect(tooSlow(runsWith(300, 1000, 1000))).toEqual([
    expect.stringContaining('chat: deliveries per CPU second are 0.30 times those of limit'),
  ]);
  expect(tooSlow(runsWith(1000, 1000, 2100))).toEqual([expect.stringContaining(CONTROL)]);
  expect(tooSlow([])).toEqual([]);
});

test('recreates the page with --from, and rejects a file without results in one line', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pumphouse-report-'));
  try {
    await writeReport(folder, results);
    const to = join(folder, 'again');
    const args = ['--from', join(folder, 'results.json'), '--report', to];
    expect((await bench(args)).stdout.trim()).toBe(join(to, 'index.html'));
    writeFileSync(join(folder, 'other.json'), '{"a":1}');
    const wrong = await bench(['--from', join(folder, 'other.json'), '--report', to]);
    expect(wrong).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^bench: .* holds no results/),
    });
    const alone = await bench(['--from', 'x.json']);
    expect(alone).toMatchObject({ code: 2, stderr: 'bench: --from needs --report\n' });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
