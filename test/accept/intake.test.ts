import { expect, test } from 'vitest';
import { HandshakeLimiter } from '../../src/accept/handshake-limiter.ts';
import { Intake } from '../../src/accept/intake.ts';
import { Random, VirtualTime } from '../simulation/virtual.ts';

/** Takes connections in at a steady rate for some seconds. */
function storm(intake: Intake, time: VirtualTime, perSecond: number, seconds: number): void {
  for (let i = 0; i < perSecond * seconds; i++) {
    intake.count();
    time.advance(1000 / perSecond);
  }
}

test('measures 60 % of the best second, and 2,000 a second at least', () => {
  const time = new VirtualTime();
  const intake = new Intake(time);
  expect(intake.perSecond).toBe(2000);
  storm(intake, time, 100, 3);
  expect(intake.perSecond).toBe(2000);
  storm(intake, time, 8000, 2);
  expect(intake.perSecond).toBeGreaterThan(4750);
  expect(intake.perSecond).toBeLessThanOrEqual(4800);
  storm(intake, time, 100, 5);
  expect(intake.perSecond).toBeGreaterThan(4750);
});

test('does not add up connections of different seconds', () => {
  const time = new VirtualTime();
  const intake = new Intake(time);
  for (let i = 0; i < 10_000; i++) {
    intake.count();
    time.advance(1);
  }
  expect(intake.perSecond).toBe(2000);
});

test('uses a fixed rate in place of the measured one', () => {
  const time = new VirtualTime();
  const intake = new Intake(time, 300);
  storm(intake, time, 8000, 1);
  expect(intake.perSecond).toBe(300);
});

/** Creates a limiter of `perSecond` handshakes, and functions that use it. */
function limiting(perSecond?: number) {
  const time = new VirtualTime();
  const random = new Random(1);
  const intake = new Intake(time, perSecond);
  const limiter = new HandshakeLimiter(intake, time, () => random.next());
  const take = () => limiter.take() === undefined;
  /** Attempts `count` handshakes at once. @returns how many are accepted. */
  const takeAll = (count: number) => Array.from({ length: count }, take).filter(Boolean).length;
  const retryAfter = () => limiter.take()?.notice?.error?.retryAfter as number;
  return { time, intake, limiter, takeAll, retryAfter };
}

test('accepts 10,000 handshakes at once by default, then 2,000 a second', () => {
  const { time, takeAll } = limiting();
  expect(takeAll(12_000)).toBe(10_000);
  time.advance(1000);
  expect(takeAll(12_000)).toBe(2000);
  time.advance(60_000);
  expect(takeAll(12_000)).toBe(10_000);
});

test('accepts more once the server has shown that it takes in more', () => {
  const { time, intake, takeAll } = limiting();
  storm(intake, time, 10_000, 1);
  takeAll(100_000);
  time.advance(1000);
  expect(takeAll(100_000)).toBeGreaterThan(5_900);
});

test('accepts every handshake of a steady rate below the limit', () => {
  const { time, takeAll } = limiting(100);
  takeAll(500);
  for (let i = 0; i < 1000; i++) {
    time.advance(10.1);
    expect(takeAll(1)).toBe(1);
  }
});

test('refuses with 503 and a Retry-After that is not before the retryAfter of the native protocol', () => {
  const { limiter, takeAll } = limiting(10);
  expect(takeAll(60)).toBe(50);
  for (let i = 0; i < 20; i++) {
    const refusal = limiter.take();
    const retryAfter = refusal?.notice?.error?.retryAfter as number;
    expect(refusal?.response.status).toBe(503);
    expect(Number(refusal?.response.headers['Retry-After'])).toBe(Math.ceil(retryAfter / 1000));
    expect(refusal?.notice?.error).toMatchObject({ code: 'too_many_connections', retry: true });
  }
});

test('spreads the returns of a storm at the rate of the limit, each after a second at least', () => {
  const { takeAll, retryAfter } = limiting(100);
  takeAll(500);
  const returns = Array.from({ length: 3000 }, retryAfter);
  expect(Math.min(...returns)).toBeGreaterThanOrEqual(1000);
  expect(new Set(returns.slice(0, 100)).size).toBeGreaterThan(80);
  for (let second = 3; second < 29; second++) {
    const due = returns.filter((ms) => ms >= second * 1000 && ms < (second + 1) * 1000).length;
    expect(due).toBeGreaterThan(60);
    expect(due).toBeLessThan(140);
  }
});

test('lets every client of a storm in when each returns at its time', () => {
  const { time, limiter } = limiting(100);
  const attempts: number[] = Array(3000).fill(0);
  let [accepted, refused] = [0, 0];
  const attempt = (client: number) => {
    attempts[client]!++;
    const refusal = limiter.take();
    if (!refusal) accepted++;
    else {
      refused++;
      time.after(refusal.notice?.error?.retryAfter as number, () => attempt(client));
    }
  };
  for (let client = 0; client < 3000; client++) attempt(client);
  for (let second = 0; second < 60; second++) time.advance(1000);
  expect(accepted).toBe(3000);
  expect(refused).toBeLessThan(4000);
  expect(Math.max(...attempts)).toBeLessThan(8);
});

test('bounds the wait, and spreads it even when very many are refused', () => {
  const { takeAll, retryAfter } = limiting(10);
  takeAll(50);
  const returns = Array.from({ length: 20_000 }, retryAfter).slice(10_000);
  expect(Math.max(...returns)).toBeLessThanOrEqual(62_000);
  for (let ten = 1; ten < 6; ten++) {
    const due = returns.filter((ms) => ms >= ten * 10_000 && ms < (ten + 1) * 10_000).length;
    expect(due).toBeGreaterThan(1200);
  }
});

test('divides a fixed rate and the least one among threads, and names that of all', () => {
  const time = new VirtualTime();
  expect(new Intake(time, undefined, 4).perSecond).toBe(500);
  const intake = new Intake(time, 2, 64);
  expect([intake.perSecond, intake.ofAllThreads]).toEqual([2 / 64, 2]);
  const limiter = new HandshakeLimiter(intake, time);
  expect(limiter.take()).toBe(undefined); // a share of less than one is one all the same
  expect(limiter.take()).toMatchObject({ message: 'more than 2 handshakes a second: raise --max-handshakes' });
  time.advance(32_000);
  expect(limiter.take()).toBe(undefined);
});
