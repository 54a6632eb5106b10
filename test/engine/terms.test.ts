import fc from 'fast-check';
import { expect, test } from 'vitest';
import { divergedEnd, epochOf, type Life, sharedEnd, type Term } from '../../src/engine/terms.ts';

const LOG = 'f'.repeat(24);

/** A life of the log. `starts` are the first seqs of its terms, whose tokens begin with `name`. */
function terms(name: string, starts: readonly number[]): Term[] {
  return starts.map((first, i) => ({ token: `${name}${i}`.padStart(10, '0'), first }));
}

const life = (all: readonly Term[], seq: number): Life => ({ log: LOG, terms: all, seq });

/** A common part of 1 to 4 terms, and two lives that have gone on from it with up to 5 more. */
const lives = fc
  .tuple(
    fc.array(fc.nat(9), { minLength: 1, maxLength: 4 }),
    fc.array(fc.nat(9), { minLength: 1, maxLength: 5 }),
    fc.array(fc.nat(9), { maxLength: 5 }),
    fc.nat(9),
    fc.nat(9),
  )
  .map(([common, theirs, ours, theirEnd, ourEnd]) => {
    const sums = (from: number, steps: readonly number[]) =>
      steps.map((_, i) => steps.slice(0, i + 1).reduce((a, b) => a + b, from));
    const shared = terms('c', [1, ...sums(1, common.slice(1))]);
    const { first } = shared.at(-1) as Term;
    const [left, right] = [sums(first, theirs), sums(first, ours)];
    return {
      before: life([...shared, ...terms('t', left)], (left.at(-1) as number) - 1 + theirEnd),
      after: life([...shared, ...terms('o', right)], (right.at(-1) ?? first) - 1 + ourEnd),
      unknown: theirs.length,
    };
  });

test('an epoch names exactly what another life of the log shares, across up to four unknown terms', () => {
  fc.assert(
    fc.property(lives, ({ before, after, unknown }) => {
      const end = divergedEnd(after, epochOf(before));
      expect(end).toBe(unknown <= 4 ? sharedEnd(before, after) : undefined);
    }),
    { numRuns: 2_000 },
  );
});

test('an epoch shares nothing that is known with a life that lacks the terms it names, or with another log', () => {
  const starts = [1, 5, 9, 13, 17, 21];
  const before = life(terms('t', starts), 25);
  const cut = life([before.terms[0] as Term, { token: 'other', first: 4 }], 30);
  expect(divergedEnd(cut, epochOf(before))).toBeUndefined(); // the first term ended at 3 or 4: both are possible
  expect(divergedEnd(cut, epochOf(before, 4))).toBe(3);
  expect(divergedEnd({ ...cut, log: 'other' }, epochOf(before, 4))).toBeUndefined();
  for (const malformed of [
    '',
    '-',
    `${LOG}-`,
    `${LOG}-x.`,
    `${LOG}-x.0.t0`,
    `${LOG}-x.y`,
    `${LOG}-x.!.${before.terms[0]?.token}`,
  ]) {
    expect(divergedEnd(cut, malformed)).toBeUndefined();
  }
});

test('an epoch fits in 128 bytes, and is the same however many earlier terms the list still has', () => {
  const starts = Array.from({ length: 40 }, (_, i) => Number.MAX_SAFE_INTEGER - 40 + i);
  const whole = life(terms('t', starts), Number.MAX_SAFE_INTEGER);
  const trimmed = { ...whole, terms: whole.terms.slice(-32) };
  expect(epochOf(whole).length).toBeLessThanOrEqual(128);
  expect(epochOf(trimmed)).toBe(epochOf(whole));
  expect(divergedEnd(trimmed, epochOf(whole, 9))).toBe((whole.terms[10] as Term).first - 1);
});
