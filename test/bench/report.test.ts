import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import type { Conditions } from '../../bench/conditions.ts';
import { tooSlow } from '../../bench/quick.ts';
import { plotsOf } from '../../bench/report/plots.ts';
import { AGAIN, noiseOf, type Results } from '../../bench/report/results.ts';
import { readResults, writeReport } from '../../bench/report/write.ts';
import { run } from './runs.ts';

const conditions: Conditions = {
  cpu: 'a CPU of the test',
  cores: 2,
  node: 'v20',
  kernel: 'Linux',
  commit: 'abc',
  date: '2026-01-01',
};
const both = ['pumphouse', 'other & <b>'];
const runs = both.flatMap((server, i) => [
  ...[100, 1000, 5000].map((clients) => run(`fan-out-${clients}`, { server, clients, deliveries: clients * (i + 1) })),
  run('open-loop', { server }),
  run('idle', { server, clients: 1024 }),
  ...[0, 20].map((delay) => run(`coalescing-${delay}`, { server: 'pumphouse', deliveries: 1000 * (delay + 1) })),
]);
const results: Results = { conditions, runs, missing: ['bun is left out: there is none'] };

test('from the JSON alone comes one page with all plots, and each plot as a file of its own', async () => {
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
    expect(html).not.toMatch(/<script|<link|src=|@import|url\((?!#)/); // it needs nothing else
    expect(html).not.toContain('<b>');
    for (const words of ['a CPU of the test', 'commit abc', 'other &amp; &lt;b&gt;', 'bun is left out', '1.0 KiB']) {
      expect(html).toContain(words);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('what was not measured has no plot', () => {
  expect(plotsOf([run('chat')])).toEqual([]);
  expect(plotsOf([run('fan-out-100', { clients: 100 })])).toEqual([]); // one place is no line
  expect(plotsOf([run('idle')]).map(({ name }) => name)).toEqual(['memory']);
});

test('a server that loses is marked, and so are clients that it closed', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pumphouse-report-'));
  try {
    const bad = run('chat', { sound: false, notices: ['NOT SOUND: of what the clients should hear 1 lost.'] });
    const closed = { ...run('idle'), result: { ...run('idle').result, closes: { 1006: 12 } } };
    const html = readFileSync(await writeReport(folder, { conditions, runs: [bad, closed], missing: [] }), 'utf8');
    expect(html).toContain('<span class="bad">unsound in 1 of 1</span>');
    expect(html).toContain('<span class="bad">12</span>');
    expect(html).toContain('NOT SOUND: of what the clients should hear 1 lost. (pumphouse at chat)');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('how far a server is from itself is told: the most of all scenarios', () => {
  const twice = (scenario: string, other: number) => [
    run(scenario),
    run(scenario, { server: AGAIN, deliveries: other }),
  ];
  expect(noiseOf([...twice('one', 1100), ...twice('two', 800)])).toBeCloseTo(0.2);
  expect(noiseOf([run('one')])).toBeUndefined();
});

test('a quick look is broken by a server that is far slower than it should be beside others, and not by noise', () => {
  const beside = (own: number, limit: number, again: number) => [
    run('chat', { deliveries: own }),
    run('chat', { deliveries: limit, server: 'limit' }),
    run('fan-out-100', { deliveries: 1000 }),
    run('fan-out-100', { deliveries: again, server: AGAIN }),
  ];
  expect(tooSlow(beside(800, 1000, 700))).toEqual([]);
  expect(tooSlow(beside(300, 1000, 1000))).toEqual([expect.stringContaining('chat: it carries 0.30 times what limit')]);
  expect(tooSlow(beside(1000, 1000, 2100))).toEqual([expect.stringContaining(AGAIN)]);
  expect(tooSlow([])).toEqual([]);
});

test('--from makes the page again; what is no result is one line', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pumphouse-report-'));
  const bench = (args: string[]) => promisify(execFile)(process.execPath, args);
  try {
    await writeReport(folder, results);
    const to = join(folder, 'again');
    const args = ['dist/cli.js', 'bench', '--from', join(folder, 'results.json'), '--report', to];
    expect((await bench(args)).stdout.trim()).toBe(join(to, 'index.html'));
    writeFileSync(join(folder, 'other.json'), '{"a":1}');
    const wrong = bench(['dist/cli.js', 'bench', '--from', join(folder, 'other.json'), '--report', to]);
    await expect(wrong).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^bench: .* holds no results/),
    });
    const alone = bench(['dist/cli.js', 'bench', '--from', 'x.json']);
    await expect(alone).rejects.toMatchObject({ code: 2, stderr: 'bench: --from needs --report\n' });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
