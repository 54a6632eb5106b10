import { hostname } from 'node:os';
import { ConfigError } from '../config/error.ts';
import type { Settings } from '../config/settings.ts';
import type { Logger } from '../observe/log.ts';
import { MissingPackages, type OtlpExport, startOtlp } from '../observe/otlp.ts';
import type { MetricObject } from '../observe/thread-metrics.ts';

/**
 * Starts to export the metrics of the process to the collector of the settings.
 *
 * @param port of the first listener, which tells this server from others of the machine.
 *
 * @returns undefined where the settings name none.
 * @throws ConfigError without the packages of OpenTelemetry.
 */
export async function exportMetrics(
  { otlp: url }: Settings,
  port: number,
  read: () => Promise<readonly MetricObject[]>,
  log: Logger,
): Promise<OtlpExport | undefined> {
  if (url === undefined) return undefined;
  try {
    return await startOtlp({ url, instance: `${hostname()}:${port}`, read, log });
  } catch (error) {
    if (error instanceof MissingPackages) throw new ConfigError(`otlp: ${error.message}`);
    throw error;
  }
}
