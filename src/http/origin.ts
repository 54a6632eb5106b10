import { allowsOrigin, type OriginPattern, parseOrigin, parseOriginPattern } from '../protocol/origin-pattern.ts';
import type { HttpRequest, HttpResponse } from '../transport/transport.ts';
import { plainText } from './responses.ts';

/**
 * Origins whose pages may connect, besides this host's own: `https://chat.example`, or
 * `https://*.chat.example` for all its subdomains. The list must not change.
 */
export type Origins = readonly string[];

/** The patterns of each list, which all listeners share. */
const parsed = new WeakMap<Origins, readonly OriginPattern[]>();

/**
 * Checks that a request comes from a program, or from a page of this host or an allowed origin.
 *
 * @returns the rejection, or undefined.
 */
export function checkOrigin(request: HttpRequest, origins: Origins): HttpResponse | undefined {
  const header = request.header('origin');
  if (header === '') return undefined;
  const origin = parseOrigin(header);
  if (origin === undefined) return forbidden();
  // A proxy with TLS in front makes the scheme unknown, so only host and port count.
  const own = parseOrigin(`${origin.scheme}://${request.header('host')}`);
  if (own?.host === origin.host && own.port === origin.port) return undefined;
  return parseOrigins(origins).some((pattern) => allowsOrigin(pattern, origin)) ? undefined : forbidden();
}

/** Parses a list once. Throws for a text that is not a pattern. */
export function parseOrigins(origins: Origins): readonly OriginPattern[] {
  let patterns = parsed.get(origins);
  if (patterns === undefined) {
    patterns = origins.map(patternOf);
    parsed.set(origins, patterns);
  }
  return patterns;
}

function patternOf(text: string): OriginPattern {
  const pattern = parseOriginPattern(text);
  if (pattern.kind === 'invalid') throw new Error(`the origin ${JSON.stringify(text)} ${pattern.reason}`);
  return pattern;
}

function forbidden(): HttpResponse {
  return plainText(403, 'Forbidden');
}
