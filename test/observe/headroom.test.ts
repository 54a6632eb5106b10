import { expect, test } from 'vitest';
import { loopUtilization } from '../../src/observe/headroom.ts';

/** An event loop whose time passes by hand, in milliseconds. */
function loop() {
  let [active, idle] = [0, 0];
  return {
    read: () => ({ active, idle, utilization: active / (active + idle) }),
    pass(busy: number, waiting: number) {
      active += busy;
      idle += waiting;
    },
  };
}

test('reports the load of an event loop since the last reading', () => {
  const { read, pass } = loop();
  const load = loopUtilization(read);
  pass(750, 250);
  expect(load()).toBe(0.75);
  pass(3000, 12_000);
  expect(load()).toBe(0.2);
  pass(15_000, 0);
  expect(load()).toBe(1);
});

test('reports neither the start nor the work between two close readings as the load', () => {
  const { read, pass } = loop();
  const load = loopUtilization(read);
  pass(40, 0);
  expect(load()).toBe(0.04);
  pass(60, 400);
  expect(load()).toBe(0.1);
  pass(1000, 14_000);
  const first = load();
  pass(20, 0);
  expect(load()).toBeCloseTo(first, 2);
  pass(980, 14_000);
  expect(load()).toBeCloseTo(1 / 15, 3);
});
