import { fileURLToPath } from 'node:url';
import { closes, comesBackRanges } from '../protocol/close-codes.ts';
import type { HttpRequest, HttpResponse } from '../transport/port.ts';
import { plainText } from './answers.ts';
import { badRequest } from './handshake.ts';
import { staticFiles } from './static.ts';

export const WS_PATH = '/ws';

/** What the routes need to know. */
export interface RouteOptions {
  /** The folder that is served; undefined for the built-in chat. */
  readonly web: string | undefined;
  readonly metrics: { readonly contentType: string; text(): Promise<string> };
  /** Whether the server is on its way out. */
  readonly draining: () => boolean;
}

const CHAT = fileURLToPath(new URL('../../web/app', import.meta.url));

// The built-in page needs nothing from elsewhere and no inline script; what is in a folder of yours may.
const CHAT_HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
};

/** Answers plain requests, as gorilla's chat does where it has an answer: the page at `/`, 404 elsewhere, 405 for other methods. */
export function createRoutes({ web, metrics, draining }: RouteOptions) {
  const files = web === undefined ? staticFiles(CHAT, CHAT_HEADERS) : staticFiles(web);
  const closeCodes = closeCodesModule();
  return async ({ method, path }: HttpRequest): Promise<HttpResponse> => {
    const readable = method === 'GET' || method === 'HEAD';
    if (path === '/healthz' && readable) return draining() ? plainText(503, 'draining') : plainText(200, 'ok');
    if (path === WS_PATH)
      return method === 'GET' ? badRequest() : plainText(405, 'Method Not Allowed', { Allow: 'GET' });
    if (path === '/metrics' && readable) {
      return { status: 200, headers: { 'content-type': metrics.contentType }, body: await metrics.text() };
    }
    if (path === '/close-codes.js' && web === undefined && method === 'GET') return closeCodes;
    const file = await files(path);
    if (!file) return plainText(404, 'Not found');
    return method === 'GET' ? file : plainText(405, 'Method not allowed', { Allow: 'GET' });
  };
}

/** The table of close codes as a module for the page, so that it quotes the same one. */
function closeCodesModule(): HttpResponse {
  const body = [
    `export const closes = ${JSON.stringify(closes)};`,
    `const ranges = ${JSON.stringify(comesBackRanges)};`,
    'export const comesBack = (code) => ranges.some(([from, to]) => code >= from && code <= to);',
  ];
  return {
    status: 200,
    headers: { 'content-type': 'text/javascript; charset=utf-8', 'cache-control': 'no-cache' },
    body: `${body.join('\n')}\n`,
  };
}
