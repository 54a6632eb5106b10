import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseOptions } from '../../bench/options.ts';
import { spreadOf } from '../../bench/report/spread.ts';
import { table } from '../../bench/report/table.ts';
import { scenarios } from '../../bench/scenarios.ts';
import { run } from './runs.ts';

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
    run('one', { deliveries: 2000 }),
    run('two', { deliveries: 400 }),
    run('one', { deliveries: 2400, sound: false }),
    run('one', { deliveries: 2200 }),
    run('two', { deliveries: 440 }),
  ]);
  const [head = '', one = '', two = '', ...more] = text.split('\n');
  expect(more).toEqual([]);
  expect(head.trim().split(/ {2,}/)).toEqual([
    'deliveries/s',
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
  expect(cells(one).slice(0, 8)).toEqual(['one', '1,100', '2,200', '500 µs', '12.0 ms', '200', '100 MiB', '0']);
  expect(cells(one).slice(8)).toEqual(['-9 % … +9 %', 'UNSOUND in 1 of 3', '█'.repeat(24)]);
  expect(cells(two).slice(-2)).toEqual(['sound', '█'.repeat(5)]);
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
