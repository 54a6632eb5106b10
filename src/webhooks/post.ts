import { type LookupAddress, type LookupOptions, lookup } from 'node:dns';
import { Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import { isIP } from 'node:net';
import type { AddressFilter } from './addresses.ts';

/** What became of an attempt. */
export type PostResult =
  | { readonly kind: 'answered'; readonly status: number; readonly retryAfter: string | undefined }
  /** No response within the time. */
  | { readonly kind: 'timeout' }
  /** The target is not an allowed address, or its name resolves to none. */
  | { readonly kind: 'refused'; readonly message: string }
  | { readonly kind: 'unreachable'; readonly message: string }
  /** The server has aborted it. */
  | { readonly kind: 'aborted' };

export interface PosterOptions {
  readonly url: URL;
  readonly allows: AddressFilter;
  /** Longest duration of an attempt, up to the head of its response, in milliseconds. */
  readonly timeoutMs: number;
  /** Connections at the same time. */
  readonly connections: number;
  /** Resolves names. @default the system's resolver */
  readonly resolve?: typeof lookup;
}

// A response is read to reuse its connection. A longer one costs its connection instead.
const MAX_RESPONSE_BYTES = 64 * 1024;
const RESPONSE_MS = 5_000;

const IDLE_MS = 30_000;

/** Refuses to connect, with the reason. */
class RefusedError extends Error {}

/** Sends POST requests to one URL, over connections that are kept open. Follows no redirect. */
export class Poster {
  readonly #options: PosterOptions;
  readonly #agent: HttpAgent | HttpsAgent;
  readonly #isSecure: boolean;
  readonly #aborts = new Set<() => void>();

  constructor(options: PosterOptions) {
    this.#options = options;
    this.#isSecure = options.url.protocol === 'https:';
    const agent = { keepAlive: true, maxSockets: options.connections, timeout: IDLE_MS };
    this.#agent = this.#isSecure ? new HttpsAgent(agent) : new HttpAgent(agent);
  }

  /** Sends a body. Resolves with the head of the response, whose body is read and discarded. */
  post(body: string, headers: Readonly<Record<string, string>>): Promise<PostResult> {
    const { url, allows, timeoutMs } = this.#options;
    const host = url.hostname.startsWith('[') ? url.hostname.slice(1, -1) : url.hostname;
    // Node looks up names only.
    if (isIP(host) > 0 && !allows(host)) return Promise.resolve({ kind: 'refused', message: refusalOf(host, [host]) });
    return new Promise((resolve) => {
      const bytes = Buffer.from(body);
      const request = (this.#isSecure ? requestHttps : requestHttp)(url, {
        method: 'POST',
        agent: this.#agent,
        lookup: this.#lookup,
        headers: {
          'content-type': 'application/json',
          'content-length': bytes.byteLength,
          'user-agent': 'pumphouse-webhook',
          ...headers,
        },
      });
      const end = (result: PostResult) => {
        clearTimeout(timer);
        this.#aborts.delete(abort);
        resolve(result);
      };
      const fail = (result: PostResult) => {
        end(result);
        request.destroy();
      };
      const abort = () => fail({ kind: 'aborted' });
      this.#aborts.add(abort);
      const timer = setTimeout(() => fail({ kind: 'timeout' }), timeoutMs);
      request.on('response', (response) => {
        const { statusCode: status = 0, headers } = response;
        end({ kind: 'answered', status, retryAfter: headers['retry-after'] });
        discard(response);
      });
      request.on('error', (error: NodeJS.ErrnoException) => {
        const message = error.code ?? error.message;
        end(
          error instanceof RefusedError
            ? { kind: 'refused', message: error.message }
            : { kind: 'unreachable', message },
        );
      });
      request.end(bytes);
    });
  }

  /** Ends the attempts that wait for a response. */
  abort(): void {
    for (const abort of this.#aborts) abort();
  }

  close(): void {
    this.abort();
    this.#agent.destroy();
  }

  /** Resolves a name to the addresses that are allowed. The connection is to one of these. */
  readonly #lookup = (
    host: string,
    options: LookupOptions,
    callback: (error: NodeJS.ErrnoException | null, address: string | LookupAddress[], family?: number) => void,
  ): void => {
    const { allows, resolve = lookup } = this.#options;
    resolve(host, { ...options, all: true }, (error, addresses) => {
      if (error) return callback(error, []);
      const allowed = addresses.filter(({ address }) => allows(address));
      const [first] = allowed;
      if (!first) {
        const found = addresses.map(({ address }) => address);
        return callback(new RefusedError(refusalOf(host, found)), []);
      }
      if (options.all) callback(null, allowed);
      else callback(null, first.address, first.family);
    });
  };
}

function refusalOf(host: string, addresses: readonly string[]): string {
  const what =
    addresses.length === 1 && addresses[0] === host ? host : `${host} resolves to ${addresses.join(', ')}, which`;
  return `${what} is not a public address; set allowPrivate of the webhook to deliver to it`;
}

/** Reads a response to its end, so that its connection can be used again, or closes it. */
function discard(response: IncomingMessage): void {
  let bytes = 0;
  const timer = setTimeout(() => response.destroy(), RESPONSE_MS);
  response.on('data', (chunk: Buffer) => {
    bytes += chunk.byteLength;
    if (bytes > MAX_RESPONSE_BYTES) response.destroy();
  });
  response.on('error', () => {}); // the status counts
  response.on('close', () => clearTimeout(timer));
}
