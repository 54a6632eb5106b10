import { fileURLToPath } from 'node:url';
import type { KeyCheck } from '../auth/keys.ts';
import { builtPage } from '../http/built-page.ts';
import { notModified } from '../http/entity-tag.ts';
import { answerProbe, type ServerState } from '../http/probes.ts';
import { jsonText, plainText } from '../http/responses.ts';
import type { Application, HttpAnswer, HttpRequest, HttpResponse } from '../transport/transport.ts';
import { answerLives, type FindLives } from './lives.ts';
import { answerProfile, type Profiler } from './profile.ts';
import type { Snapshots } from './snapshots.ts';

export interface AdminOptions extends ServerState {
  /**
   * Checks the header `Authorization`, whose key needs the scope `admin`. Undefined on a loopback
   * address: only programs of this machine reach it.
   */
  readonly checkKey: ((authorization: string) => KeyCheck) | undefined;
  readonly metrics: { readonly contentType: string; text(): Promise<string> };
  readonly profiler: Profiler;
  readonly findLives: FindLives;
  readonly snapshots: Snapshots;
}

/** The folder of the built page. The path is the same from `src` and from `dist`. */
export const ADMIN_PAGE = fileURLToPath(new URL('../../dist/admin-page', import.meta.url));

const page = builtPage(ADMIN_PAGE);

const LOOPBACK_HOST = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/i;

/** Returns what the admin listener serves operators: its page, metrics, probes and diagnosis. */
export function createAdmin(options: AdminOptions): Application {
  return {
    handle: async (request) => rejection(request, options) ?? route(request, options),
    upgrade: () => plainText(404, 'Not found'),
  };
}

async function route(request: HttpRequest, options: AdminOptions): Promise<HttpAnswer> {
  const { method, path } = request;
  const isRead = method === 'GET' || method === 'HEAD';
  if (path === PROFILE_PATH) {
    return method === 'POST' ? answerProfile(request, options.profiler) : methodNotAllowed('POST');
  }
  const lives = answerLives(path, options.findLives);
  if (lives) return isRead ? lives() : methodNotAllowed('GET, HEAD');
  if (isPage(path)) return isRead ? answerPage(request) : methodNotAllowed('GET, HEAD');
  const probe = answerProbe(path, options);
  if (probe === undefined && !READ_PATHS.includes(path)) return plainText(404, 'Not found');
  if (!isRead) return methodNotAllowed('GET, HEAD');
  if (probe) return probe;
  if (path === SNAPSHOT_PATH) return jsonText(await options.snapshots.latest());
  if (path === EVENTS_PATH) return options.snapshots.watch(keepsAccess(request, options));
  const { contentType, text } = options.metrics;
  return { status: 200, headers: { 'content-type': contentType }, body: await text.call(options.metrics) };
}

const METRICS_PATH = '/metrics';
const PROFILE_PATH = '/admin/v1/profile';
const SNAPSHOT_PATH = '/admin/v1/snapshot';
const EVENTS_PATH = '/admin/v1/events';
const READ_PATHS: readonly string[] = [METRICS_PATH, SNAPSHOT_PATH, EVENTS_PATH];

/** Reports whether a path is the page or one of its files. They contain no data. */
function isPage(path: string): boolean {
  return path === '/' || path.startsWith('/assets/');
}

async function answerPage({ path, header }: HttpRequest): Promise<HttpResponse> {
  const ifNoneMatch = header('if-none-match');
  const file = await page(path, header('accept-encoding'));
  if (file) return notModified(file, ifNoneMatch);
  return plainText(404, path === '/' ? 'the page is missing; build it with npm run build:admin' : 'Not found');
}

/**
 * Returns the response to a request that is not allowed. The probes and the page need no key: the
 * page asks for it.
 */
function rejection(request: HttpRequest, { checkKey }: AdminOptions): HttpResponse | undefined {
  if (checkKey === undefined) return fromElsewhere(request);
  if (request.path === '/livez' || request.path === '/readyz' || isPage(request.path)) return undefined;
  const check = checkKey(request.header('authorization'));
  if (check.kind === 'unavailable') return plainText(503, 'the keys file cannot be read');
  if (check.kind !== 'valid') {
    return plainText(401, 'send Authorization: Bearer KEY', { 'WWW-Authenticate': 'Bearer' });
  }
  return check.key.scopes.includes('admin') ? undefined : plainText(403, 'the key lacks the scope admin');
}

/** Returns a function that reports whether the key of a stream is still valid. */
function keepsAccess(request: HttpRequest, { checkKey }: AdminOptions): () => boolean {
  const authorization = request.header('authorization');
  return () => {
    const check = checkKey?.(authorization);
    if (check === undefined || check.kind === 'unavailable') return true;
    return check.kind === 'valid' && check.key.scopes.includes('admin');
  };
}

/**
 * Rejects requests that a page of another site makes its visitor's browser send: without a key,
 * they look like the operator's own.
 */
function fromElsewhere(request: HttpRequest): HttpResponse | undefined {
  const [host, origin] = [request.header('host'), request.header('origin')];
  if (!LOOPBACK_HOST.test(host)) return plainText(403, 'the host must be a loopback address or localhost');
  if (origin === '' || origin === `http://${host}`) return undefined;
  return plainText(403, 'pages of other origins are not allowed');
}

function methodNotAllowed(allow: string): HttpResponse {
  return plainText(405, 'Method not allowed', { Allow: allow });
}
