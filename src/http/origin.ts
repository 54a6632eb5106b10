import type { HttpRequest, HttpResponse } from '../transport/transport.ts';
import { plainText } from './responses.ts';

/**
 * Origins whose pages may connect, besides this host's own: `https://chat.example`, or
 * `https://*.chat.example` for all its subdomains.
 */
export type Origins = readonly string[];

/**
 * Checks that a request comes from a program, or from a page of this host or an allowed origin.
 *
 * @returns the rejection, or undefined.
 */
export function checkOrigin(request: HttpRequest, origins: Origins): HttpResponse | undefined {
  return isSameOrigin(request) || isAllowed(request, origins) ? undefined : plainText(403, 'Forbidden');
}

function isSameOrigin(request: HttpRequest): boolean {
  const origin = request.header('origin');
  if (origin === '') return true;
  return URL.canParse(origin) && new URL(origin).host.toLowerCase() === hostOf(origin, request.header('host'));
}

/** A pattern has the form of an Origin header: scheme, host, and any port but the default. */
function isAllowed(request: HttpRequest, origins: Origins): boolean {
  const origin = request.header('origin').toLowerCase();
  return origins.some((pattern) => {
    const [scheme, below] = pattern.toLowerCase().split('://*');
    if (below === undefined) return origin === pattern.toLowerCase();
    return origin.startsWith(`${scheme}://`) && origin.endsWith(below) && origin.length > `${scheme}://${below}`.length;
  });
}

/**
 * Returns the Host header as the URL parser writes it, so that an explicit default port equals an
 * implied one.
 */
function hostOf(origin: string, host: string): string | undefined {
  const url = `${new URL(origin).protocol}//${host}`;
  return URL.canParse(url) ? new URL(url).host.toLowerCase() : undefined;
}
