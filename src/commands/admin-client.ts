import { ConfigError } from '../config/error.ts';

/** A server does not answer now, but perhaps later. */
export class Disconnected extends ConfigError {}

/** What was asked for does not exist. */
export class Absent extends ConfigError {}

/** An admin listener. */
export interface AdminServer {
  /** Without a path: `http://127.0.0.1:9090`. */
  readonly url: string;
  /** @default undefined: the listener is on a loopback address */
  readonly key: string | undefined;
}

export const DEFAULT_ADMIN_URL = 'http://127.0.0.1:9090';

const TIMEOUT_MS = 10_000;

// A longer answer is a page of another server.
const MAX_LINE = 200;

/**
 * Returns the listener at a URL, for which `localhost:9090` is short. Without a key it has that of
 * the environment.
 *
 * @throws ConfigError for a URL that is not http or https.
 */
export function adminServer(given: string, key = process.env['PUMPHOUSE_ADMIN_KEY']): AdminServer {
  const url = given.includes('://') ? given : `http://${given}`;
  if (URL.canParse(url) && /^https?:\/\//.test(url)) return { url: new URL(url).origin, key };
  throw new ConfigError(`"${given}" is not a URL such as ${DEFAULT_ADMIN_URL}`);
}

/** @throws Absent, Disconnected, or another ConfigError with one line. */
export async function readAdmin<T>(server: AdminServer, path: string): Promise<T> {
  const response = await requestAdmin(server, path, 'application/json', AbortSignal.timeout(TIMEOUT_MS));
  try {
    return (await response.json()) as T;
  } catch (error) {
    if (error instanceof SyntaxError) throw notAdmin(server);
    throw new Disconnected(`${server.url} has not sent all of its answer`);
  }
}

/**
 * Requests what has a media type. Resolves with the headers.
 *
 * @throws Absent, Disconnected, or another ConfigError with one line.
 */
export async function requestAdmin(
  server: AdminServer,
  path: string,
  type: string,
  signal: AbortSignal,
): Promise<Response> {
  const { url, key } = server;
  let response: Response;
  try {
    const headers = { accept: type, ...(key !== undefined && { authorization: `Bearer ${key}` }) };
    response = await fetch(new URL(path, url), { headers, signal });
  } catch (error) {
    const { cause, message, name } = error as Error & { cause?: NodeJS.ErrnoException };
    if (name === 'TimeoutError') throw new Disconnected(`${url} has not answered within ${TIMEOUT_MS / 1000} s`);
    const reason = cause?.code ?? cause?.message ?? message;
    const hint = reason === 'ECONNREFUSED' ? '; is the server started with --admin-listen?' : '';
    throw new Disconnected(`${url} cannot be reached (${reason})${hint}`);
  }
  if (response.ok && response.headers.get('content-type')?.startsWith(type)) return response;
  throw refusalOf(server, response.status, await response.text().catch(() => ''));
}

function refusalOf(server: AdminServer, status: number, body: string): ConfigError {
  const { url, key } = server;
  if (status === 401) {
    return new ConfigError(
      key === undefined
        ? `${url} asks for a key: set --key or PUMPHOUSE_ADMIN_KEY to one with the scope admin`
        : `${url} does not accept the key`,
    );
  }
  const [line = ''] = body.trim().split('\n');
  if (status === 403) return new ConfigError(`${url} refuses: ${line || 'not allowed'}`);
  if (status === 503) return new Disconnected(`${url} has too many viewers`);
  if (status >= 500) return new Disconnected(`${url} answers with ${status}`);
  // The public address, or another server, has no such path at all.
  if (status === 404 && !/^(not found)?$/i.test(line) && body.length < MAX_LINE) return new Absent(`${url}: ${line}`);
  return notAdmin(server);
}

function notAdmin({ url }: AdminServer): ConfigError {
  return new ConfigError(`${url} is not the admin listener of a Pumphouse server: see --admin-listen`);
}
