import type { HttpRequest, HttpResponse } from '../transport/transport.ts';
import { checkOrigin, type Origins } from './origin.ts';

// Every header that a client of the API or an EventSource may send. Names of headers are no secret.
const ALLOWED_HEADERS = 'authorization, content-type, last-event-id, pumphouse-session';

// Seconds that a browser may remember a preflight. Chromium caps it there.
const PREFLIGHT_MAX_AGE = 7200;

/**
 * Returns the headers that let a page read the response to a request, if its origin is this host's
 * own or allowed. Credentials are allowed, as a WebSocket handshake sends cookies too: the connect
 * hook may authenticate by them.
 *
 * Reads the request before it returns. A request without an Origin needs no headers.
 */
export function corsHeaders(request: HttpRequest, origins: Origins): Readonly<Record<string, string>> {
  const origin = request.header('origin');
  // A cache must not answer a page with the headers for another one.
  if (origin === '' || checkOrigin(request, origins)) return { vary: 'Origin' };
  return {
    vary: 'Origin',
    'access-control-allow-origin': origin,
    'access-control-allow-credentials': 'true',
    'access-control-expose-headers': 'Retry-After',
  };
}

/**
 * Answers a preflight: 204 with the methods and headers of the endpoint for an allowed origin, else
 * 403 without them.
 *
 * @param methods of the endpoint, such as `POST`.
 * @returns undefined for a request that is not OPTIONS.
 */
export function answerPreflight(request: HttpRequest, origins: Origins, methods: string): HttpResponse | undefined {
  if (request.method !== 'OPTIONS') return undefined;
  const rejection = checkOrigin(request, origins);
  if (rejection) return withHeaders(rejection, { vary: 'Origin' });
  const allowed = {
    'access-control-allow-methods': methods,
    'access-control-allow-headers': ALLOWED_HEADERS,
    'access-control-max-age': `${PREFLIGHT_MAX_AGE}`,
  };
  const isPage = request.header('origin') !== '';
  return {
    status: 204,
    headers: { allow: `OPTIONS, ${methods}`, ...corsHeaders(request, origins), ...(isPage && allowed) },
    body: '',
  };
}

/** Returns a response with more headers. */
export function withHeaders(response: HttpResponse, headers: Readonly<Record<string, string>>): HttpResponse {
  return { ...response, headers: { ...response.headers, ...headers } };
}
