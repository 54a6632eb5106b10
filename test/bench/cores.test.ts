import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TopLevelSpec } from 'vega-lite';
import { expect, test } from 'vitest';
import { coresJobs, parseCoresName, shapes, workerCounts } from '../../bench/cores.ts';
import { availableCpus, type Cpus, divide, parseCpuList, pinned } from '../../bench/cpus.ts';
import { expectedSeconds } from '../../bench/duration.ts';
import { parseOptions } from '../../bench/options.ts';
import { Plan } from '../../bench/plan.ts';
import { pumphouse } from '../../bench/pumphouse.ts';
import { coresNotes, coresTable, coresText, pointsOf } from '../../bench/report/cores.ts';
import { plotsOf } from '../../bench/report/plots.ts';
import { figures } from '../../bench/report/readme.ts';
import type { Results } from '../../bench/report/results.ts';
import { draw } from '../../bench/report/svg.ts';
import { writeReport } from '../../bench/report/write.ts';
import { type Run, runAll } from '../../bench/run.ts';
import { run } from './runs.ts';

const cpusOf = (count: number, canPin = true): Cpus => ({
  ids: Array.from({ length: count }, (_, id) => id),
  threadsPerCore: 1,
  canPin,
});

test.each([
  [1, [1]],
  [2, [1, 2]],
  [6, [1, 2, 4, 6]],
  [8, [1, 2, 4, 8]],
  [12, [1, 2, 4, 8, 12]],
])('measures on %i cores with %j workers', (cores, expected) => {
  expect(workerCounts(cores, true)).toEqual(expected);
  expect(workerCounts(cores, false)).toEqual([1]);
});

test('parses the CPU lists of Linux', () => {
  expect(parseCpuList('0-3,8,10-11\n')).toEqual([0, 1, 2, 3, 8, 10, 11]);
  expect(parseCpuList('5')).toEqual([5]);
});

test('gives workers and their log cores of their own, and generators the rest', () => {
  expect(divide(cpusOf(2), 1)).toEqual({ generators: 1, pinning: { server: [0], generators: [1] } });
  expect(divide(cpusOf(8), 4)).toEqual({ generators: 3, pinning: { server: [0, 1, 2, 3, 4], generators: [5, 6, 7] } });
  // Without a core left for a generator, all are shared.
  expect(divide(cpusOf(2), 2)).toEqual({ generators: 1, pinning: undefined });
  expect(divide(cpusOf(8), 7)).toEqual({ generators: 4, pinning: undefined });
  expect(divide(cpusOf(8, false), 1)).toEqual({ generators: 4, pinning: undefined });
});

test('repeats each point with fewer generators where several have cores of their own', () => {
  const jobs = coresJobs(cpusOf(8), true);
  const ofChat = jobs.filter(({ scenario }) => scenario?.name.startsWith('cores-chat-'));
  expect(ofChat.map(({ scenario, load }) => [scenario?.name, load.workers, load.generators])).toEqual([
    ['cores-chat-1', 1, 7],
    ['cores-chat-1-calibration', 1, 5],
    ['cores-chat-2', 2, 5],
    ['cores-chat-2-calibration', 2, 3],
    ['cores-chat-4', 4, 3],
    ['cores-chat-4-calibration', 4, 2],
    ['cores-chat-8', 8, 4],
  ]);
  expect(jobs).toHaveLength(shapes.length * 7);
  expect(coresJobs(cpusOf(8), false)).toHaveLength(shapes.length * 2);
  expect(parseCoresName('cores-fan-out-16-calibration')).toEqual({
    shape: 'fan-out',
    workers: 16,
    isCalibration: true,
  });
  expect(parseCoresName('fan-out-100')).toBeUndefined();
});

test('takes less than eight minutes for two runs on up to 64 cores', () => {
  for (const cores of [2, 8, 16, 64]) {
    const seconds = coresJobs(cpusOf(cores), true).reduce((sum, { load }) => sum + expectedSeconds(load), 0);
    expect(2 * seconds).toBeLessThan(8 * 60);
  }
});

