import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Histogram } from '../../bench/generator/histogram.ts';

const durations = fc.array(fc.double({ min: 0, max: 4e6, noNaN: true }), { minLength: 1, maxLength: 200 });

/** What the percentile is by its definition: so many of all are not above it. */
function exact(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.ceil((sorted.length * percent) / 100) - 1] as number;
}

test('a percentile is within a hundredth of what it is by definition, and the largest is exact', () => {
  fc.assert(
    fc.property(durations, fc.integer({ min: 1, max: 100 }), (values, percent) => {
      const histogram = new Histogram();
      for (const value of values) histogram.record(value);
      const due = exact(values, percent);
      const found = histogram.percentile(percent);
      expect(found).toBeGreaterThanOrEqual(due * 0.999 - 0.001);
      expect(found).toBeLessThanOrEqual(due * 1.01 + 0.001);
      expect(histogram.max).toBeCloseTo(Math.max(...values), 2);
      expect(histogram.count).toBe(values.length);
    }),
  );
});

test('two that are merged tell what one would that saw everything', () => {
  fc.assert(
    fc.property(durations, durations, (some, others) => {
      const [one, other, all] = [new Histogram(), new Histogram(), new Histogram()];
      for (const value of some) one.record(value);
      for (const value of others) other.record(value);
      for (const value of [...some, ...others]) all.record(value);
      one.merge(other.counts(), other.max);
      expect(one.counts()).toEqual(all.counts());
      for (const percent of [50, 99, 100]) expect(one.percentile(percent)).toBeCloseTo(all.percentile(percent), 6);
    }),
  );
});

test('nothing recorded is nothing told', () => {
  const histogram = new Histogram();
  histogram.record(5);
  histogram.reset();
  expect([histogram.count, histogram.max, histogram.percentile(99), histogram.counts()]).toEqual([0, 0, 0, []]);
});
