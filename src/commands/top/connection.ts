import { ConfigError } from '../../config/error.ts';
import type { Snapshot } from '../../protocol/snapshot.ts';

/** A server cannot be watched now, but perhaps later. The message is one line for people. */
export class Disconnected extends Error {}

export interface ServerAddress {
  /** Without a path: `http://127.0.0.1:9090`. */
  readonly url: string;
  /** @default undefined: the listener is on a loopback address */
  readonly key: string | undefined;
}

// A server sends a snapshot each second.
const SILENCE_MS = 10_000;

/**
 * Returns the address of a listener. `localhost:9090` is short for its URL.
 *
 * @throws ConfigError for one that is not http or https.
 */
export function parseAddress(given: string): string {
  const url = given.includes('://') ? given : `http://${given}`;
  if (URL.canParse(url) && /^https?:\/\//.test(url)) return new URL(url).origin;
  throw new ConfigError(`"${given}" is not a URL such as http://127.0.0.1:9090`);
}

/** @throws ConfigError, and Disconnected if it makes sense to try again. */
export async function readSnapshot(address: ServerAddress): Promise<Snapshot> {
  const response = await request(address, '/admin/v1/snapshot', AbortSignal.timeout(SILENCE_MS), 'application/json');
  try {
    return (await response.json()) as Snapshot;
  } catch {
    throw notAdmin(address);
  }
}

/**
 * Reads the snapshots of a server as it sends them. Ends by an error only.
 *
 * @throws ConfigError, and Disconnected if it makes sense to try again.
 */
export async function* readSnapshots(address: ServerAddress): AsyncGenerator<Snapshot, never> {
  const abort = new AbortController();
  let silence = setTimeout(() => abort.abort(), SILENCE_MS);
  try {
    const response = await request(address, '/admin/v1/events', abort.signal, 'text/event-stream');
    const texts = (response.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream());
    let rest = '';
    for await (const text of texts) {
      clearTimeout(silence);
      silence = setTimeout(() => abort.abort(), SILENCE_MS);
      const events = (rest + text).split('\n\n');
      rest = events.pop() as string;
      for (const event of events) {
        const data = /^event: snapshot\ndata: (.*)$/.exec(event)?.[1];
        if (data !== undefined) yield JSON.parse(data) as Snapshot;
      }
    }
  } catch (error) {
    if (error instanceof ConfigError || error instanceof Disconnected) throw error;
    throw new Disconnected(`${address.url} does not send snapshots any more`);
  } finally {
    clearTimeout(silence);
    abort.abort();
  }
  throw new Disconnected(`${address.url} has closed the connection`);
}

async function request(address: ServerAddress, path: string, signal: AbortSignal, type: string): Promise<Response> {
  const { url, key } = address;
  let response: Response;
  try {
    const headers = { accept: type, ...(key !== undefined && { authorization: `Bearer ${key}` }) };
    response = await fetch(new URL(path, url), { headers, signal });
  } catch (error) {
    const { cause, message } = error as Error & { cause?: NodeJS.ErrnoException };
    const reason = cause?.code ?? cause?.message ?? message;
    const hint = reason === 'ECONNREFUSED' ? '; is the server started with --admin-listen?' : '';
    throw new Disconnected(`${url} cannot be reached (${reason})${hint}`);
  }
  const { status, headers } = response;
  if (status === 200 && headers.get('content-type')?.startsWith(type)) return response;
  const body = await response.text().catch(() => '');
  throw refusalOf(address, status, body);
}

function refusalOf(address: ServerAddress, status: number, body: string): Error {
  const { url, key } = address;
  if (status === 401) {
    return new ConfigError(
      key === undefined
        ? `${url} asks for a key: set --key or PUMPHOUSE_ADMIN_KEY to one with the scope admin`
        : `${url} does not accept the key`,
    );
  }
  const [line = ''] = body.split('\n');
  if (status === 403) return new ConfigError(`${url} refuses: ${line || 'not allowed'}`);
  if (status === 503) return new Disconnected(`${url} has too many viewers`);
  if (status >= 500) return new Disconnected(`${url} answers with ${status}`);
  return notAdmin(address);
}

function notAdmin({ url }: ServerAddress): ConfigError {
  return new ConfigError(`${url} is not the admin listener of a Pumphouse server: see --admin-listen`);
}
