import { ConfigError } from '../config/error.ts';

/** Where the admin listener is, and the key that it asks for. */
export interface AdminServer {
  readonly url: string;
  readonly key?: string | undefined;
}

/** The answer to a request that the listener has understood. */
export type AdminAnswer =
  | { readonly kind: 'found'; readonly value: unknown }
  /** `line` says what does not exist. */
  | { readonly kind: 'absent'; readonly line: string };

const TIMEOUT_MS = 10_000;

/**
 * Reads JSON from the admin listener.
 *
 * @throws ConfigError with one line unless it answers.
 */
export async function readAdmin({ url, key }: AdminServer, path: string): Promise<AdminAnswer> {
  if (!/^https?:$/.test(URL.canParse(url) ? new URL(url).protocol : '')) {
    throw new ConfigError(`--url: "${url}" is not a URL such as http://127.0.0.1:9090`);
  }
  let response: Response;
  let body: string;
  try {
    response = await fetch(new URL(path, url), {
      headers: key === undefined ? {} : { authorization: `Bearer ${key}` },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    body = await response.text();
  } catch (error) {
    const { cause, message, name } = error as Error & { cause?: NodeJS.ErrnoException };
    if (name === 'TimeoutError') throw new ConfigError(`${url} has not answered within ${TIMEOUT_MS / 1000} s`);
    throw new ConfigError(
      `${url} cannot be reached (${cause?.code ?? cause?.message ?? message}); is it the address of --admin-listen?`,
    );
  }
  const line = body.trim();
  const isJson = response.headers.get('content-type')?.startsWith('application/json') === true;
  if (response.ok && isJson) return { kind: 'found', value: JSON.parse(body) };
  // The public address, or another server, has no such path at all.
  if (response.status === 404 && !/^(not found)?$/i.test(line) && line.length < 200) return { kind: 'absent', line };
  throw new ConfigError(`${url}: ${refusalOf(response.status, line)}`);
}

function refusalOf(status: number, line: string): string {
  if (status === 401)
    return 'the key is missing or unknown; set --key or PUMPHOUSE_ADMIN_KEY to one with the scope admin';
  if (status === 404 || status < 300) return 'this is not an admin listener of this version; see --admin-listen';
  return line !== '' && line.length < 200 ? line.split('\n').join(' ') : `the server answers with ${status}`;
}
