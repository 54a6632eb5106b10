import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Dedupe, IN_FLIGHT } from '../../src/hub/dedupe.ts';
import { FingerprintMap, fingerprint } from '../../src/hub/fingerprints.ts';

const MS = 1000;
const MESSAGES = 20;

describe('Dedupe', () => {
  test('remembers an id for the window and the number of messages, and forgets it at last', () => {
    const step = fc.record({ wait: fc.oneof(fc.nat(30), fc.nat(800)), sender: fc.constantFrom('a', 'b') });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120, size: 'max' }), (steps) => {
        const dedupe = new Dedupe({ ms: MS, messages: MESSAGES }, 0);
        const sent: { sender: string; at: number }[] = [];
        let now = 0;
        for (const { wait, sender } of steps) {
          now += wait;
          dedupe.remember(sender, `${sent.length}`, sent.length + 1, now);
          sent.push({ sender, at: now });
          const found = sent.map(({ sender }, index) => dedupe.find(sender, `${index}`));
          const mustFind = ({ at }: { at: number }, index: number) =>
            now - at < MS && sent.length - 1 - index < MESSAGES;
          const mustForget = (index: number) => sent.length - 1 - index > 2 * MESSAGES;
          expect(sent.findIndex((one, index) => mustFind(one, index) && found[index] !== index + 1)).toBe(-1);
          expect(found.findIndex((seq, index) => mustForget(index) && seq !== undefined)).toBe(-1);
        }
      }),
    );
  });

  test('separates senders, even where a name and an id join to the same text', () => {
    const dedupe = new Dedupe({ ms: MS, messages: MESSAGES }, 0);
    dedupe.remember('a', 'bc', 1, 0);
    expect(dedupe.find('ab', 'c')).toBeUndefined();
    expect(dedupe.find('', 'abc')).toBeUndefined();
    expect(dedupe.find('a', 'bc')).toBe(1);
  });

  test('returns the seq of a stored message, and treats the id of a failed one as new', () => {
    const dedupe = new Dedupe({ ms: MS, messages: MESSAGES }, 0);
    expect(dedupe.admit('a', 'one', 0)).toBeUndefined();
    expect(dedupe.admit('a', 'one', 0)).toBe(IN_FLIGHT);
    dedupe.stored('a', 'one', 7);
    expect([dedupe.find('a', 'one'), dedupe.admit('a', 'one', 0)]).toEqual([7, 7]);
    dedupe.admit('a', 'two', 0);
    dedupe.failed('a', 'two');
    expect(dedupe.find('a', 'two')).toBeUndefined();
    expect(dedupe.admit('a', 'two', 0)).toBeUndefined();
    dedupe.stored('a', 'two', 8);
    expect(dedupe.find('a', 'two')).toBe(8);
  });

  test('records the seq of an id in the older generation, and ignores that of a forgotten id', () => {
    const dedupe = new Dedupe({ ms: MS, messages: 1 }, 0);
    dedupe.admit('a', 'one', 0);
    dedupe.admit('a', 'two', 0);
    dedupe.stored('a', 'one', 1);
    expect(dedupe.find('a', 'one')).toBe(1);
    dedupe.remember('a', 'three', 3, 0);
    dedupe.stored('a', 'one', 1);
    expect(dedupe.find('a', 'one')).toBeUndefined();
  });
});

describe('FingerprintMap', () => {
  test('behaves like a Map, whatever the bits and however it grows', () => {
    // Few different bits: many fingerprints share a slot, and some share half of their bits.
    const bits = fc.oneof(fc.nat(3), fc.constantFrom(-1, 16, 32, 48, 64, 2 ** 31 - 1, -(2 ** 31)));
    const entry = fc.record({ high: bits, low: bits, value: fc.oneof(fc.integer({ min: 1 }), fc.constant(-1)) });
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 120, size: 'max' }), (entries) => {
        const map = new FingerprintMap();
        const model = new Map<string, number>();
        for (const { high, low, value } of entries) {
          expect(map.get({ high, low })).toBe(model.get(`${high} ${low}`) ?? 0);
          map.set({ high, low }, value);
          model.set(`${high} ${low}`, value);
          expect(map.size).toBe(model.size);
        }
        for (const { high, low } of entries) expect(map.get({ high, low })).toBe(model.get(`${high} ${low}`));
      }),
    );
  });
});

describe('fingerprint', () => {
  test('is the same for the same input, and sets each bit for about half of all inputs', () => {
    const of = (sender: string, id: string) => {
      const bits = { high: 0, low: 0 };
      fingerprint(sender, id, bits);
      return bits;
    };
    expect(of('a', 'b')).toEqual(of('a', 'b'));
    const all = Array.from({ length: 20_000 }, (_, i) => of(`s${i % 7}`, `${i}`));
    for (const half of ['high', 'low'] as const) {
      for (let bit = 0; bit < 32; bit++) {
        const set = all.filter((bits) => (bits[half] >>> bit) & 1).length;
        expect(Math.abs(set - 10_000), `bit ${bit} of ${half}`).toBeLessThan(500); // seven standard deviations
      }
    }
    // 20,000 random values of 32 bits have 0.05 collisions on average: six are not chance.
    for (const half of ['high', 'low'] as const) {
      expect(new Set(all.map((bits) => bits[half])).size).toBeGreaterThan(19_994);
    }
  });
});
