import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseOptions } from '../../bench/options.ts';
import { isRough, ROUGH_RULE, spreadOf } from '../../bench/report/spread.ts';
import { table, tableNotes } from '../../bench/report/table.ts';
import { scenarios } from '../../bench/scenarios.ts';
import { clusterResult, run } from './runs.ts';

test('reports the median and the range of several runs', () => {
  const figures = fc.array(fc.double({ noNaN: true, noDefaultInfinity: true, min: 0, max: 1e9 }), { minLength: 1 });
  fc.assert(
    fc.property(figures, (values) => {
      const { median, min, max } = spreadOf(values) ?? { median: Number.NaN, min: 0, max: 0 };
      expect([min, max]).toEqual([Math.min(...values), Math.max(...values)]);
      const [below, above] = [values.filter((v) => v < median).length, values.filter((v) => v > median).length];
      expect(Math.max(below, above)).toBeLessThanOrEqual(values.length / 2);
    }),
  );
  expect(spreadOf([undefined, 4, 2])).toEqual({ median: 3, min: 2, max: 4 });
  expect(spreadOf([undefined])).toBeUndefined();
});

test('takes the load of a scenario, overridden by the command line', () => {
  const { jobs } = parseOptions(['slow-readers', 'idle', '--clients', '20', '--senders', '2', '--seconds', '1']);
  expect(jobs.map(({ scenario }) => scenario?.name)).toEqual(['slow-readers', 'idle']);
  expect(jobs[0]?.load).toMatchObject({ clients: 20, senders: 2, window: 10, slow: 50, seconds: 1, warmUp: 1 });
  expect(jobs[1]?.load).toMatchObject({ clients: 20, senders: 2, audit: 0 });
  expect(parseOptions([]).jobs).toMatchObject([{ scenario: undefined, load: { clients: 1000, window: 1 } }]);
  expect(parseOptions(['all', '--repeat', '3'])).toMatchObject({ repeat: 3, jobs: scenarios.map(() => ({})) });
});

test.each([
  [['nonsense'], /there is no scenario nonsense/],
  [['chat', '--clients', '5'], /more --senders than --clients/],
  [['--repeat', '0'], /'--repeat <N>'/],
])('rejects %j', (args, reason) => {
  expect(() => parseOptions(args)).toThrow(reason);
});

test('prints a row per scenario with medians, the spread and the verdict', () => {
  const text = table([
    run('fan-out-100', { deliveries: 2000 }),
    run('fan-out-1000', { deliveries: 400 }),
    run('fan-out-100', { deliveries: 2400, sound: false }),
    run('fan-out-100', { deliveries: 2200 }),
    run('fan-out-1000', { deliveries: 440 }),
  ]);
  const [head = '', one = '', two = '', ...more] = text.split('\n');
  expect(more).toEqual([]);
  expect(head.trim().split(/ {2,}/)).toEqual([
    'deliveries/s',
    'CPU',
    'user CPU',
    'per CPU s',
    'p50',
    'p99',
    'connects/s',
    'memory',
    'closed',
    'spread',
    'audit',
  ]);
  const cells = (line: string) => line.split(/ {2,}/);
  expect(cells(one).slice(0, 5)).toEqual(['fan-out-100', '≈ 1,100', '50 %', '20 %', '≈ 2,200']);
  expect(cells(one).slice(5, 10)).toEqual(['500 µs', '12.0 ms', '200', '100 MiB', '0']);
  expect(cells(one).slice(10)).toEqual(['-9 % … +9 %', 'UNSOUND in 1 of 3', '█'.repeat(24)]);
  expect(cells(two).slice(-2)).toEqual(['sound', '█'.repeat(5)]);
});

