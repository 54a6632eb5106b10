import { BlockList, isIP, isIPv4 } from 'node:net';

/** Networks of IPv4 that no public receiver is in. */
const PRIVATE_IPV4 = [
  '0.0.0.0/8', // this network
  '10.0.0.0/8', // private
  '100.64.0.0/10', // shared by carriers; also the metadata service of Alibaba Cloud
  '127.0.0.0/8', // loopback
  '168.63.129.16/32', // the host of Azure's virtual machines
  '169.254.0.0/16', // link-local; also the metadata services of most clouds
  '172.16.0.0/12', // private
  '192.0.0.0/24', // protocol assignments
  '192.0.2.0/24', // documentation
  '192.88.99.0/24', // relays of 6to4
  '192.168.0.0/16', // private
  '198.18.0.0/15', // benchmarks
  '198.51.100.0/24', // documentation
  '203.0.113.0/24', // documentation
  '224.0.0.0/4', // multicast
  '240.0.0.0/4', // reserved; broadcast
];

/** Networks of IPv6 that no public receiver is in. Those that hold an IPv4 address are below. */
const PRIVATE_IPV6 = [
  '::/96', // unspecified, loopback, and IPv4-compatible addresses
  '64:ff9b:1::/48', // local translation to IPv4
  '100::/64', // discarded
  '2001::/23', // protocol assignments; also Teredo, which tunnels to IPv4
  '2001:db8::/32', // documentation
  '2002::/16', // 6to4, which tunnels to IPv4
  '3fff::/20', // documentation
  '5f00::/16', // segment routing
  'fc00::/7', // unique local; also the metadata service of AWS
  'fe80::/10', // link-local
  'fec0::/10', // site-local
  'ff00::/8', // multicast
];

/** The prefixes of IPv6 whose last 32 bits are an IPv4 address: mapped, and translated by NAT64. */
const EMBEDDING = ['::ffff:', '64:ff9b::'];

const privateNetworks = listOf([...PRIVATE_IPV4, ...PRIVATE_IPV6]);

/** Which private addresses a webhook may be delivered to: all, none, or those of networks. */
export type AllowPrivate = boolean | readonly string[];

/** Reports whether an address is one that a webhook may connect to. */
export type AddressFilter = (address: string) => boolean;

/**
 * Returns a filter that allows every public address, and the private ones that `allowed` names.
 *
 * @param allowed networks such as `10.1.0.0/16`, or addresses.
 */
export function addressFilter(allowed: AllowPrivate): AddressFilter {
  if (allowed === true) return (address) => isIP(address) > 0;
  const networks = listOf(allowed === false ? [] : allowed);
  return (given) => {
    const address = canonical(given);
    if (address === undefined) return false;
    const family = isIPv4(address) ? 'ipv4' : 'ipv6';
    return networks.check(address, family) || !privateNetworks.check(address, family);
  };
}

/**
 * Returns the address that a connection reaches: the IPv4 address that an IPv6 address holds, else
 * the address itself without its zone. Undefined for other text.
 */
function canonical(given: string): string | undefined {
  const address = given.split('%', 1)[0] as string;
  if (isIP(address) === 0) return undefined;
  if (isIPv4(address)) return address;
  // URL writes an IPv6 address in its shortest form, with the last 32 bits in hexadecimal.
  const shortest = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const prefix = EMBEDDING.find((text) => shortest.startsWith(text));
  if (prefix === undefined) return shortest;
  const groups = shortest.slice(prefix.length).split(':');
  if (groups.length > 2) return shortest;
  const [high, low] = groups.length === 2 ? groups : ['0', ...groups];
  const bits = Number.parseInt(high || '0', 16) * 0x1_0000 + Number.parseInt(low || '0', 16);
  return [24, 16, 8, 0].map((shift) => Math.floor(bits / 2 ** shift) % 256).join('.');
}

function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', bits] = network.split('/');
    const family = isIPv4(address) ? 'ipv4' : 'ipv6';
    list.addSubnet(address, bits === undefined ? (family === 'ipv4' ? 32 : 128) : Number(bits), family);
  }
  return list;
}
