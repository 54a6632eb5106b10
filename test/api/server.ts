import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AttachOptions, createServer, type ServerOptions } from 'pumphouse';
import { type ApiKey, Keys, scopes } from '../../src/auth/keys.ts';
import { createVariantServer } from '../workers/in-thread.ts';

/** The ways to serve the API. */
export const servings = ['uws', 'ws', 'attached', 'workers'] as const;
export type Serving = (typeof servings)[number];

/** A response of the API. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests compare bodies as a whole
  readonly body: any;
}

export interface CallOptions {
  readonly method?: string;
  readonly body?: unknown;
  /** Sent as it is, instead of `body`. */
  readonly text?: string;
  /** @default the key that allows everything */
  readonly key?: string | undefined;
  readonly headers?: Record<string, string>;
}

/** A server with a keys file. */
export class ApiServer {
  readonly url: string;
  readonly port: number;
  readonly keys: Keys;
  /** Allows everything. */
  readonly key: string;
  readonly stop: () => Promise<void>;

  private constructor(url: string, keys: Keys, key: string, stop: () => Promise<void>) {
    this.url = url;
    this.port = Number(new URL(url).port);
    this.keys = keys;
    this.key = key;
    this.stop = stop;
  }

  static async start(serving: Serving, given: ServerOptions = {}): Promise<ApiServer> {
    const folder = mkdtempSync(join(tmpdir(), 'pumphouse-api-'));
    const path = join(folder, 'keys.json');
    const keys = new Keys(path);
    const key = keys.add({ name: 'backend', scopes });
    const options: ServerOptions = { port: 0, drainWindow: 0, keys: path, publicMetrics: 'on', ...given };
    const { url, stop } = await (serving === 'attached' ? attach(options) : listen(serving, options));
    return new ApiServer(url, keys, key, async () => {
      await stop();
      rmSync(folder, { recursive: true });
    });
  }

  /** Adds a key. */
  add(key: Partial<ApiKey>): string {
    return this.keys.add({ name: 'other', scopes, ...key });
  }

  /** Sends a request to a path below `/api/v1`. */
  async call(path: string, { method, body, text, headers = {}, ...options }: CallOptions = {}): Promise<Answer> {
    const key = 'key' in options ? options.key : this.key;
    const content = text ?? (body === undefined ? undefined : JSON.stringify(body));
    const response = await fetch(`${this.url}/api/v1${path}`, {
      method: method ?? (content === undefined ? 'GET' : 'POST'),
      headers: {
        ...(key !== undefined && { authorization: `Bearer ${key}` }),
        ...(content !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(content !== undefined && { body: content }),
    });
    const received = await response.text();
    const isJson = /json/.test(response.headers.get('content-type') ?? '') && received !== '';
    const parsed = isJson ? JSON.parse(received) : undefined;
    return { status: response.status, headers: response.headers, text: received, body: parsed };
  }

  publish(body: object, options: CallOptions = {}): Promise<Answer> {
    return this.call('/publish', { body, ...options });
  }
}

function listen(serving: Exclude<Serving, 'attached'>, options: ServerOptions) {
  const [transport, workers] = serving === 'workers' ? (['uws', 2] as const) : [serving, 1];
  return createVariantServer({ name: serving, transport, workers }, options);
}

async function attach({ port: _, ...options }: ServerOptions) {
  const server = createHttpServer((request, response) => pumphouse.handler(request, response));
  const pumphouse = await createServer({ ...options, server } as AttachOptions);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const stop = async () => {
    await pumphouse.stop();
    server.close();
    server.closeAllConnections();
  };
  return { url: pumphouse.url as string, stop };
}
