import { allowsRoom, type KeyCheck } from '../auth/keys.ts';
import type { HttpRequest, HttpResponse } from '../transport/transport.ts';
import { readBody } from './body.ts';
import { withDeadline } from './deadline.ts';
import { type Found, Paths } from './paths.ts';
import { problem, roomForbidden } from './problem.ts';
import { readQuery } from './query.ts';
import type { AnyRoute, ApiKey } from './route.ts';

/** The path below which the API is served. */
export const API_PATH = '/api/v1';

export const OPENAPI_PATH = `${API_PATH}/openapi.json`;

// Longer than any route waits by itself.
const HANDLER_MS = 40_000;

const LATE = problem(503, 'unavailable', 'The request could not be answered in time.');

export interface RouterOptions {
  readonly routes: readonly AnyRoute[];
  /** Checks the header `Authorization` of a request. */
  readonly checkKey: (authorization: string) => KeyCheck;
  /** Counts a rejected key. @returns false when the address has sent too many. */
  readonly takeFailure: (address: string) => boolean;
  readonly addressOf: (request: HttpRequest) => string;
  /** Reports whether the server is shutting down. */
  readonly draining: () => boolean;
  /** Returns the description of the API, which needs no key. */
  readonly openapi: () => HttpResponse;
  /** Reports a handler that threw. */
  readonly failed: (error: unknown) => void;
}

type Handler = (request: HttpRequest) => Promise<HttpResponse> | undefined;

/**
 * Returns the handler of the paths below `/api/v1/`, and undefined for others. It checks the key,
 * the path, the query and the body of a request, and answers what it rejects with a problem. Its
 * promise never rejects.
 */
export function createRouter(options: RouterOptions): Handler {
  const paths = new Paths(options.routes);
  return (request) => {
    if (!request.path.startsWith(`${API_PATH}/`)) return undefined;
    return answer(request, paths, options).catch((error: unknown) => {
      options.failed(error);
      return problem(503, 'unavailable', 'The request could not be processed.');
    });
  };
}

/** Reads the whole request before its first await: it is valid no longer. */
async function answer(request: HttpRequest, paths: Paths, options: RouterOptions): Promise<HttpResponse> {
  if (request.path === OPENAPI_PATH) return describe(request, options);
  const found = paths.find(request.path.slice(API_PATH.length));
  if (found.kind === 'rejected') return found.problem;
  const { method } = request;
  if (method === 'OPTIONS') return { status: 204, headers: { Allow: found.allow }, body: '' };
  const route = found.routes.get(method === 'HEAD' ? 'GET' : method);
  if (route === undefined) return methodNotAllowed(method, found.allow);
  const address = options.addressOf(request);
  const checked = authenticate(request, address, options);
  if (checked.kind === 'rejected') return checked.problem;
  const forbidden = authorize(checked.key, route, found.params);
  if (forbidden) return forbidden;
  if (options.draining()) return problem(503, 'draining', 'The server is shutting down.');
  const query = readQuery(request.query, route);
  if (query.kind === 'rejected') return query.problem;
  const body = await readBody(request, route);
  if (body.kind === 'rejected') return body.problem;
  const { params } = found;
  const call = { key: checked.key, params, query: query.query, filter: query.filter, body: body.body, address };
  return withDeadline(route.handle(call), HANDLER_MS, LATE);
}

function describe({ method }: HttpRequest, { openapi }: RouterOptions): HttpResponse {
  const allow = 'GET, HEAD, OPTIONS';
  if (method === 'GET' || method === 'HEAD') return openapi();
  return method === 'OPTIONS' ? { status: 204, headers: { Allow: allow }, body: '' } : methodNotAllowed(method, allow);
}

function methodNotAllowed(method: string, allow: string): HttpResponse {
  const detail = `The method ${JSON.stringify(method)} is not one of ${allow}.`;
  return problem(405, 'method-not-allowed', detail, {}, { Allow: allow });
}

type Checked =
  | { readonly kind: 'accepted'; readonly key: ApiKey }
  | { readonly kind: 'rejected'; readonly problem: HttpResponse };

/** A valid key always passes: only addresses that send wrong ones are held up. */
function authenticate(request: HttpRequest, address: string, { checkKey, takeFailure }: RouterOptions): Checked {
  const check = checkKey(request.header('authorization'));
  if (check.kind === 'valid') return { kind: 'accepted', key: check.key };
  return { kind: 'rejected', problem: unauthenticated(check.kind, address, takeFailure) };
}

function unauthenticated(
  kind: 'missing' | 'invalid' | 'unavailable',
  address: string,
  takeFailure: RouterOptions['takeFailure'],
): HttpResponse {
  if (kind === 'unavailable') return problem(503, 'unavailable', 'The keys file cannot be read.');
  const challenge = { 'WWW-Authenticate': kind === 'missing' ? 'Bearer' : 'Bearer error="invalid_token"' };
  if (kind === 'missing') {
    return problem(401, 'unauthorized', 'The request has no key: send Authorization: Bearer KEY.', {}, challenge);
  }
  if (takeFailure(address)) return problem(401, 'unauthorized', 'The key is not valid.', {}, challenge);
  return problem(429, 'too-many-requests', 'This address has sent too many keys that are not valid.');
}

function authorize(key: ApiKey, { scope }: AnyRoute, { room }: Found['params']): HttpResponse | undefined {
  if (!key.scopes.includes(scope)) {
    return problem(403, 'forbidden', `The key lacks the scope ${scope}.`, { scope });
  }
  if (room === undefined || allowsRoom(key, room)) return undefined;
  return roomForbidden(room);
}
