import { BlockList, isIP } from 'node:net';
import type { HttpRequest } from '../transport/transport.ts';

/**
 * Returns a function that finds a request's client address: behind trusted proxies, the last
 * address in X-Forwarded-For that is not a proxy's. The header is ignored in requests that do not
 * come from a trusted proxy.
 *
 * @param proxies addresses or networks of the trusted proxies.
 */
export function clientAddress(proxies: readonly string[]): (request: HttpRequest) => string {
  if (proxies.length === 0) return ({ remoteAddress }) => remoteAddress;
  const isProxy = trustedProxies(proxies);
  return (request) => {
    const { remoteAddress } = request;
    if (!isProxy(remoteAddress)) return remoteAddress;
    const forwarded = request
      .header('x-forwarded-for')
      .split(',')
      .map((address) => address.trim());
    const client = forwarded.findLast((address) => !isProxy(address));
    return client !== undefined && isIP(client) > 0 ? client : remoteAddress;
  };
}

/**
 * Returns a function that reports whether an address is a trusted proxy's.
 *
 * @param proxies addresses or networks of the trusted proxies.
 */
export function trustedProxies(proxies: readonly string[]): (address: string) => boolean {
  const trusted = new BlockList();
  for (const proxy of proxies) {
    const [address = '', bits] = proxy.split('/');
    const family = familyOf(address);
    if (bits === undefined) trusted.addAddress(address, family);
    else trusted.addSubnet(address, Number(bits), family);
  }
  return (address) => isIP(address) > 0 && trusted.check(address, familyOf(address));
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4';
}