test('gives the senders and auditors a generator of their own beside clients that only read', () => {
  const [job] = coresJobs(cpusOf(4), false, { clients: 50, senders: 1, audit: 5 });
  const plan = new Plan(job?.load as Run['load']);
  const shares = [0, 1, 2, 3].map((generator) => plan.share(generator));
  expect(job?.load.generators).toBe(4);
  expect(shares.flat().toSorted((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, client) => client));
  expect(shares[0]?.every((client) => plan.sends(client) || plan.audits(client))).toBe(true);
  expect(shares[0]?.length).toBeLessThanOrEqual(6);
  expect(shares.slice(1).every(({ length }) => length >= 14)).toBe(true);
});

test('rejects options that the scenario chooses itself', () => {
  expect(() => parseOptions(['cores', 'chat'])).toThrow('cores cannot be combined with other scenarios');
  expect(() => parseOptions(['cores', '--generators', '2'])).toThrow('cores chooses the number of generators itself');
  expect(() => parseOptions(['cores', '--url', 'ws://localhost:9000'])).toThrow('cannot be combined with --url');
  expect(() => parseOptions(['chat', '--workers', '2'])).toThrow('--workers needs v1');
  const remote = ['--wire', 'v1', '--workers', '2', '--url', 'ws://localhost:9000'];
  expect(() => parseOptions(remote)).toThrow('--workers cannot be combined with --url');
});

/** @returns a run of a point; the server and the generators have cores of their own. */
function point(name: string, deliveries: number, maxCpu = 0.5, overrides: Partial<Run> = {}): Run {
  const { workers = 1, isCalibration } = parseCoresName(name) ?? {};
  const load = { workers, generators: isCalibration ? 3 : 4, pinning: { server: [0], generators: [1] } };
  const base = run(name, { deliveries, load });
  const generator = { cpuSeconds: 1, busy: 0.5, maxCpu };
  return { ...base, result: { ...base.result, generator, frames: deliveries / 2 }, ...overrides };
}

const verdicts = (runs: readonly Run[]) => pointsOf(runs).map(({ objection = 'counts' }) => objection);

test('does not count a point that the generator limits, or with a fault', () => {
  expect(verdicts([point('cores-chat-1', 1000, 0.85)])).toEqual(['counts']);
  expect(verdicts([point('cores-chat-1', 1000, 0.86)])).toEqual(['limited by the generator']);
  // One of several runs is enough.
  const runs = [point('cores-chat-1', 1000), point('cores-chat-1', 1000, 0.9)];
  expect(verdicts(runs)).toEqual(['limited by the generator']);
  expect(verdicts([point('cores-chat-1', 1000, 0.5, { sound: false })])).toEqual(['unsound']);
  expect(verdicts([run('cores-chat-1')])).toEqual(['generator CPU not measured']);
});

test('does not count a point that other processes disturbed', () => {
  const disturbed = (othersCpuSeconds: number) => {
    const { result, ...rest } = point('cores-chat-1', 1000);
    return verdicts([{ ...rest, result: { ...result, othersCpuSeconds } }]);
  };
  expect(disturbed(0.39)).toEqual(['counts']); // in 2 s
  expect(disturbed(0.41)).toEqual(['disturbed by other processes']);
});

test('does not count a point whose figure differs with fewer generators', () => {
  const calibrated = (deliveries: number, maxCpu?: number) =>
    verdicts([point('cores-chat-1', 1000), point('cores-chat-1-calibration', deliveries, maxCpu)]);
  expect(calibrated(920)).toEqual(['counts']);
  expect(calibrated(1080)).toEqual(['counts']);
  expect(calibrated(850)).toEqual(['differs with fewer generators']);
  // Fewer generators without time left say nothing about more of them.
  expect(calibrated(850, 0.99)).toEqual(['counts']);
});

const measured = [
  point('cores-fan-out-1', 1000, 0.95),
  point('cores-fan-out-2', 2000),
  point('cores-fan-out-4', 3000),
  point('cores-chat-1', 10_000),
  point('cores-chat-4', 20_000),
];

