import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { addressKey, ConnectionLimiter, LocalConnections } from '../../src/accept/connection-limits.ts';
import { KeyedBuckets } from '../../src/client/rate-limit.ts';
import { createSeeds } from '../../src/hub/fingerprints.ts';
import type { Rate } from '../../src/protocol/v1.ts';
import { type Limits, localLimits } from '../../src/server/limits.ts';
import { BUCKET_NUMBERS, SharedBuckets } from '../../src/threads/shared-buckets.ts';
import { COUNT_NUMBERS, SharedConnections } from '../../src/threads/shared-connections.ts';
import { createSharedLimits, type OpenLimits, openSharedLimits } from '../../src/threads/shared-limits.ts';
import { createTable, SharedTable } from '../../src/threads/shared-table.ts';
import { Random, VirtualTime } from '../simulation/virtual.ts';

const ADDRESSES = ['192.0.2.1', '192.0.2.2', '127.0.0.1', '2001:db8::1', '2001:db8:0:0:9::2', '2001:db8:0:1::2', ''];

const RATES: readonly Rate[] = [
  { perSecond: 3, burst: 5 },
  { perSecond: 0.1, burst: 1 },
  { perSecond: 400, burst: 800 },
  { perSecond: 7, burst: 0.5 },
];

describe('connections in shared memory', () => {
  test('are counted and refused like those of one thread', () => {
    const operation = fc.tuple(fc.constantFrom('check', 'add', 'remove'), fc.constantFrom(...ADDRESSES), fc.nat(1));
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
        const limits = { all: 12, perAddress: 3 };
        const memory = createSharedLimits(limits.all);
        const [local, threads] = [
          new LocalConnections(),
          [openSharedLimits(memory), openSharedLimits(memory)] as const,
        ];
        const expected = new ConnectionLimiter(limits, local);
        const limiters = threads.map(({ connections }) => new ConnectionLimiter(limits, connections));
        for (const [method, address, thread] of operations) {
          const limiter = limiters[thread] as ConnectionLimiter;
          if (method === 'check') expect(limiter.check(address)?.reason).toBe(expected.check(address)?.reason);
          else for (const each of [limiter, expected]) each[method](address);
          const { connections } = threads[1 - thread] as OpenLimits;
          expect(connections.all).toBe(local.all);
          expect(connections.of(addressKey(address))).toBe(local.of(addressKey(address)));
        }
      }),
    );
  });

  test('are counted for 20,000 addresses that come and go', () => {
    const random = new Random(1);
    const memory = createSharedLimits(40_000);
    const [local, shared, open] = [new LocalConnections(), openSharedLimits(memory).connections, [] as string[]];
    const differences: string[] = [];
    for (let i = 0; i < 200_000; i++) {
      const opens = open.length === 0 || (open.length < 30_000 && random.chance(0.6));
      const index = opens ? open.length : random.int(0, open.length - 1);
      const key = open[index] ?? `address ${random.int(1, 20_000)}`;
      for (const counts of [local, shared]) counts[opens ? 'add' : 'remove'](key);
      if (opens) open.push(key);
      else open[index] = open.at(-1) as string;
      if (!opens) open.pop();
      if (shared.of(key) !== local.of(key)) differences.push(`${key}: ${shared.of(key)} instead of ${local.of(key)}`);
    }
    expect(differences).toEqual([]);
    expect(shared.all).toBe(open.length);
    const keys = Array.from({ length: 20_000 }, (_, i) => `address ${i + 1}`);
    expect(keys.filter((key) => shared.of(key) !== local.of(key))).toEqual([]);
  });

  test('are never overcounted where there are more addresses than the memory has room for', () => {
    const memory = createTable(COUNT_NUMBERS, 256);
    const shared = new SharedConnections(new SharedArrayBuffer(4), memory, createSeeds());
    const keys = Array.from({ length: 5_000 }, (_, i) => `address ${i}`);
    for (let i = 0; i < 10; i++) shared.add('busy');
    for (const key of keys) shared.add(key);
    expect(shared.all).toBe(5_010);
    expect(shared.of('busy')).toBe(10);
    expect(keys.filter((key) => shared.of(key) > 1)).toEqual([]);
    expect(memory.byteLength).toBe(memory.maxByteLength);
    for (const key of keys) shared.remove(key);
    for (let i = 0; i < 10; i++) shared.remove('busy');
    expect([shared.all, shared.of('busy'), ...keys.map((key) => shared.of(key))].filter(Boolean)).toEqual([]);
  });
});

