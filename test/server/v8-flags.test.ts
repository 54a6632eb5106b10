import { execFileSync } from 'node:child_process';
import { getHeapStatistics, type HeapInfo, setFlagsFromString } from 'node:v8';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createEvents } from '../../src/hub/events.ts';
import type { Hub } from '../../src/hub/hub.ts';
import {
  adaptFlags,
  collectAfterBursts,
  collectGarbage,
  earlyOptimization,
  messagesOf,
  setStartFlags,
} from '../../src/server/v8-flags.ts';

vi.mock('node:v8', () => ({ setFlagsFromString: vi.fn(), getHeapStatistics: vi.fn() }));
const flags = vi.mocked(setFlagsFromString);
const gc = vi.hoisted(() => vi.fn());
vi.mock('node:vm', () => ({ runInNewContext: () => gc }));

beforeEach(() => {
  vi.useFakeTimers();
  flags.mockClear();
});
afterEach(() => void vi.useRealTimers());

const SMALL = '--semi-space-growth-factor=1';
const GROWING = '--semi-space-growth-factor=4';
const EARLY = earlyOptimization(process.versions.v8);

/** Returns the flags set since the last call. */
function taken(): string[] {
  const set = flags.mock.calls.map(([flag]) => flag);
  flags.mockClear();
  return set;
}

test('adapts V8 once a second while messages flow, and leaves it alone otherwise', () => {
  const hub = { events: createEvents(), messages: 0 };
  const send = (count: number) => {
    hub.messages += count;
    hub.events.emit('committed', { room: 'r', from: 1, to: count, members: 1 });
  };
  const second = () => vi.advanceTimersByTime(1_000);
  setStartFlags();
  adaptFlags(messagesOf(hub as unknown as Hub));
  expect(taken()).toEqual([SMALL]);
  second();
  expect([taken(), vi.getTimerCount()]).toEqual([[], 0]);
  send(1);
  expect(taken()).toEqual(EARLY);
  send(9_998);
  second();
  expect(taken()).toEqual([SMALL]);
  send(10_000);
  second();
  expect(taken()).toEqual([GROWING]);
  second();
  expect([taken(), vi.getTimerCount(), hub.events.has('committed')]).toEqual([[SMALL], 0, true]);
  send(1);
  expect([taken(), vi.getTimerCount(), hub.events.has('committed')]).toEqual([EARLY, 1, false]);
});

// The versions of Node 20, 21, 22, 24 and 26.
test.each([
  ['11.3.244.8-node.38', ['--interrupt-budget=5000']],
  ['11.8.172.17-node.20', ['--invocation-count-for-maglev=30', '--invocation-count-for-turbofan=220']],
  ['12.4.254.21-node.57', ['--invocation-count-for-maglev=30', '--invocation-count-for-turbofan=220']],
  ['13.6.233.17-node.63', ['--invocation-count-for-maglev=30', '--invocation-count-for-turbofan=220']],
  ['14.6.202.34-node.40', ['--invocation-count-for-maglev=30', '--invocation-count-for-turbofan=220']],
])('optimizes early with the flags of V8 %s', (version, flags) => {
  expect(earlyOptimization(version)).toEqual(flags);
});

test.each([SMALL, GROWING, ...EARLY, '--expose-gc', '--compact-on-every-full-gc'])(
  '%s is a flag of this V8',
  (flag) => {
    expect(execFileSync(process.execPath, [flag, '-p', '1'], { encoding: 'utf8' })).toBe('1\n');
  },
);

test('collects once after a burst of connections, when they and the messages have ended', () => {
  const hub = { events: createEvents(), messages: 0 };
  const collect = vi.fn();
  const connect = (count: number) => {
    for (let i = 0; i < count; i++) hub.events.emit('connected', { client: 'c', wire: 'gorilla', remoteAddress: '' });
  };
  const second = () => vi.advanceTimersByTime(1_000);
  collectAfterBursts(hub, collect);
  connect(999);
  expect(vi.getTimerCount()).toBe(0);
  connect(1);
  second();
  hub.messages++;
  second();
  expect(collect).not.toHaveBeenCalled();
  second();
  expect([collect.mock.calls.length, vi.getTimerCount()]).toEqual([1, 0]);
  connect(1_000);
  second();
  second();
  expect([collect.mock.calls.length, vi.getTimerCount()]).toEqual([2, 0]);
});

test('collects the garbage of the start, without compaction', () => {
  collectGarbage();
  expect([taken(), gc.mock.calls.length]).toEqual([['--expose-gc'], 1]);
  collectGarbage();
  expect([taken(), gc.mock.calls.length]).toEqual([[], 2]);
  gc.mockClear();
});

test('compacts a small heap after a burst, and leaves a large one to V8', () => {
  collectGarbage();
  gc.mockClear();
  taken();
  const hub = { events: createEvents(), messages: 0 };
  const burst = (heap: number) => {
    vi.mocked(getHeapStatistics).mockReturnValue({ used_heap_size: heap } as HeapInfo);
    for (let i = 0; i < 1_000; i++) hub.events.emit('connected', { client: 'c', wire: 'gorilla', remoteAddress: '' });
    vi.advanceTimersByTime(2_000);
    return taken();
  };
  collectAfterBursts(hub);
  expect(burst(65 * 2 ** 20)).toEqual([]);
  const compacting = ['--compact-on-every-full-gc', '--no-compact-on-every-full-gc'];
  expect(burst(64 * 2 ** 20)).toEqual(compacting);
  expect(burst(2 ** 20)).toEqual(compacting);
  expect(gc).toHaveBeenCalledTimes(2);
});
