import type { HttpRequest, HttpResponse } from '../transport/port.ts';
import { plainText } from './answers.ts';

const VERSION = { 'Sec-Websocket-Version': '13' };

// Sixteen bytes in base64 (RFC 6455, 4.1).
const KEY = /^[A-Za-z0-9+/]{22}==$/;

/** Pages of other hosts that may connect: `https://chat.example`, or `https://*.chat.example` for each host below. */
export type Origins = readonly string[];

/** Which of Go's WebSocket libraries answers: their clients know their answers. */
type Library = 'gorilla' | 'coder';

/**
 * Whether a WebSocket handshake may go on, by the rules of gorilla/websocket and of coder/websocket: GET, version 13, a proper
 * key, and an Origin that is this host's own, or absent, or allowed.
 *
 * @returns the refusal, as that library words it, or undefined when it may.
 */
export function checkHandshake(
  request: HttpRequest,
  library: Library,
  origins: Origins = [],
): HttpResponse | undefined {
  if (request.method !== 'GET') return plainText(405, 'Method Not Allowed', { Allow: 'GET' });
  if (!hasToken(request.header('connection'), 'upgrade')) return noHandshake(library);
  if (!hasToken(request.header('upgrade'), 'websocket')) return noHandshake(library);
  if (request.header('sec-websocket-version') !== '13') return plainText(400, 'Bad Request', VERSION);
  if (!KEY.test(request.header('sec-websocket-key'))) return plainText(400, 'Bad Request', VERSION);
  return checkOrigin(request, origins) && foreignOrigin(request, library);
}

/** Whether what a page sends may be taken: of this host's pages, and of those that are allowed. @returns the refusal, or undefined. */
export function checkOrigin(request: HttpRequest, origins: Origins): HttpResponse | undefined {
  return sameOrigin(request) || isAllowed(request, origins) ? undefined : plainText(403, 'Forbidden');
}

/** What a request without a handshake gets where one is expected. */
function noHandshake(library: Library): HttpResponse {
  if (library === 'gorilla') return plainText(400, 'Bad Request', VERSION);
  return plainText(426, 'a WebSocket handshake is expected here', { Connection: 'Upgrade', Upgrade: 'websocket' });
}

function foreignOrigin(request: HttpRequest, library: Library): HttpResponse {
  if (library === 'gorilla') return plainText(403, 'Forbidden');
  const [origin, host] = [request.header('origin'), request.header('host')];
  return plainText(403, `request Origin ${JSON.stringify(origin)} is not authorized for Host ${JSON.stringify(host)}`);
}

function hasToken(header: string, token: string): boolean {
  return header.split(',').some((part) => part.trim().toLowerCase() === token);
}

function sameOrigin(request: HttpRequest): boolean {
  const origin = request.header('origin');
  if (origin === '') return true;
  return URL.canParse(origin) && new URL(origin).host.toLowerCase() === hostOf(origin, request.header('host'));
}

/** Patterns are written as an Origin is: scheme, host, and the port unless it is the scheme's own. */
function isAllowed(request: HttpRequest, origins: Origins): boolean {
  const origin = request.header('origin').toLowerCase();
  return origins.some((pattern) => {
    const [scheme, below] = pattern.toLowerCase().split('://*');
    if (below === undefined) return origin === pattern.toLowerCase();
    return origin.startsWith(`${scheme}://`) && origin.endsWith(below) && origin.length > `${scheme}://${below}`.length;
  });
}

/** The Host header as the URL parser writes it, so that a default port named by one and not by the other is the same. */
function hostOf(origin: string, host: string): string | undefined {
  const url = `${new URL(origin).protocol}//${host}`;
  return URL.canParse(url) ? new URL(url).host.toLowerCase() : undefined;
}