describe('token buckets in shared memory', () => {
  test('answer like those of one thread', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('take' as const) }),
      fc.record({ kind: fc.constant('reserve' as const), most: fc.nat(5) }),
      fc.record({ kind: fc.constant('giveBack' as const) }),
      fc.record({
        kind: fc.constant('wait' as const),
        ms: fc.oneof(fc.nat(20), fc.nat(5_000), fc.double({ min: 0, max: 50, noNaN: true })),
      }),
    );
    const steps = fc.array(fc.tuple(step, fc.nat(3), fc.nat(1)), { maxLength: 150 });
    fc.assert(
      fc.property(steps, fc.constantFrom(...RATES), (steps, rate) => {
        const time = new VirtualTime();
        const memory = createSharedLimits(1);
        const expected = new KeyedBuckets(rate, time);
        const threads = [0, 1].map(() => openSharedLimits(memory, time).buckets('messages', rate));
        for (const [step, number, thread] of steps) {
          const key = `user ${number}`;
          const buckets = threads[thread] as SharedBuckets;
          if (step.kind === 'wait') time.advance(step.ms);
          else if (step.kind === 'take') expect(buckets.take(key)).toBe(expected.take(key));
          else if (step.kind === 'reserve')
            expect(buckets.reserve(key, step.most)).toBe(expected.reserve(key, step.most));
          else for (const each of [buckets, expected]) each.giveBack(key);
        }
      }),
      { numRuns: 300 },
    );
  });

  test.each(RATES)('answer like those of one thread for 20,000 keys, at %o', (rate) => {
    const [random, time] = [new Random(2), new VirtualTime()];
    const expected = new KeyedBuckets(rate, time);
    const memory = createSharedLimits(1);
    const shared = openSharedLimits(memory, time).buckets('messages', rate);
    const differences: string[] = [];
    for (let i = 0; i < 200_000; i++) {
      const key = `user ${random.chance(0.3) ? random.int(1, 50) : random.int(1, 20_000)}`;
      time.advance(random.chance(0.001) ? 2_000 : random.next());
      const [answer, expectation] = random.chance(0.5)
        ? [shared.take(key), expected.take(key)]
        : [shared.reserve(key, 2), expected.reserve(key, 2)];
      // The buckets of one thread round once more, when the full ones are removed.
      if (Math.abs(Number(answer ?? -1) - Number(expectation ?? -1)) > 1e-9)
        differences.push(`${key}: ${answer} instead of ${expectation}`);
      if (random.chance(0.1)) for (const each of [shared, expected]) each.giveBack(key);
    }
    expect(differences).toEqual([]);
  });

  test('of different names are apart, those of one name are the same', () => {
    const memory = createSharedLimits(1);
    const [one, other] = [openSharedLimits(memory), openSharedLimits(memory)];
    const rate = { perSecond: 1e-9, burst: 1 };
    expect(one.buckets('posts', rate).take('ada')).toBe(true);
    expect(other.buckets('posts', rate).take('ada')).toBe(false);
    expect(other.buckets('messages', rate).take('ada')).toBe(true);
  });

  test('take memory for those that are in use, not for all that ever were', () => {
    const time = new VirtualTime();
    const memory = createSharedLimits(1);
    const shared = openSharedLimits(memory, time).buckets('messages', { perSecond: 10, burst: 2 });
    for (let i = 0; i < 300_000; i++) {
      time.advance(1); // about 100 at once are not full
      if (!shared.take(`user ${i}`)) expect(i).toBe(-1);
    }
    expect(memory.buckets.byteLength).toBeLessThan(64 * 1024);
  });

  test('that are nearly full are full where there are more than the memory has room for', () => {
    const time = new VirtualTime();
    const memory = createTable(BUCKET_NUMBERS, 256);
    const rate = { perSecond: 1, burst: 100 };
    const table = new SharedTable(memory, BUCKET_NUMBERS);
    const shared = new SharedBuckets(table, { name: 'messages', rate, seeds: createSeeds(), clock: time });
    while (shared.take('busy'));
    for (let i = 0; i < 20_000; i++) expect(shared.take(`user ${i}`)).toBe(true);
    expect(shared.take('busy')).toBe(false);
    expect(memory.byteLength).toBe(memory.maxByteLength);
  });

  test('never lose tokens to a clock that is read before another thread is served', () => {
    const memory = createSharedLimits(1);
    const rate = { perSecond: 1, burst: 10 };
    const [early, late] = [new VirtualTime(), new VirtualTime()];
    late.advance(5_000);
    const [one, other] = [early, late].map((time) => openSharedLimits(memory, time).buckets('messages', rate));
    const takeAll = (buckets: SharedBuckets | undefined) => {
      let taken = 0;
      while (buckets?.take('ada')) taken++;
      return taken;
    };
    expect(other?.take('ada')).toBe(true);
    expect(takeAll(one)).toBe(9);
    late.advance(3_000);
    expect(takeAll(other)).toBe(3);
  });
});

test('shared limits are limits of a server, as the local ones are', () => {
  const shared: Limits = openSharedLimits(createSharedLimits(10));
  const local = localLimits(new VirtualTime());
  for (const limits of [shared, local]) {
    limits.connections.add('192.0.2.1');
    expect(limits.connections.of('192.0.2.1')).toBe(1);
    expect(limits.buckets('messages', { perSecond: 1e-9, burst: 1 }).take('ada')).toBe(true);
  }
});
