import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { LoadSettings } from '../../bench/load-options.ts';
import { parseOptions } from '../../bench/options.ts';
import { Plan, random, UNKNOWN } from '../../bench/plan.ts';

const standard = parseOptions([]).jobs[0]?.load as LoadSettings;
const loads = fc
  .record({
    clients: fc.integer({ min: 1, max: 300 }),
    senders: fc.nat(300),
    audit: fc.nat(300),
    roomSize: fc.option(fc.integer({ min: 1, max: 40 }), { nil: undefined }),
    generators: fc.integer({ min: 1, max: 5 }),
    seed: fc.nat(1000),
  })
  .map((load) => ({
    ...standard,
    ...load,
    senders: Math.min(load.senders, load.clients),
    audit: Math.min(load.audit, load.clients),
  }));
const everyone = ({ clients }: LoadSettings) => Array.from({ length: clients }, (_, client) => client);

test('every client is of one generator and of one room, and as many audit as were asked for', () => {
  fc.assert(
    fc.property(loads, (load) => {
      const plan = new Plan(load);
      const shares = Array.from({ length: load.generators }, (_, i) => plan.share(i));
      expect(shares.flat().sort((a, b) => a - b)).toEqual(everyone(load));
      for (const client of everyone(load)) {
        const { from, count } = plan.clientsOf(plan.roomOf(client));
        expect(client >= from && client < from + count).toBe(true);
      }
      expect(everyone(load).filter((client) => plan.audits(client))).toHaveLength(load.audit);
    }),
  );
});

test('as many send as were asked for, as far as rooms have clients: the first of each room, and of no room two more than of another', () => {
  fc.assert(
    fc.property(loads, (load) => {
      const plan = new Plan(load);
      const senders = everyone(load).filter((client) => plan.sends(client));
      const whole = load.clients % (load.roomSize ?? load.clients) === 0;
      if (whole) expect(senders).toHaveLength(load.senders);
      else expect(senders.length).toBeLessThanOrEqual(load.senders);
      for (const sender of senders) {
        const { from } = plan.clientsOf(plan.roomOf(sender));
        for (let before = from; before < sender; before++) expect(plan.sends(before)).toBe(true);
      }
    }),
  );
});

test('what a room must hear is what its clients sent; unknown where that of one is', () => {
  const plan = new Plan({ ...standard, clients: 6, senders: 6, roomSize: 3 });
  expect(plan.sentByRoom([1, 2, 3, 4, 5, 6])).toEqual([6, 15]);
  expect(plan.sentByRoom([1, UNKNOWN, 3, 4, 5, 6])).toEqual([UNKNOWN, 15]);
});

test('the same seed chooses the same, another one something else', () => {
  const draw = (seed: number) => Array.from({ length: 5 }, random(seed));
  expect(draw(1)).toEqual(draw(1));
  expect(draw(1)).not.toEqual(draw(2));
  for (const value of Array.from({ length: 1000 }, random(3))) expect(value >= 0 && value < 1).toBe(true);
  const audited = (seed: number) => {
    const load = { ...standard, seed };
    const plan = new Plan(load);
    return everyone(load).filter((client) => plan.audits(client));
  };
  expect(audited(1)).toEqual(audited(1));
  expect(audited(1)).not.toEqual(audited(2));
});
