import { readFileSync } from 'node:fs';
import type { Logger } from './log.ts';
import { collectionOf, OtlpData, type OtlpPackages } from './otlp-data.ts';
import type { MetricObject } from './thread-metrics.ts';

export interface OtlpOptions {
  /** URL of the collector, such as `http://localhost:4318`. */
  readonly url: string;
  /** Names this server among others. */
  readonly instance: string;
  /** Returns the metrics of the whole process. */
  readonly read: () => Promise<readonly MetricObject[]>;
  readonly log: Pick<Logger, 'info' | 'error'>;
  /** Milliseconds between exports. @default 15000 */
  readonly intervalMs?: number;
}

/** The export of metrics to a collector. */
export interface OtlpExport {
  /** Exports a last time. Resolves after 1.5 seconds at most, also without a collector. */
  stop(): Promise<void>;
}

const INTERVAL_MS = 15_000;

// An export that takes longer has failed, so that a collector that hangs delays one export only.
const TIMEOUT_MS = 10_000;
const LAST_EXPORT_MS = 1_500;

/** The packages for `npm install`. */
const OTLP_PACKAGES =
  '@opentelemetry/api@1 @opentelemetry/sdk-metrics@2 @opentelemetry/exporter-metrics-otlp-http@0.223';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  readonly version: string;
};

/** An optional package that is not installed. The message is one line for people. */
export class MissingPackages extends Error {}

/** Starts to export metrics. @throws MissingPackages without the packages of OpenTelemetry. */
export async function startOtlp(options: OtlpOptions): Promise<OtlpExport> {
  const { api, sdk, exporters } = await loadPackages();
  const { url, instance, read, log, intervalMs = INTERVAL_MS } = options;
  const data = new OtlpData({ api, sdk }, Date.now());
  const attributes = { 'service.name': 'pumphouse', 'service.version': version, 'service.instance.id': instance };
  const timeoutMillis = Math.min(TIMEOUT_MS, intervalMs);
  const exporter = new exporters.OTLPMetricExporter({ url: metricsUrl(url), concurrencyLimit: 1, timeoutMillis });
  const report = reporter(url, log);
  type Exporter = ConstructorParameters<typeof sdk.PeriodicExportingMetricReader>[0]['exporter'];
  const reporting: Exporter = {
    export: (metrics, onResult) =>
      exporter.export(metrics, (result) => {
        report(result.error);
        onResult(result);
      }),
    forceFlush: () => exporter.forceFlush(),
    shutdown: () => exporter.shutdown(),
  };
  const reader = new sdk.PeriodicExportingMetricReader({
    exporter: reporting,
    exportIntervalMillis: intervalMs,
    exportTimeoutMillis: timeoutMillis,
  });
  // The metrics are counted elsewhere, so no meter of OpenTelemetry is between.
  reader.setMetricProducer({
    collect: async () => collectionOf(data.convert(await read(), Date.now()), attributes, version),
  });
  return { stop: () => reader.shutdown({ timeoutMillis: LAST_EXPORT_MS }).catch(() => {}) };
}

/** Returns the URL for metrics below that of a collector, as the exporters' own variable does. */
export function metricsUrl(collector: string): string {
  const url = new URL(collector);
  if (!url.pathname.endsWith('/v1/metrics')) url.pathname = `${url.pathname.replace(/\/$/, '')}/v1/metrics`;
  return url.href;
}

/** Logs the first failure after a success, and the first success after a failure. */
function reporter(url: string, log: OtlpOptions['log']): (error: Error | undefined) => void {
  const { origin } = new URL(url);
  let failed = false;
  return (error) => {
    if (error && !failed) {
      const why = error.message || (error as NodeJS.ErrnoException).code || 'no answer';
      log.error({ url: origin, why }, `metrics cannot be exported to ${origin}: ${why}`);
    } else if (!error && failed) log.info({ url: origin }, `metrics are exported to ${origin} again`);
    failed = error !== undefined;
  };
}

async function loadPackages() {
  try {
    const [api, sdk, exporters] = await Promise.all([
      import('@opentelemetry/api'),
      import('@opentelemetry/sdk-metrics'),
      import('@opentelemetry/exporter-metrics-otlp-http'),
    ]);
    return { api, sdk, exporters } satisfies OtlpPackages & { exporters: unknown };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new MissingPackages(`needs packages of OpenTelemetry: npm install ${OTLP_PACKAGES}`);
  }
}
