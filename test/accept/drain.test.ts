import { expect, test } from 'vitest';
import { type Connection, Keepalive } from '../../src/client/keepalive.ts';
import { closeClients, type DrainOptions, windowOf } from '../../src/server/drain.ts';
import { VirtualTime } from '../simulation/virtual.ts';

/** Connects clients, and returns a function that drains them. */
function draining(count: number, intake: number, window: number) {
  const time = new VirtualTime();
  const keepalive = new Keepalive(time, time);
  const reconnects: { readonly at: number; readonly in: number }[] = [];
  const clients = Array.from({ length: count }, (): Connection => {
    return { tend() {}, goAway: (reconnectIn) => reconnects.push({ at: time.now(), in: reconnectIn }) };
  });
  for (const client of clients) keepalive.add(client);
  const sleep = async (ms: number) => time.advance(ms);
  const options: DrainOptions = { window, intake, clock: time, sleep };
  return { time, keepalive, clients, reconnects, options };
}

test('tells each client to reconnect at its place in the intake, past the drain window', async () => {
  const { keepalive, reconnects, options } = draining(100_000, 2000, 10_000);
  await closeClients(keepalive, options);
  expect(reconnects).toHaveLength(100_000);
  expect(reconnects[0]?.in).toBe(0);
  expect(reconnects[50_000]?.in).toBe(25_000);
  expect(reconnects.at(-1)?.in).toBe(50_000);
  for (let second = 0; second < 50; second++) {
    const due = reconnects.filter(({ in: ms }) => ms >= second * 1000 && ms < (second + 1) * 1000).length;
    expect(due).toBeLessThanOrEqual(2002);
  }
});

test('returns a few clients at once', async () => {
  const { keepalive, reconnects, options } = draining(10, 2000, 10_000);
  await closeClients(keepalive, options);
  expect(reconnects.at(-1)?.in).toBeLessThan(10);
});

test('yields between turns of 100 closes, but not past the drain window', async () => {
  const { time, keepalive, clients, reconnects, options } = draining(10_000, 2000, 20);
  time.after(20, () => {
    for (const client of clients) keepalive.remove(client);
  });
  await closeClients(keepalive, options);
  expect(reconnects.filter(({ at }) => at === 0)).toHaveLength(100);
  expect(time.now()).toBe(20);
  expect(reconnects).toHaveLength(10_000);
});

test('waits for the last client, until the end of the window', async () => {
  const { time, keepalive, clients, options } = draining(2, 2000, 10_000);
  time.after(300, () => keepalive.remove(clients[0] as Connection));
  await closeClients(keepalive, options);
  expect(time.now()).toBe(10_000);
  for (const client of clients) keepalive.remove(client);
  await closeClients(keepalive, options);
  expect(time.now()).toBe(10_000);
});

test('a client that stays does not extend the window by the time that the closes took', async () => {
  const { time, keepalive, options } = draining(10_000, 2000, 100);
  await closeClients(keepalive, options);
  expect(time.now()).toBeLessThan(110);
});

test.each([
  [10, 9_500],
  [0.5, 0],
  [0, 0],
])('of a drain window of %f seconds, leaves half a second to close the storage', (seconds, ms) => {
  expect(windowOf(seconds)).toBe(ms);
});
