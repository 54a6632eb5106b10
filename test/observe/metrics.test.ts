import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { createEvents } from '../../src/hub/events.ts';
import { Distribution, LAG_BOUNDS, Meter } from '../../src/hub/meter.ts';
import { collectMetrics } from '../../src/observe/metrics.ts';
import { closes } from '../../src/protocol/close-codes.ts';
import { readingsAtRest } from './readings.ts';

const readings = readingsAtRest({ mailbox: (name) => name.length });

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
  events.emit('evicted', {
    client: 'c1',
    user: 'ada',
    room: 'r',
    epoch: 'e',
    seq: 1,
    records: 9,
    why: closes.slowConsumer.reason,
  });
  events.emit('resumed', { client: 'c1', room: 'r', outcome: 'complete' });
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
  const measured = /_(turn_|send_|load_|headroom_|cursor_lag_|members)/;
  const page = Object.entries(await samples(metrics.text())).filter(([name]) => !measured.test(name));
  expect(Object.fromEntries(page)).toEqual({
    pumphouse_connections: 3,
    pumphouse_rooms: 2,
    pumphouse_engine_ready: 1,
    'pumphouse_mailbox_posts{mailbox="register"}': 8,
    'pumphouse_mailbox_posts{mailbox="unregister"}': 10,
    'pumphouse_mailbox_posts{mailbox="broadcast"}': 9,
    'pumphouse_mailbox_posts{mailbox="request"}': 7,
    pumphouse_connects_total: 1,
    pumphouse_messages_total: 11,
    pumphouse_batches_total: 2,
    'pumphouse_evictions_total{reason="too_far_behind"}': 1,
    'pumphouse_recoveries_total{outcome="complete"}': 1,
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
  const reserved = Array.from({ length: 16 }, (_, i) => 1000 + i);
  const known = new Set([...reserved, ...Object.values(closes).map(({ code }) => code)]);
  expect(labels).toHaveLength(known.size + 1);
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

test('shows what the Hub has measured, in the units of Prometheus', async () => {
  let now = 0;
  const meter = new Meter({ now: () => now, date: () => 0 }, { commands: 10, bytes: 1000 });
  meter.beginTurn();
  now = 2;
  meter.took(5, 2_000);
  meter.endTurn();
  const draft = { room: 'r', from: 'a', id: '', data: '', bytes: 0 };
  meter.sent(draft);
  meter.sent({ ...draft });
  now = 42;
  meter.committed(draft);
  const page = await samples(collectMetrics(createEvents(), { ...readings, meter }).text());
  expect(page).toMatchObject({
    'pumphouse_turn_duration_seconds_bucket{le="0.001"}': 0,
    'pumphouse_turn_duration_seconds_bucket{le="0.0025"}': 1,
    'pumphouse_turn_duration_seconds_bucket{le="+Inf"}': 1,
    pumphouse_turn_duration_seconds_sum: 0.002,
    pumphouse_turn_duration_seconds_count: 1,
    'pumphouse_turn_bytes_bucket{le="1024"}': 0,
    'pumphouse_turn_bytes_bucket{le="4096"}': 1,
    'pumphouse_send_to_commit_seconds_bucket{le="0.025"}': 0,
    'pumphouse_send_to_commit_seconds_bucket{le="0.05"}': 1,
    pumphouse_send_to_commit_seconds_count: 1,
    'pumphouse_load_ratio{resource="turn"}': 1,
    pumphouse_headroom_ratio: 0,
  });
});

test('counts the members by how far they have got, at each scrape', async () => {
  const lag = new Distribution(LAG_BOUNDS);
  for (const behind of [0, 0, 1, 50, 9_999]) lag.observe(behind);
  const census = () => ({ inStep: 2, parked: 1, catchingUp: 2, lag });
  const metrics = collectMetrics(createEvents(), { ...readings, census });
  for (let scrape = 0; scrape < 2; scrape++) {
    expect(await samples(metrics.text())).toMatchObject({
      'pumphouse_members{state="in_step"}': 2,
      'pumphouse_members{state="parked"}': 1,
      'pumphouse_members{state="catching_up"}': 2,
      'pumphouse_cursor_lag_records_bucket{le="0"}': 2,
      'pumphouse_cursor_lag_records_bucket{le="1"}': 3,
      'pumphouse_cursor_lag_records_bucket{le="100"}': 4,
      pumphouse_cursor_lag_records_count: 5,
    });
  }
});

test('takes the fullest resource as the load', async () => {
  const full = { ...readings, mailbox: () => 25, capacity: () => 100, journal: () => 0.75 };
  expect(await samples(collectMetrics(createEvents(), full).text())).toMatchObject({
    'pumphouse_load_ratio{resource="mailboxes"}': 0.25,
    'pumphouse_load_ratio{resource="journal"}': 0.75,
    'pumphouse_load_ratio{resource="turn"}': 0,
  });
});

test('shows what the engine keeps on the disk', async () => {
  const storage = () => ({ journalBytes: 12, storeBytes: 4096 });
  expect(await samples(collectMetrics(createEvents(), { ...readings, storage }).text())).toMatchObject({
    pumphouse_journal_bytes: 12,
    pumphouse_store_bytes: 4096,
  });
});
