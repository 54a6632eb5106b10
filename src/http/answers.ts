import type { HttpResponse } from '../transport/port.ts';

/** A line of text, as Go's `http.Error` writes it. */
export function plainText(status: number, line: string, headers: Record<string, string> = {}): HttpResponse {
  const type = { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' };
  return { status, headers: { ...type, ...headers }, body: `${line}\n` };
}
