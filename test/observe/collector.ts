import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

type Value = { readonly stringValue?: string; readonly intValue?: number };
type Attributes = readonly { readonly key: string; readonly value: Value }[];

interface Point {
  readonly attributes: Attributes;
  readonly startTimeUnixNano: string;
  readonly timeUnixNano: string;
  readonly asDouble?: number;
  readonly count?: number;
  readonly sum?: number;
  readonly bucketCounts?: readonly number[];
  readonly explicitBounds?: readonly number[];
}

interface Points {
  readonly dataPoints: readonly Point[];
  /** 2 is cumulative. */
  readonly aggregationTemporality?: number;
  readonly isMonotonic?: boolean;
}

export interface Metric {
  readonly name: string;
  readonly description: string;
  readonly unit: string;
  readonly sum?: Points;
  readonly gauge?: Points;
  readonly histogram?: Points;
}

/** An export as a collector receives it. */
export interface Export {
  readonly path: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly resource: Readonly<Record<string, unknown>>;
  readonly scope: { readonly name: string };
  readonly metrics: readonly Metric[];
}

/** Returns the labels of a point, as Prometheus's text format has them. */
function labelsOf({ attributes }: Point, more: readonly string[] = []): string {
  const labels = [...attributes.map(({ key, value }) => `${key}="${value.stringValue}"`), ...more].sort();
  return labels.length === 0 ? '' : `{${labels.join(',')}}`;
}

/** Returns the samples of metrics as those of a page: by name and labels. */
export function samplesOf(metrics: readonly Metric[]): Record<string, number> {
  const samples: Record<string, number> = {};
  for (const { name, sum, gauge, histogram } of metrics) {
    for (const point of (sum ?? gauge)?.dataPoints ?? []) samples[name + labelsOf(point)] = point.asDouble as number;
    for (const point of histogram?.dataPoints ?? []) {
      let below = 0;
      for (const [i, count] of (point.bucketCounts ?? []).entries()) {
        below += count;
        const le = point.explicitBounds?.[i];
        samples[`${name}_bucket${labelsOf(point, [`le="${le ?? '+Inf'}"`])}`] = below;
      }
      samples[`${name}_sum${labelsOf(point)}`] = point.sum as number;
      samples[`${name}_count${labelsOf(point)}`] = point.count as number;
    }
  }
  return samples;
}

/** Returns the samples of a page of `/metrics`, in the same form. */
export function samplesOfPage(page: string): Record<string, number> {
  const samples: Record<string, number> = {};
  for (const [, name, labels, value] of page.matchAll(/^(\w+)(?:\{(.*)\})? (\S+)$/gm)) {
    const sorted = [...(labels ?? '').matchAll(/\w+="[^"]*"/g)].map(([label]) => label).sort();
    samples[`${name}${sorted.length === 0 ? '' : `{${sorted.join(',')}}`}`] = Number(value);
  }
  return samples;
}

/** A collector of OpenTelemetry on HTTP with JSON. */
export class Collector {
  readonly exports: Export[] = [];
  /** The status of its answers; undefined for none. */
  status: number | undefined = 200;
  readonly #server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const { resourceMetrics } = JSON.parse(body);
    const [{ resource, scopeMetrics }] = resourceMetrics;
    const [{ scope, metrics }] = scopeMetrics;
    const attributes = (resource.attributes as Attributes).map(({ key, value }) => [key, value.stringValue]);
    const { url: path, headers } = request;
    this.exports.push({ path, headers, resource: Object.fromEntries(attributes), scope, metrics });
    if (this.status !== undefined) response.writeHead(this.status, { 'content-type': 'application/json' }).end('{}');
  });

  async listen(port = 0): Promise<string> {
    this.#server.listen(port, '127.0.0.1');
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve));
  }
}
