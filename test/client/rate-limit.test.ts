import { describe, expect, test } from 'vitest';
import { addressKey, isLoopback } from '../../src/accept/connection-limits.ts';
import { KeyedBuckets, SharedLimits, TokenBucket } from '../../src/client/rate-limit.ts';
import { VirtualTime } from '../simulation/virtual.ts';

describe('a token bucket', () => {
  test('lends tokens ahead of their time, in order, to a bound', () => {
    const time = new VirtualTime();
    const bucket = new TokenBucket({ perSecond: 10, burst: 2 }, time);
    const waits = Array.from({ length: 7 }, () => bucket.reserve(4));
    expect(waits).toEqual([0, 0, 100, 200, 300, 400, undefined]);
    expect(bucket.take()).toBe(false);
    time.advance(500);
    expect(bucket.full).toBe(false);
    expect(bucket.take()).toBe(true);
    time.advance(300);
    expect(bucket.full).toBe(true);
  });

  test('of a key is the same while it is in use, and is forgotten when it is full and there are many', () => {
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

describe('shares', () => {
  const rates = { address: { perSecond: 10, burst: 10 }, user: { perSecond: 1, burst: 4 } };
  const shares = (user: boolean) =>
    new SharedLimits({ ...rates, user: user ? rates.user : 'off' }, new VirtualTime(), isLoopback, addressKey);
  const taken = (of: SharedLimits, who: { user: string; address: string }) => {
    let count = 0;
    while (count < 100 && of.take(who)) count++;
    return count;
  };

  test('bound what all connections of one user may do, wherever they come from', () => {
    const all = shares(true);
    expect(taken(all, { user: 'ada', address: '192.0.2.1' })).toBe(4);
    expect(taken(all, { user: 'ada', address: '192.0.2.2' })).toBe(0);
    expect(taken(all, { user: 'bob', address: '192.0.2.1' })).toBe(4);
  });

  test('bound what all of one address may do, of IPv6 of one network; not of this machine', () => {
    const all = shares(false);
    expect(taken(all, { user: 'ada', address: '2001:db8::1' })).toBe(10);
    expect(taken(all, { user: 'bob', address: '2001:db8:0:0:9::2' })).toBe(0);
    expect(taken(all, { user: 'bob', address: '2001:db8:0:1::2' })).toBe(10);
    expect(taken(all, { user: 'ada', address: '127.0.0.1' })).toBe(100);
    expect(taken(all, { user: 'ada', address: '::1' })).toBe(100);
  });
});
