import { checkOrigin, type Origins } from '../http/origin.ts';
import { plainText } from '../http/responses.ts';
import type { HttpRequest, HttpResponse } from '../transport/transport.ts';
import { malformedRefusal, originRefusal, type Refusal } from './refusal.ts';

const VERSION = { 'Sec-Websocket-Version': '13' };

// Sixteen bytes in base64 (RFC 6455, 4.1).
const KEY = /^[A-Za-z0-9+/]{22}==$/;

/** Which Go library's rejection responses to imitate. */
type Library = 'gorilla' | 'coder';

/**
 * Checks a WebSocket handshake by the rules of gorilla/websocket and coder/websocket: GET, version
 * 13, a valid key, and an Origin that is absent, this host's own, or allowed.
 *
 * @returns the rejection in that library's words, or undefined.
 */
export function checkHandshake(request: HttpRequest, library: Library, origins?: Origins): HttpResponse | undefined {
  return refusalOf(request, library, origins)?.response;
}

/** Returns why `checkHandshake` rejects a handshake, or undefined for a valid one. */
export function refusalOf(request: HttpRequest, library: Library, origins: Origins = []): Refusal | undefined {
  const malformed = checkForm(request, library);
  if (malformed) return malformedRefusal(malformed);
  return checkOrigin(request, origins) && originRefusal(request.header('origin'), originNotAllowed(request, library));
}

function checkForm(request: HttpRequest, library: Library): HttpResponse | undefined {
  if (request.method !== 'GET') return plainText(405, 'Method Not Allowed', { Allow: 'GET' });
  if (!hasToken(request.header('connection'), 'upgrade')) return upgradeRequired(library);
  if (!hasToken(request.header('upgrade'), 'websocket')) return upgradeRequired(library);
  if (request.header('sec-websocket-version') !== '13') return plainText(400, 'Bad Request', VERSION);
  if (!KEY.test(request.header('sec-websocket-key'))) return plainText(400, 'Bad Request', VERSION);
  return undefined;
}

function upgradeRequired(library: Library): HttpResponse {
  if (library === 'gorilla') return plainText(400, 'Bad Request', VERSION);
  return plainText(426, 'a WebSocket handshake is expected here', { Connection: 'Upgrade', Upgrade: 'websocket' });
}

function originNotAllowed(request: HttpRequest, library: Library): HttpResponse {
  if (library === 'gorilla') return plainText(403, 'Forbidden');
  const [origin, host] = [request.header('origin'), request.header('host')];
  return plainText(403, `request Origin ${JSON.stringify(origin)} is not authorized for Host ${JSON.stringify(host)}`);
}

/** Reports whether a comma-separated header contains a token, in any case. */
function hasToken(header: string, token: string): boolean {
  return header.split(',').some((part) => part.trim().toLowerCase() === token);
}
