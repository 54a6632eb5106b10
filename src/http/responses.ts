import type { AuthenticationFailure } from '../auth/authenticator.ts';
import type { HttpResponse } from '../transport/transport.ts';

/**
 * 429 if throttled, 503 if the store cannot be reached, else 401, without a reason: it could tell
 * which users exist.
 */
export function authenticationFailed({ kind }: AuthenticationFailure): HttpResponse {
  if (kind === 'unavailable') return unavailable(1);
  return kind === 'throttled' ? tooManyRequests() : unauthorized();
}

/** @param retryAfter seconds. */
export function unavailable(retryAfter: number): HttpResponse {
  return plainText(503, 'Try again later', { 'Retry-After': `${retryAfter}` });
}

export function unauthorized(): HttpResponse {
  return { status: 401, headers: {}, body: '' };
}

export function tooManyRequests(): HttpResponse {
  return plainText(429, 'Too Many Requests', { 'Retry-After': '1' });
}

/** The response to a body over the limit. Ends the connection instead of reading the rest. */
export function bodyTooLarge(): HttpResponse {
  return plainText(413, 'Request Entity Too Large', { Connection: 'close' });
}

/** JSON that no cache may store. */
export function json(value: object): HttpResponse {
  return jsonText(JSON.stringify(value));
}

/** JSON that is written already, and that no cache may store. */
export function jsonText(body: string): HttpResponse {
  return { status: 200, headers: { 'content-type': 'application/json', 'cache-control': 'no-store' }, body };
}

/** A line of text, as Go's `http.Error` writes it. */
export function plainText(status: number, line: string, headers: Record<string, string> = {}): HttpResponse {
  const type = { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' };
  return { status, headers: { ...type, ...headers }, body: `${line}\n` };
}
