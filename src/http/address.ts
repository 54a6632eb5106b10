import type { HttpRequest, HttpResponse } from '../transport/transport.ts';
import { json, plainText } from './responses.ts';

const ADDRESS_PATH = '/api/v1/address';

interface AddressOptions {
  /** Returns the client's address, which behind a proxy is not the connection's. */
  readonly addressOf: (request: HttpRequest) => string;
  /** Reports whether a connection from this address is a trusted proxy's. */
  readonly isTrustedProxy: (address: string) => boolean;
}

/**
 * Returns the handler of `/api/v1/address`, which returns undefined for other paths. It tells a
 * client the address that its limits count by, and what of its own request decided that. It has no
 * CORS headers: a page of another origin does not learn the address of its visitor.
 */
export function createAddress({ addressOf, isTrustedProxy }: AddressOptions) {
  return (request: HttpRequest): HttpResponse | undefined => {
    const { method, path, remoteAddress } = request;
    if (path !== ADDRESS_PATH) return undefined;
    if (method !== 'GET' && method !== 'HEAD') return plainText(405, 'Method not allowed', { Allow: 'GET, HEAD' });
    return json({
      address: addressOf(request),
      trustedProxy: isTrustedProxy(remoteAddress),
      forwarded: request.header('x-forwarded-for') !== '',
    });
  };
}
