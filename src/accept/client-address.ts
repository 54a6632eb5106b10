import { BlockList, isIP } from 'node:net';
import type { HttpRequest } from '../transport/transport.ts';

/**
 * Finds the client's address behind proxies that are trusted: the last one in X-Forwarded-For that is none of theirs. Whoever else
 * sends that header is not believed.
 *
 * @param proxies their addresses or networks.
 */
export function clientAddress(proxies: readonly string[]): (request: HttpRequest) => string {
  if (proxies.length === 0) return ({ remoteAddress }) => remoteAddress;
  const trusted = new BlockList();
  for (const proxy of proxies) {
    const [address = '', bits] = proxy.split('/');
    const family = familyOf(address);
    if (bits === undefined) trusted.addAddress(address, family);
    else trusted.addSubnet(address, Number(bits), family);
  }
  const isProxy = (address: string) => isIP(address) > 0 && trusted.check(address, familyOf(address));
  return (request) => {
    const { remoteAddress } = request;
    if (!isProxy(remoteAddress)) return remoteAddress;
    const named = request
      .header('x-forwarded-for')
      .split(',')
      .map((address) => address.trim());
    const client = named.findLast((address) => !isProxy(address));
    return client !== undefined && isIP(client) > 0 ? client : remoteAddress;
  };
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4';
}
