import type { IncomingHttpHeaders } from 'node:http';

/** The proxy that answers, as far as its answers tell. */
export interface ProxyIdentity {
  /** `other` is a product that has no lines in the advice; `unknown` may be no proxy at all. */
  readonly kind: 'nginx' | 'caddy' | 'other' | 'unknown';
  /** Its name and perhaps its version, such as `nginx/1.22.1`; empty if unknown. */
  readonly product: string;
}

export const UNKNOWN_PROXY: ProxyIdentity = { kind: 'unknown', product: '' };

const ERROR_PAGE = /<center>(nginx[^<]{0,40}|openresty[^<]{0,40})<\/center>/i;

/**
 * Recognizes a proxy by the headers `Server` and `Via` of an answer, and by the body of an error
 * page. Pumphouse itself sends neither header.
 */
export function recognizeProxy(headers: IncomingHttpHeaders, body = ''): ProxyIdentity {
  const [server, via] = [String(headers['server'] ?? ''), headers['via'] ?? ''];
  const product = server || (/\bcaddy\b/i.exec(via)?.[0] ?? '') || (ERROR_PAGE.exec(body)?.[1] ?? '') || via;
  if (product === '') return UNKNOWN_PROXY;
  return { kind: kindOf(product), product: printable(product) };
}

function kindOf(product: string): ProxyIdentity['kind'] {
  if (/nginx|openresty|tengine/i.test(product)) return 'nginx';
  return /caddy/i.test(product) ? 'caddy' : 'other';
}

/** Text of the other side, safe to print in one line. */
export function printable(text: string, length = 100): string {
  const clean = text.replaceAll(/[\p{C}\s]+/gu, ' ').trim();
  return clean.length > length ? `${clean.slice(0, length)}…` : clean;
}