test('adds the columns of several nodes where a run had some, with the cost of Redis', () => {
  const nodes = { load: { nodes: 2 }, cluster: clusterResult() };
  const peer = { ...nodes, server: 'peer', cluster: clusterResult(0.123, false) };
  const [head = '', one = '', two = '', three = ''] = table([
    run('nodes', nodes),
    run('nodes', peer),
    run('chat'),
  ]).split('\n');
  const titles = head.trim().split(/ {2,}/);
  const cells = (line: string) => line.split(/ {2,}/).slice(2);
  const cell = (line: string, title: string) => cells(line)[titles.indexOf(title)];
  // 1,000 deliveries cost 1 s of CPU time of the nodes and 0.5 s of Redis.
  expect([cell(one, 'CPU'), cell(one, 'Redis CPU'), cell(one, 'per CPU s')]).toEqual(['≈ 50 %', '≈ 25 %', '≈ 667']);
  expect([cell(one, 'p50 across'), cell(one, 'p99 across')]).toEqual(['≈ 2.0 ms', '≈ 24.0 ms']);
  expect([one, two].map((line) => cell(line, 'reordered'))).toEqual(['none', '12.3 %']);
  expect([cell(three, 'Redis CPU'), cell(three, 'reordered')]).toEqual(['–', '–']);
  expect(table([run('chat')])).not.toContain('Redis');
  const unmeasured = table([run('nodes', { ...nodes, cluster: { ...clusterResult(), redis: undefined } as never })]);
  expect(unmeasured.split('\n')[1]?.match(/not measured/g)).toHaveLength(2); // Redis CPU and per CPU s
});

test('groups the servers of a scenario and compares them by bars', () => {
  const text = table([
    run('one', { deliveries: 1000, server: 'pumphouse' }),
    run('two', { deliveries: 40, server: 'pumphouse' }),
    run('one', { deliveries: 500, server: 'other' }),
    run('two', { deliveries: 80, server: 'other' }),
  ]);
  const lines = text.split('\n').slice(1);
  expect(lines.map((line) => line.split(/ +/).slice(0, 2).join(' '))).toEqual([
    'one pumphouse',
    'one other',
    'two pumphouse',
    'two other',
  ]);
  expect(lines.map((line) => /█*$/.exec(line)?.[0].length)).toEqual([24, 12, 12, 24]);
});

test('compares by bars only scenarios of one family, each family on its own scale', () => {
  const runs = [
    run('chat', { deliveries: 30_000 }),
    run('durable', { deliveries: 15_000 }),
    run('broadcast', { deliveries: 100 }),
    run('coalescing-0', { deliveries: 1000, load: { rate: 2000 } }),
    run('coalescing-20', { deliveries: 4000, load: { rate: 2000 } }),
    run('idle', { deliveries: 0, load: { senders: 0 } }),
  ];
  const bars = table(runs)
    .split('\n')
    .slice(1)
    .map((line) => /█*$/.exec(line)?.[0].length);
  // A broadcast and idle clients have nothing to be compared with; at a fixed rate the cost counts.
  expect(bars).toEqual([24, 12, 0, 24, 6, 0]);
  expect(tableNotes(runs)[0]?.split('\n')).toEqual([
    'Bars, each group on its own scale:',
    '  chat, durable: a full bar is 15,000 deliveries/s, longer is better',
    '  coalescing-0, coalescing-20: a full bar is 1000.00 µs of CPU per delivery, shorter is better',
  ]);
  expect(tableNotes([run('chat'), run('broadcast')])).toEqual([ROUGH_RULE]);
});

test('compares the scenarios of a family that one server ran beside scenarios of several servers', () => {
  const alone = [0, 20].map((delay) => run(`coalescing-${delay}`, { load: { rate: 2000 } }));
  const [scales = ''] = tableNotes([run('chat'), run('chat', { server: 'ws' }), ...alone]);
  expect(
    scales
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(':')[0]),
  ).toEqual(['chat', 'coalescing-0, coalescing-20']);
});

test('marks a figure that comes from a single run or differs by more than 15 %, and states the rule once', () => {
  expect([[100], [100, undefined], [100, 100, 116], [93, 100, 109]].map(isRough)).toEqual([true, true, true, true]);
  expect([[], [undefined], [0, 0], [100, 110], [93, 100, 108]].map(isRough)).toEqual([
    false,
    false,
    false,
    false,
    false,
  ]);
  expect(table([run('chat')])).toContain('≈ 500 ');
  expect(tableNotes([run('chat')])).toEqual([ROUGH_RULE]);
  expect(table([run('chat'), run('chat')])).not.toContain('≈');
  expect(tableNotes([run('chat'), run('chat')])).toEqual([]);
});

test('shows what depends on the process of the server as not measured without one', () => {
  const [head = '', line = ''] = table([run('chat', { hasUsage: false })]).split('\n');
  const columns = head.trim().split(/ {2,}/);
  const cells = line.split(/ {2,}/).slice(1);
  const notMeasured = columns.filter((_, i) => cells[i] === 'not measured');
  expect(notMeasured).toEqual(['CPU', 'user CPU', 'per CPU s', 'memory']);
  expect(table([run('idle', { deliveries: 0, load: { senders: 0 } })])).not.toContain('not measured');
});
