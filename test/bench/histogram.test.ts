import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Histogram } from '../../bench/generator/histogram.ts';

const durations = fc.array(fc.double({ min: 0, max: 4e6, noNaN: true }), { minLength: 1, maxLength: 200 });

/** @returns the percentile by its definition. */
function exact(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.ceil((sorted.length * percent) / 100) - 1] as number;
}

test('reports percentiles within 1 % and the maximum exactly', () => {
  fc.assert(
    fc.property(durations, fc.integer({ min: 1, max: 100 }), (values, percent) => {
      const histogram = new Histogram();
      for (const value of values) histogram.record(value);
      const expected = exact(values, percent);
      const found = histogram.percentile(percent);
      expect(found).toBeGreaterThanOrEqual(expected * 0.999 - 0.001);
      expect(found).toBeLessThanOrEqual(expected * 1.01 + 0.001);
      expect(histogram.max).toBeCloseTo(Math.max(...values), 2);
      expect(histogram.count).toBe(values.length);
    }),
  );
});

test('equals, after merging, a histogram of all values', () => {
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

test('is empty after a reset', () => {
  const histogram = new Histogram();
  histogram.record(5);
  histogram.reset();
  expect([histogram.count, histogram.max, histogram.percentile(99), histogram.counts()]).toEqual([0, 0, 0, []]);
});
