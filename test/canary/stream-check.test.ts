import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CanaryCounter, CanaryReader, createCanaryMemory } from '../../src/canary/readings.ts';
import { StreamCheck } from '../../src/canary/stream-check.ts';

const GRACE_MS = 100;

/** Feeds numbers to a check. @returns what it has found after the grace. */
function findingsOf(numbers: readonly number[]) {
  const check = new StreamCheck(GRACE_MS);
  for (const number of numbers) check.received(number, 0);
  return check.take(GRACE_MS);
}

describe('a check of a stream', () => {
  test.each([
    ['nothing in a stream without a fault', [1, 2, 3], { gaps: 0, repeats: 0, swaps: 0 }],
    ['nothing before the first message, which may be any', [7, 8], { gaps: 0, repeats: 0, swaps: 0 }],
    ['each missing message', [1, 4, 5, 7], { gaps: 3, repeats: 0, swaps: 0 }],
    ['each repeat', [1, 2, 2, 1, 3], { gaps: 0, repeats: 2, swaps: 0 }],
    ['a late message', [1, 3, 2, 4], { gaps: 0, repeats: 0, swaps: 1 }],
    ['a message from before the first one', [3, 2, 4], { gaps: 0, repeats: 0, swaps: 1 }],
    ['the repeat of a late message', [1, 3, 2, 2], { gaps: 0, repeats: 1, swaps: 1 }],
  ])('counts %s', (_, numbers, findings) => {
    expect(findingsOf(numbers)).toEqual(findings);
  });

  test('waits for a skipped message before it counts as missing, and then still as a swap', () => {
    const check = new StreamCheck(GRACE_MS);
    check.received(1, 0);
    check.received(3, 0);
    expect(check.take(GRACE_MS - 1).gaps).toBe(0);
    expect(check.take(GRACE_MS)).toEqual({ gaps: 1, repeats: 0, swaps: 0 });
    expect(check.received(2, GRACE_MS)).toBe(true);
    expect(check.take(GRACE_MS)).toEqual({ gaps: 0, repeats: 0, swaps: 1 });
  });

  test('counts a huge jump at once, in bounded memory', () => {
    const check = new StreamCheck(GRACE_MS);
    check.received(1, 0);
    check.received(10_000_002, 0);
    const early = check.take(0).gaps;
    expect(early).toBeGreaterThan(9_990_000);
    expect(early + check.take(GRACE_MS).gaps).toBe(10_000_000);
  });

  test('finds what was dropped, repeated and moved in any stream', () => {
    const fate = fc.record({ dropped: fc.boolean(), copies: fc.integer({ min: 1, max: 3 }), delay: fc.nat(4) });
    fc.assert(
      fc.property(fc.array(fate, { maxLength: 60 }), (fates) => {
        // Number 1 always comes first, which begins the stream.
        const arrivals = fates.flatMap(({ dropped, copies, delay }, i) =>
          dropped ? [] : Array.from({ length: copies }, () => ({ number: i + 2, at: i + delay })),
        );
        const numbers = [1, ...arrivals.toSorted((a, b) => a.at - b.at).map(({ number }) => number)];
        const highest = Math.max(...numbers);
        const distinct = new Set(numbers);
        const late = [...distinct].filter((n) => numbers.slice(0, numbers.indexOf(n)).some((before) => before > n));
        expect(findingsOf(numbers)).toEqual({
          gaps: highest - distinct.size,
          repeats: numbers.length - distinct.size,
          swaps: late.length,
        });
      }),
    );
  });
});

test('the memory of a canary keeps counts, latencies and whether all clients are connected', () => {
  const memory = createCanaryMemory();
  const [counter, reader] = [new CanaryCounter(memory), new CanaryReader(memory, 2)];
  counter.add('sent');
  counter.add('gaps', 3);
  counter.add('swaps', 0);
  for (const ms of [0.5, 1, 1.5, 20_000]) counter.addLatency(ms);
  counter.setConnected(1);
  expect(reader.up).toBe(false);
  counter.setConnected(2);
  expect(reader.up).toBe(true);
  expect([reader.count('sent'), reader.count('gaps'), reader.count('swaps')]).toEqual([1, 3, 0]);
  const { counts, sum, bounds } = reader.latency;
  expect(counts).toHaveLength(bounds.length + 1);
  expect([counts[0], counts[1], counts.at(-1), sum]).toEqual([2, 1, 1, 20_003]);
});
