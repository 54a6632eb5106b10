import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Snapshot, Totals } from '../../src/protocol/snapshot.ts';
import { figuresOf } from '../../web/admin/state/figures.ts';
import { countOf, percentile, since, sumOf } from '../../web/admin/state/histograms.ts';
import { NO_TOTALS, snapshotAt, threadWith, troubledSnapshot } from '../browser/admin/snapshots.ts';

const counts = fc.array(fc.nat(1000), { minLength: 4, maxLength: 4 });
const histogram = counts.map((values) => ({ bounds: [1, 10, 100], counts: values }));

describe('a percentile', () => {
  test('lies in the bucket of its rank, and never decreases with its share', () => {
    fc.assert(
      fc.property(
        histogram,
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (h, a, b) => {
          const [low, high] = [percentile(h, Math.min(a, b)), percentile(h, Math.max(a, b))];
          if (countOf(h) === 0) return low === null && high === null;
          return (low as number) >= 0 && (low as number) <= (high as number) && (high as number) <= 100;
        },
      ),
    );
  });

  test('divides a bucket in proportion, and takes the lower end of the last one', () => {
    expect(percentile({ bounds: [0, 10], counts: [0, 10, 0] }, 0.5)).toBe(5);
    expect(percentile({ bounds: [0, 10], counts: [5, 5, 0] }, 0.5)).toBe(0);
    expect(percentile({ bounds: [0, 10], counts: [0, 1, 99] }, 0.99)).toBe(10);
    expect(percentile({ bounds: [], counts: [3] }, 0.5)).toBe(0);
  });
});

test('the difference of histograms adds up to the later one, and is none after a restart', () => {
  fc.assert(
    fc.property(histogram, histogram, (earlier, more) => {
      const later = sumOf(earlier, more);
      expect(since(earlier, later)).toEqual(more);
      if (countOf(more) > 0) expect(since(later, earlier)).toBeUndefined();
    }),
  );
});

const totals = fc.record(
  Object.fromEntries(Object.keys(NO_TOTALS).map((name) => [name, fc.nat(10_000)])) as Record<
    keyof Totals,
    fc.Arbitrary<number>
  >,
);

function plus(one: Totals, other: Totals): Totals {
  const names = Object.keys(one) as (keyof Totals)[];
  return Object.fromEntries(names.map((name) => [name, one[name] + other[name]])) as unknown as Totals;
}

describe('figures', () => {
  test('are the growth of the totals by the time between two snapshots, of one worker and of all', () => {
    fc.assert(
      fc.property(totals, totals, totals, fc.integer({ min: 1, max: 10 }), (before, one, two, seconds) => {
        const threads = (a: Totals, b: Totals) => [
          threadWith({ worker: 1, totals: a }),
          threadWith({ worker: 2, totals: b }),
        ];
        const earlier = snapshotAt(0, { threads: threads(before, before) });
        const later = snapshotAt(seconds, { threads: threads(plus(before, one), plus(before, two)) });
        expect(figuresOf(earlier, later, 1)?.deliveries).toBeCloseTo(one.deliveries / seconds);
        expect(figuresOf(earlier, later, 'all')?.frames).toBeCloseTo((one.frames + two.frames) / seconds);
        expect(figuresOf(earlier, later, 2)?.messages).toBeCloseTo(two.messages / seconds);
      }),
    );
  });

  test('take the messages and rooms of all threads from what they share', () => {
    const threads = [1, 2].map((worker) => threadWith({ worker, rooms: 3 }));
    const earlier = snapshotAt(0, { threads });
    const later = snapshotAt(2, { threads, shared: { rooms: 4, messages: 10, batches: 2 } });
    expect(figuresOf(earlier, later, 'all')).toMatchObject({ rooms: 4, messages: 5, batches: 1 });
    expect(figuresOf(earlier, later, 1)).toMatchObject({ rooms: 3, messages: 0 });
  });

  test('have no rates at first, after a restart, and without time between', () => {
    const [one, two] = [1, 2].map((second) => ({ ...troubledSnapshot(second), missing: 0 })) as [Snapshot, Snapshot];
    expect(figuresOf(undefined, one, 'all')).toMatchObject({ connections: 100_000, deliveries: null, turnP99: null });
    expect(figuresOf(two, one, 'all')?.deliveries).toBeNull();
    expect(figuresOf(one, one, 'all')?.deliveries).toBeNull();
    expect(figuresOf(one, two, 'all')?.deliveries).toBe(2 * 12_345_678);
  });

  test('leave out a thread that has started over, and are undefined for one that is missing', () => {
    const thread = (worker: number, frames: number) => threadWith({ worker, totals: { ...NO_TOTALS, frames } });
    const earlier = snapshotAt(0, { threads: [thread(1, 100), thread(2, 100)] });
    const later = snapshotAt(1, { threads: [thread(1, 150), thread(2, 5)] });
    expect(figuresOf(earlier, later, 'all')?.frames).toBe(50);
    expect(figuresOf(earlier, later, 2)?.frames).toBeNull();
    expect(figuresOf(earlier, later, 3)).toBeUndefined();
  });

  test('are those of the fullest thread for a load, and have headroom from 0 to 1', () => {
    const threads = [0.2, 0.9].map((loop, i) =>
      threadWith({ worker: i + 1, load: { loop, turn: 0.1, mailboxes: 0, journal: 0 } }),
    );
    const figures = figuresOf(undefined, snapshotAt(0, { threads }), 'all');
    expect(figures).toMatchObject({ loop: 0.9, turn: 0.1 });
    expect(figures?.headroom).toBeCloseTo(0.1);
  });
});