test('measures points against the first one that counts', () => {
  expect(pointsOf(measured).map(({ shape, workers, ideal }) => [shape, workers, ideal])).toEqual([
    ['fan-out', 1, 500],
    ['fan-out', 2, 1000],
    ['fan-out', 4, 2000],
    ['chat', 1, 5000],
    ['chat', 4, 20_000],
  ]);
  const { head, rows } = coresTable(measured);
  const column = (title: string) => rows.map((row) => row[head.indexOf(title)]);
  expect(column('of the ideal')).toEqual(['–', '100 %', '75 %', '100 %', '50 %']);
  expect(column('per frame')).toEqual(['2.0', '2.0', '2.0', '2.0', '2.0']);
  expect(column('cores')).toEqual(['own', 'own', 'own', 'own', 'own']);
  expect(coresText(measured)).toMatch(/^fan-out +1 +≈ 500 .* 95 % .* limited by the generator$/m);
});

test('says that server and generators share cores, and that there was one worker only', () => {
  const shared = { ...point('cores-chat-1', 1000), load: { ...point('cores-chat-1', 1000).load, pinning: undefined } };
  expect(coresNotes([shared]).join(' ')).toMatch(/compete for CPU time.* The server has no --workers/);
  expect(coresNotes(measured)).toHaveLength(1);
  expect(coresTable([shared]).rows[0]).toContain('shared');
});

test('draws a panel for each shape with the ideal, in the page and the README', async () => {
  const [plot] = plotsOf(measured);
  expect(plot?.name).toBe('cores');
  const [svg = ''] = await draw([plot?.spec as TopLevelSpec]);
  expect(svg).toContain('>fan-out<');
  expect(svg).toContain('>chat<');
  expect(svg).not.toMatch(/NaN|undefined/);
  expect(svg.match(/aria-roledescription="point"/g)).toHaveLength(5);
  expect(plotsOf([point('cores-chat-1', 1000)])).toEqual([]);
  const results: Results = {
    conditions: { cpu: 'C', cores: 8, node: 'v20', kernel: 'Linux', commit: 'abc', date: '2026-01-01' },
    runs: measured,
    missing: [],
  };
  const folder = mkdtempSync(join(tmpdir(), 'pumphouse-report-'));
  try {
    const html = readFileSync(await writeReport(folder, results), 'utf8');
    expect(html).toContain('limited by the generator');
    expect(html).toContain(svg);
  } finally {
    rmSync(folder, { recursive: true });
  }
  const others = { ...results, runs: [run('chat')] };
  const text = figures({ comparison: others, alone: others, cores: results });
  expect(text).toContain('### Cores\n\nDeliveries per second against the number of worker threads');
  expect(text).toContain('![Throughput against workers](bench/results/cores.svg)');
  expect(text).toMatch(/^\| fan-out +\| +4 \| .* 75 % .* counts/m);
  expect(figures({ comparison: others, alone: others })).not.toContain('### Cores');
});

const cpus = availableCpus();

test.runIf(cpus.canPin && cpus.ids.length > 1)('runs a point on cores of its own, each message checked', async () => {
  const overrides = { clients: 30, senders: 1, seconds: 0.4, warmUp: 0.2, audit: 5 };
  const [job] = coresJobs(cpus, false, overrides);
  const trials = job ? [{ job, contestant: pumphouse() }] : [];
  const [measured] = await runAll({ trials, repeat: 1 }, (load) => load.run());
  expect(measured?.notices.filter((notice) => notice.startsWith('NOT SOUND'))).toEqual([]);
  expect(measured?.result.deliveries).toBeGreaterThan(30);
  expect(measured?.result.frames).toBeGreaterThan(0);
  expect(measured?.result.generator.maxCpu).toBeGreaterThan(0);
  expect(measured?.result.othersCpuSeconds).toBeGreaterThanOrEqual(0);
  expect(measured?.result.othersCpuSeconds).toBeLessThan(cpus.ids.length * 2 * (measured?.result.seconds ?? 0));
  expect(measured?.result.audit.clients).toBe(5);
});

test.runIf(cpus.canPin)('restricts a process to some CPUs', () => {
  const [id = 0] = cpus.ids;
  const print = 'console.log(fs.readFileSync("/proc/self/status", "utf8").match(/Cpus_allowed_list:\\s*(.*)/)[1])';
  const [program = '', ...args] = pinned([process.execPath, '-e', print], [id]);
  expect(execFileSync(program, args, { encoding: 'utf8' }).trim()).toBe(String(id));
  expect(pinned(['node'], undefined)).toEqual(['node']);
});
