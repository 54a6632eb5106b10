import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { LoadSettings } from '../../bench/load-options.ts';
import { parseOptions } from '../../bench/options.ts';
import { Plan, random, UNKNOWN } from '../../bench/plan.ts';

const defaults = parseOptions([]).jobs[0]?.load as LoadSettings;
const loads = fc
  .record({
    clients: fc.integer({ min: 1, max: 300 }),
    senders: fc.nat(300),
    audit: fc.nat(300),
    roomSize: fc.option(fc.integer({ min: 1, max: 40 }), { nil: undefined }),
    generators: fc.integer({ min: 1, max: 5 }),
    seed: fc.nat(1000),
    nodes: fc.integer({ min: 1, max: 3 }),
  })
  .map((load) => ({
    ...defaults,
    ...load,
    senders: Math.min(load.senders, load.clients),
    audit: Math.min(load.audit, load.clients),
  }));
const clientsOf = ({ clients }: LoadSettings) => Array.from({ length: clients }, (_, client) => client);

test('assigns each client to one generator and one room, and audits as many as requested', () => {
  fc.assert(
    fc.property(loads, (load) => {
      const plan = new Plan(load);
      const shares = Array.from({ length: load.generators }, (_, i) => plan.share(i));
      expect(shares.flat().sort((a, b) => a - b)).toEqual(clientsOf(load));
      for (const client of clientsOf(load)) {
        const { from, count } = plan.clientsOf(plan.roomOf(client));
        expect(client >= from && client < from + count).toBe(true);
      }
      expect(clientsOf(load).filter((client) => plan.audits(client))).toHaveLength(load.audit);
    }),
  );
});

test('spreads the clients and the senders of a room over all nodes, and audits neighbours on different ones', () => {
  const load: LoadSettings = { ...defaults, clients: 200, senders: 20, audit: 10, nodes: 2 };
  for (const [roomSize, senders] of [
    [undefined, 20],
    [10, 20],
    [10, 40],
  ] as const) {
    for (let seed = 1; seed <= 20; seed++) {
      const generators = 1 + (seed % 2);
      const plan = new Plan({ ...load, roomSize, senders, generators, seed });
      const onFirst = (clients: readonly number[]) => clients.filter((client) => plan.nodeOf(client) === 0).length;
      const all = clientsOf(load);
      expect(onFirst(all)).toBe(100);
      expect(onFirst(all.filter((client) => plan.sends(client)))).toBe(senders / 2);
      expect(onFirst(all.filter((client) => plan.roomOf(client) === 0))).toBe((roomSize ?? 200) / 2);
      const auditors = all.filter((client) => plan.audits(client));
      expect(onFirst(auditors)).toBe(5);
      for (const [i, client] of auditors.entries()) {
        if (i % 2 === 1) continue;
        expect(auditors[i + 1]).toBe(client + 1);
        expect(plan.roomOf(client + 1)).toBe(plan.roomOf(client));
      }
      for (let generator = 0; generator < generators; generator++) {
        expect(onFirst(plan.share(generator))).toBe(100 / generators);
      }
    }
  }
});

test('makes the first clients of each room the senders, as many as requested if rooms are full', () => {
  fc.assert(
    fc.property(loads, (load) => {
      const plan = new Plan(load);
      const senders = clientsOf(load).filter((client) => plan.sends(client));
      const full = load.clients % (load.roomSize ?? load.clients) === 0;
      if (full) expect(senders).toHaveLength(load.senders);
      else expect(senders.length).toBeLessThanOrEqual(load.senders);
      for (const sender of senders) {
        const { from } = plan.clientsOf(plan.roomOf(sender));
        for (let before = from; before < sender; before++) expect(plan.sends(before)).toBe(true);
      }
    }),
  );
});

test('sums what the clients of a room sent, and is unknown if one of them is', () => {
  const plan = new Plan({ ...defaults, clients: 6, senders: 6, roomSize: 3 });
  expect(plan.sentByRoom([1, 2, 3, 4, 5, 6])).toEqual([6, 15]);
  expect(plan.sentByRoom([1, UNKNOWN, 3, 4, 5, 6])).toEqual([UNKNOWN, 15]);
});

test('is deterministic for a seed and differs between seeds', () => {
  const draw = (seed: number) => Array.from({ length: 5 }, random(seed));
  expect(draw(1)).toEqual(draw(1));
  expect(draw(1)).not.toEqual(draw(2));
  for (const value of Array.from({ length: 1000 }, random(3))) expect(value >= 0 && value < 1).toBe(true);
  const audited = (seed: number) => {
    const load = { ...defaults, seed };
    const plan = new Plan(load);
    return clientsOf(load).filter((client) => plan.audits(client));
  };
  expect(audited(1)).toEqual(audited(1));
  expect(audited(1)).not.toEqual(audited(2));
});
