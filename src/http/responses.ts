import type { HttpResponse } from '../transport/transport.ts';

/** Whom the connect hook lets in, or why not. `user` is undefined where the client's own word counts. */
export type Admission = { readonly user: string | undefined } | { readonly status: 403 | 503; readonly why: string };

/** Who is not known here gets no word of why. */
export function unauthorized(): HttpResponse {
  return { status: 401, headers: {}, body: '' };
}

export function tooMany(): HttpResponse {
  return plainText(429, 'Too Many Requests', { 'Retry-After': '1' });
}

/** What nobody may keep. */
export function json(value: object): HttpResponse {
  const headers = { 'content-type': 'application/json', 'cache-control': 'no-store' };
  return { status: 200, headers, body: JSON.stringify(value) };
}

/** A line of text, as Go's `http.Error` writes it. */
export function plainText(status: number, line: string, headers: Record<string, string> = {}): HttpResponse {
  const type = { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' };
  return { status, headers: { ...type, ...headers }, body: `${line}\n` };
}
