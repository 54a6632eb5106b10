import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Dedupe, IN_FLIGHT } from '../../src/hub/dedupe.ts';
import { FingerprintMap, fingerprint } from '../../src/hub/fingerprints.ts';

const MS = 1000;
const MESSAGES = 20;

describe('what was sent', () => {
  test('is known for the window and as many messages as were promised, and forgotten some time after', () => {
    const step = fc.record({ wait: fc.oneof(fc.nat(30), fc.nat(800)), sender: fc.constantFrom('a', 'b') });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const sends = new Dedupe({ ms: MS, messages: MESSAGES }, 0);
        const said: { sender: string; at: number }[] = [];
        let now = 0;
        for (const { wait, sender } of steps) {
          now += wait;
          sends.remember(sender, `${said.length}`, said.length + 1, now);
          said.push({ sender, at: now });
          said.forEach(({ sender: by, at }, index) => {
            const after = said.length - 1 - index;
            const seq = sends.find(by, `${index}`);
            if (now - at < MS && after < MESSAGES) expect(seq).toBe(index + 1);
            if (after > 2 * MESSAGES) expect(seq).toBeUndefined();
          });
        }
      }),
    );
  });

  test('is told apart by sender, even where names and ids run together', () => {
    const sends = new Dedupe({ ms: MS, messages: MESSAGES }, 0);
    sends.remember('a', 'bc', 1, 0);
    expect(sends.find('ab', 'c')).toBeUndefined();
    expect(sends.find('', 'abc')).toBeUndefined();
    expect(sends.find('a', 'bc')).toBe(1);
  });

  test('gets its seq when it is known, and is as if never sent when it was not stored', () => {
    const sends = new Dedupe({ ms: MS, messages: MESSAGES }, 0);
    sends.remember('a', 'one', IN_FLIGHT, 0);
    expect(sends.find('a', 'one')).toBe(IN_FLIGHT);
    sends.stored('a', 'one', 7);
    expect(sends.find('a', 'one')).toBe(7);
    sends.remember('a', 'two', IN_FLIGHT, 0);
    sends.failed('a', 'two');
    expect(sends.find('a', 'two')).toBeUndefined();
    sends.remember('a', 'two', IN_FLIGHT, 0);
    sends.stored('a', 'two', 8);
    expect(sends.find('a', 'two')).toBe(8);
  });

  test('gets its seq also when its half has become the older one, and none when it is forgotten', () => {
    const sends = new Dedupe({ ms: MS, messages: 1 }, 0);
    sends.remember('a', 'one', IN_FLIGHT, 0);
    sends.remember('a', 'two', IN_FLIGHT, 0);
    sends.stored('a', 'one', 1);
    expect(sends.find('a', 'one')).toBe(1);
    sends.remember('a', 'three', 3, 0);
    sends.stored('a', 'one', 1);
    expect(sends.find('a', 'one')).toBeUndefined();
  });
});

describe('a map of fingerprints', () => {
  test('holds what a Map holds, whatever their bits, however it grows', () => {
    // Few bits, so that many belong to the same slot and some share half of their bits.
    const bits = fc.oneof(fc.nat(3), fc.constantFrom(-1, 16, 32, 48, 64, 2 ** 31 - 1, -(2 ** 31)));
    const entry = fc.record({ high: bits, low: bits, value: fc.oneof(fc.integer({ min: 1 }), fc.constant(-1)) });
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 120 }), (entries) => {
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

describe('a fingerprint', () => {
  test('is the same for the same sender and id, and of all its bits each is set in about half of them', () => {
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
    // Of 20,000 in 32 bits, 0.05 pairs share them by chance: six would be no chance.
    for (const half of ['high', 'low'] as const) {
      expect(new Set(all.map((bits) => bits[half])).size).toBeGreaterThan(19_994);
    }
  });
});
