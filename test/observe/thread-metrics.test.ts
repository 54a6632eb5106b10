import { performance } from 'node:perf_hooks';
import { expect, test } from 'vitest';
import { createEvents } from '../../src/hub/events.ts';
import { collectMetrics } from '../../src/observe/metrics.ts';
import { type MetricObject, type MonitoredWorker, ThreadMetrics } from '../../src/observe/thread-metrics.ts';
import { readingsAtRest } from './readings.ts';

/** A worker whose answers a test may hold back. */
function worker(number: number, { ready = true, dropped = 0 } = {}) {
  const events = createEvents();
  const metrics = collectMetrics(events, readingsAtRest({ ready: () => ready }));
  const monitored: MonitoredWorker & { silent: boolean } = {
    number,
    silent: false,
    objects: async (): Promise<readonly MetricObject[]> =>
      monitored.silent ? new Promise(() => {}) : structuredClone(await metrics.objects()),
    utilization: () => performance.eventLoopUtilization(),
    dropped: () => dropped,
    fill: (direction) => (direction === 'up' ? 0.25 : 0.5),
  };
  const connect = () => events.emit('connected', { client: 'c', wire: 'gorilla', remoteAddress: '' });
  return { monitored, connect };
}

/** The samples of a page that have nothing to do with Node. */
function samples(page: string): readonly string[] {
  return page.split('\n').filter((line) => line.startsWith('pumphouse_') && !line.includes('utilization'));
}

test('adds up what the workers count, and labels what each has of its own', async () => {
  const [one, two] = [worker(1), worker(2, { ready: false, dropped: 4 })];
  const metrics = new ThreadMetrics([one.monitored, two.monitored], { messages: 7, batches: 5 }, () => {});
  one.connect();
  two.connect();
  const page = await metrics.text();
  expect(samples(page)).toEqual(
    expect.arrayContaining([
      'pumphouse_connections{worker="1"} 3',
      'pumphouse_connections{worker="2"} 3',
      'pumphouse_rooms{worker="2"} 2',
      'pumphouse_mailbox_posts{mailbox="register",worker="1"} 0',
      'pumphouse_engine_ready 0',
      'pumphouse_connects_total 2',
      'pumphouse_messages_total 7',
      'pumphouse_batches_total 5',
      'pumphouse_ring_full_total{worker="1"} 0',
      'pumphouse_ring_full_total{worker="2"} 4',
      'pumphouse_ring_fill_ratio{worker="1",direction="up"} 0.25',
      'pumphouse_ring_fill_ratio{worker="2",direction="down"} 0.5',
    ]),
  );
  expect(page.match(/^process_resident_memory_bytes /gm)).toHaveLength(1);
  expect(page.match(/^nodejs_version_info\{/gm)).toHaveLength(1);
  expect(page).toMatch(/^nodejs_heap_size_used_bytes\{worker="log"\} \d+$/m);
  expect(page).toMatch(/^nodejs_eventloop_lag_p99_seconds\{worker="log"\} 0$/m);
  const names = page.match(/^# TYPE \S+/gm) ?? [];
  expect(new Set(names).size).toBe(names.length);
});

test('leaves a worker out that does not answer within a second, and keeps what it has counted', async () => {
  const [one, two] = [worker(1), worker(2)];
  const metrics = new ThreadMetrics([one.monitored, two.monitored], { messages: 0, batches: 0 }, () => {});
  one.connect();
  two.connect();
  await metrics.text();
  two.monitored.silent = true;
  one.connect();
  const startedAt = performance.now();
  const lines = samples(await metrics.text());
  expect(performance.now() - startedAt).toBeLessThan(5_000);
  expect(lines).toContain('pumphouse_connections{worker="1"} 3');
  expect(lines).not.toContain('pumphouse_connections{worker="2"} 3');
  expect(lines).toContain('pumphouse_connects_total 3');
  expect(lines).toContain('pumphouse_unanswered_scrapes_total{worker="2"} 1');
});
