import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { createEvents } from '../../src/hub/events.ts';
import { collectMetrics } from '../../src/observe/metrics.ts';
import { closes } from '../../src/protocol/close-codes.ts';

const readings = {
  connections: () => 3,
  rooms: () => 2,
  ready: () => true,
  messages: () => 11,
  batches: () => 2,
  mailbox: (name: string) => name.length,
};

/** Returns Pumphouse's samples, by name and labels. */
async function samples(text: Promise<string>): Promise<Record<string, number>> {
  const lines = (await text).split('\n').filter((line) => line.startsWith('pumphouse_'));
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]),
  );
}

test("counts the Hub's events and reads its state at each scrape", async () => {
  const events = createEvents();
  const metrics = collectMetrics(events, readings);
  events.emit('connected', { client: 'c1', wire: 'gorilla', remoteAddress: '' });
  events.emit('evicted', { client: 'c1', room: 'r', epoch: 'e', seq: 1, records: 9, why: '' });
  events.emit('moved', { room: 'r', epoch: 'e-2', seq: 7, lost: 3 });
  events.emit('overloaded', { mailbox: 'broadcast', capacity: 1 });
  const request = { message: '', wire: 'v1', remoteAddress: '', origin: '' };
  for (const reason of ['origin', 'origin', 'draining'] as const) events.emit('refused', { reason, ...request });
  events.emit('disconnected', {
    client: 'c1',
    wire: 'gorilla',
    close: closes.goingAway,
    remoteAddress: '10.0.0.1',
    by: 'server',
  });
  expect(await samples(metrics.text())).toEqual({
    pumphouse_connections: 3,
    pumphouse_rooms: 2,
    pumphouse_engine_ready: 1,
    'pumphouse_mailbox_posts{mailbox="register"}': 8,
    'pumphouse_mailbox_posts{mailbox="unregister"}': 10,
    'pumphouse_mailbox_posts{mailbox="broadcast"}': 9,
    pumphouse_connects_total: 1,
    pumphouse_messages_total: 11,
    pumphouse_batches_total: 2,
    pumphouse_evictions_total: 1,
    pumphouse_lost_messages_total: 3,
    'pumphouse_overloads_total{mailbox="broadcast"}': 1,
    'pumphouse_closes_total{code="1001",by="server"}': 1,
    'pumphouse_refused_handshakes_total{reason="origin"}': 2,
    'pumphouse_refused_handshakes_total{reason="draining"}': 1,
  });
});

test('reads the state of the engine at each scrape', async () => {
  let ready = false;
  const metrics = collectMetrics(createEvents(), { ...readings, ready: () => ready });
  expect(await samples(metrics.text())).toMatchObject({ pumphouse_engine_ready: 0 });
  ready = true;
  expect(await samples(metrics.text())).toMatchObject({ pumphouse_engine_ready: 1 });
});

test('bounds the labels for close codes that peers choose', async () => {
  const events = createEvents();
  const metrics = collectMetrics(events, readings);
  for (let code = 1000; code < 5000; code++) {
    events.emit('disconnected', {
      client: 'c',
      wire: 'gorilla',
      close: { code, reason: '' },
      remoteAddress: '10.0.0.1',
      by: 'peer',
    });
  }
  const labels = Object.keys(await samples(metrics.text())).filter((name) => name.startsWith('pumphouse_closes_total'));
  expect(labels.length).toBeLessThan(30);
  expect(labels).toContain('pumphouse_closes_total{code="other",by="peer"}');
});

test('counts the events of two servers in one process separately', async () => {
  const [first, second] = [createEvents(), createEvents()];
  const metrics = [collectMetrics(first, readings), collectMetrics(second, readings)];
  first.emit('connected', { client: 'c1', wire: 'gorilla', remoteAddress: '' });
  const counts = await Promise.all(metrics.map((each) => samples(each.text())));
  expect(counts.map((each) => each['pumphouse_connects_total'])).toEqual([1, 0]);
});

test('samples the delay of the event loop while busy, and not the time in between', async () => {
  const events = createEvents();
  const metrics = collectMetrics(events, readings);
  const lag = async (statistic: string) =>
    Number(new RegExp(`^nodejs_eventloop_lag_${statistic}_seconds (.*)$`, 'm').exec(await metrics.text())?.[1]);
  expect(await lag('max')).toBe(0);
  const commit = () => events.emit('committed', { room: 'r', from: 1, to: 1, members: 1 });
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  try {
    commit();
    await expect.poll(async () => (await lag('p50')) > 0.005, { timeout: 5_000 }).toBe(true);
    await sleep(50);
    vi.advanceTimersByTime(2_000); // disabled from here on
    await sleep(300);
    commit();
    await sleep(50);
    expect(await lag('max')).toBeLessThan(0.25);
  } finally {
    vi.useRealTimers();
  }
});
