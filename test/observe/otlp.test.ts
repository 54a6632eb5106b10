import { Registry } from 'prom-client';
import { expect, onTestFinished, test, vi } from 'vitest';
import { freePort } from '../../bench/free-port.ts';
import { createEvents } from '../../src/hub/events.ts';
import { collectCanary } from '../../src/observe/canary-metrics.ts';
import { collectMetrics } from '../../src/observe/metrics.ts';
import { metricsUrl, type OtlpOptions, startOtlp } from '../../src/observe/otlp.ts';
import { collectWebhooks } from '../../src/observe/webhook-metrics.ts';
import { Collector, samplesOf, samplesOfPage } from './collector.ts';
import { readingsAtRest } from './readings.ts';

async function startCollector(): Promise<{ collector: Collector; url: string }> {
  const collector = new Collector();
  onTestFinished(() => collector.close());
  return { collector, url: await collector.listen() };
}

/** A log that keeps its lines. */
function recorder() {
  const lines: string[] = [];
  const keep = (_: unknown, line: string) => void lines.push(line);
  return { lines, log: { info: keep, error: keep } as unknown as OtlpOptions['log'] };
}

const registryOf = () => {
  const registry = new Registry();
  collectCanary(registry, {
    up: true,
    count: () => 4,
    latency: { bounds: [1, 10, 100], counts: [5, 0, 2, 1], sum: 321 },
  });
  collectWebhooks(registry, () => [
    {
      webhook: 'a',
      deliveries: 1,
      messages: 2,
      gaps: 0,
      failures: new Map([['status', 3]]),
      lag: 4,
      oldestSeconds: 0.5,
    },
  ]);
  return registry;
};

/** Exports the metrics of a registry once. */
async function exportOnce(read: OtlpOptions['read']) {
  const { collector, url } = await startCollector();
  const exporting = await startOtlp({ url, instance: 'host:1', read, log: recorder().log });
  await exporting.stop();
  expect(collector.exports).toHaveLength(1);
  return collector.exports[0] as NonNullable<(typeof collector.exports)[0]>;
}

test('exports every sample of the page, under the same names and labels', async () => {
  const events = createEvents();
  const metrics = collectMetrics(events, readingsAtRest());
  events.emit('connected', { client: 'c', wire: 'v1', remoteAddress: '' });
  events.emit('refused', { reason: 'origin', message: '', wire: 'v1', remoteAddress: '', origin: '' });
  const registry = registryOf();
  const read = async () => [...(await metrics.objects()), ...(await registry.getMetricsAsJSON())];
  const { path, headers, metrics: exported, resource, scope } = await exportOnce(read);
  const page = samplesOfPage((await metrics.text()) + (await registry.metrics()));
  const samples = samplesOf(exported);
  // What Node reports goes on between the export and the page.
  const ofPumphouse = (all: Record<string, number>) =>
    Object.fromEntries(Object.entries(all).filter(([name]) => /^pumphouse_(?!eventloop|load|headroom)/.test(name)));
  expect(ofPumphouse(samples)).toEqual(ofPumphouse(page));
  expect(Object.keys(ofPumphouse(samples)).length).toBeGreaterThan(50);
  const finite = Object.keys(page).filter((name) => Number.isFinite(page[name]));
  expect(Object.keys(samples)).toEqual(expect.arrayContaining(finite.filter((name) => !/gc|active/.test(name))));
  expect([path, headers['content-type'], scope.name]).toEqual(['/v1/metrics', 'application/json', 'pumphouse']);
  expect(resource).toEqual({
    'service.name': 'pumphouse',
    'service.version': expect.stringMatching(/^\d+\.\d+\.\d+/),
    'service.instance.id': 'host:1',
  });
});

test('exports kinds, units, temporality and times', async () => {
  const before = BigInt(Date.now()) * 1_000_000n;
  const metrics = collectMetrics(createEvents(), readingsAtRest());
  const registry = registryOf();
  const read = async () => [...(await metrics.objects()), ...(await registry.getMetricsAsJSON())];
  const { metrics: exported } = await exportOnce(read);
  const find = (name: string) => exported.find((metric) => metric.name === name);
  const sent = find('pumphouse_canary_sent_total');
  expect(sent).toMatchObject({ unit: '', description: 'Messages that the canary has sent.' });
  expect(sent?.sum).toMatchObject({ aggregationTemporality: 2, isMonotonic: true });
  expect(find('pumphouse_canary_up')?.gauge?.dataPoints).toHaveLength(1);
  expect(find('process_cpu_seconds_total')).toMatchObject({ unit: 's', sum: { isMonotonic: true } });
  expect(find('process_resident_memory_bytes')).toMatchObject({ unit: 'By', gauge: {} });
  expect(find('pumphouse_headroom_ratio')).toMatchObject({ unit: '1', gauge: {} });
  const latency = find('pumphouse_canary_latency_seconds');
  expect(latency).toMatchObject({ unit: 's', histogram: { aggregationTemporality: 2 } });
  const [point] = latency?.histogram?.dataPoints ?? [];
  expect(point).toMatchObject({
    bucketCounts: [5, 0, 2, 1],
    explicitBounds: [0.001, 0.01, 0.1],
    count: 8,
    sum: 0.321,
  });
  expect(BigInt(point?.startTimeUnixNano ?? 0)).toBeGreaterThanOrEqual(before);
  expect(BigInt(point?.timeUnixNano ?? 0)).toBeGreaterThanOrEqual(BigInt(point?.startTimeUnixNano ?? 0));
  // It counts members now, so each of its points begins anew.
  const [lag] = find('pumphouse_cursor_lag_records')?.histogram?.dataPoints ?? [];
  expect(lag?.startTimeUnixNano).toBe(lag?.timeUnixNano);
});

test('logs an outage once, and its end', async () => {
  const port = await freePort();
  const { lines, log } = recorder();
  const read = () => registryOf().getMetricsAsJSON();
  const url = `http://127.0.0.1:${port}`;
  const exporting = await startOtlp({ url, instance: 'host:1', read, log, intervalMs: 100 });
  onTestFinished(() => exporting.stop());
  await vi.waitFor(() => expect(lines).toHaveLength(1), 10_000);
  expect(lines[0]).toMatch(new RegExp(`^metrics cannot be exported to ${url}: .*ECONNREFUSED`));
  const collector = new Collector();
  onTestFinished(() => collector.close());
  await collector.listen(port);
  await vi.waitFor(() => expect(lines).toHaveLength(2), 10_000);
  expect(lines[1]).toBe(`metrics are exported to ${url} again`);
  collector.status = 400;
  await vi.waitFor(() => expect(lines).toHaveLength(3), 10_000);
});

test('stops in time beside a collector that does not answer', async () => {
  const { collector, url } = await startCollector();
  collector.status = undefined;
  const read = () => registryOf().getMetricsAsJSON();
  const exporting = await startOtlp({ url, instance: 'host:1', read, log: recorder().log });
  const startedAt = performance.now();
  await exporting.stop();
  expect(performance.now() - startedAt).toBeLessThan(5_000);
  expect(collector.exports).toHaveLength(1);
});

test('exports below the URL of a collector, or at the URL itself if it is that of metrics', () => {
  expect(metricsUrl('http://localhost:4318')).toBe('http://localhost:4318/v1/metrics');
  expect(metricsUrl('https://otel.example/otlp/')).toBe('https://otel.example/otlp/v1/metrics');
  expect(metricsUrl('http://localhost:4318/v1/metrics')).toBe('http://localhost:4318/v1/metrics');
});
