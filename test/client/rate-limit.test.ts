import { describe, expect, test } from 'vitest';
import { addressKey, isLoopback } from '../../src/accept/connection-limits.ts';
import { KeyedBuckets, SharedLimits, TokenBucket } from '../../src/client/rate-limit.ts';
import type { Rate } from '../../src/protocol/v1.ts';
import { VirtualTime } from '../simulation/virtual.ts';

describe('a token bucket', () => {
  test('reserves tokens in advance, in order, up to a bound', () => {
    const time = new VirtualTime();
    const bucket = new TokenBucket({ perSecond: 10, burst: 2 }, time);
    const delays = Array.from({ length: 7 }, () => bucket.reserve(4));
    expect(delays).toEqual([0, 0, 100, 200, 300, 400, undefined]);
    expect(bucket.take()).toBe(false);
    time.advance(500);
    expect(bucket.full).toBe(false);
    expect(bucket.take()).toBe(true);
    time.advance(300);
    expect(bucket.full).toBe(true);
  });

  test('of a key is kept while it is in use, and removed when it is full and there are many', () => {
    const time = new VirtualTime();
    const buckets = new KeyedBuckets({ perSecond: 1, burst: 1 }, time);
    const used = buckets.of('used');
    time.advance(10_000);
    const full = buckets.of('full');
    used.take();
    for (let i = 0; i < 20_000; i++) buckets.of(`${i}`);
    expect(buckets.of('used')).toBe(used);
    expect(buckets.of('full')).not.toBe(full);
  });
});

describe('shared limits', () => {
  const rates = { address: { perSecond: 10, burst: 10 }, user: { perSecond: 1, burst: 4 } };
  const createLimits = (user: boolean) => {
    const bucketsOf = (rate: Rate) => new KeyedBuckets(rate, new VirtualTime());
    const buckets = { address: bucketsOf(rates.address), user: user ? bucketsOf(rates.user) : undefined };
    return new SharedLimits(buckets, isLoopback, addressKey);
  };
  const countTaken = (limits: SharedLimits, client: { user: string; address: string }) => {
    let count = 0;
    while (count < 100 && limits.take(client)) count++;
    return count;
  };

  test('limit all connections of one user, whatever their addresses', () => {
    const limits = createLimits(true);
    expect(countTaken(limits, { user: 'ada', address: '192.0.2.1' })).toBe(4);
    expect(countTaken(limits, { user: 'ada', address: '192.0.2.2' })).toBe(0);
    expect(countTaken(limits, { user: 'bob', address: '192.0.2.1' })).toBe(4);
  });

  test('limit all connections of one address or one IPv6 network, except from loopback', () => {
    const limits = createLimits(false);
    expect(countTaken(limits, { user: 'ada', address: '2001:db8::1' })).toBe(10);
    expect(countTaken(limits, { user: 'bob', address: '2001:db8:0:0:9::2' })).toBe(0);
    expect(countTaken(limits, { user: 'bob', address: '2001:db8:0:1::2' })).toBe(10);
    expect(countTaken(limits, { user: 'ada', address: '127.0.0.1' })).toBe(100);
    expect(countTaken(limits, { user: 'ada', address: '::1' })).toBe(100);
  });
});
