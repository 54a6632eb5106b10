import { isIPv6 } from 'node:net';
import { plainText, tooManyRequests } from '../http/responses.ts';
import { jitter, limitRefusal, type Refusal } from './refusal.ts';

/** Limits of open connections. */
export interface ConnectionLimits {
  /** In total. */
  readonly all: number;
  /** From one address. @default undefined: 1000, and no limit for loopback addresses */
  readonly perAddress: number | undefined;
}

const DEFAULT_PER_ADDRESS = 1000;

/** Counts open connections, and rejects those past a limit: in total, or from one address. */
export class ConnectionLimiter {
  readonly #limits: ConnectionLimits;
  readonly #byAddress = new Map<string, number>();
  #all = 0;

  constructor(limits: ConnectionLimits) {
    this.#limits = limits;
  }

  /** Checks whether one more connection is allowed. @returns the refusal, or undefined. */
  check(address: string): Refusal | undefined {
    const { all, perAddress = isLoopback(address) ? all : DEFAULT_PER_ADDRESS } = this.#limits;
    if (this.#all >= all) {
      const message = `all ${all} connections are taken: raise --max-connections`;
      const response = plainText(503, 'Too many connections', { 'Retry-After': '10' });
      return limitRefusal('max_connections', message, response, jitter(10_000));
    }
    if ((this.#byAddress.get(addressKey(address)) ?? 0) < perAddress) return undefined;
    const message = `its address has ${perAddress} connections: raise --connections-per-address, or name a proxy with --trust-proxy`;
    return limitRefusal('connections_per_address', message, tooManyRequests(), jitter(1_000));
  }

  add(address: string): void {
    const key = addressKey(address);
    this.#all++;
    this.#byAddress.set(key, (this.#byAddress.get(key) ?? 0) + 1);
  }

  remove(address: string): void {
    const key = addressKey(address);
    const count = (this.#byAddress.get(key) ?? 1) - 1;
    this.#all--;
    if (count > 0) this.#byAddress.set(key, count);
    else this.#byAddress.delete(key);
  }
}

/**
 * Returns the key that limits count by: an IPv4 address, or the /64 network of an IPv6 address,
 * since one host may have all addresses of its network.
 */
export function addressKey(address: string): string {
  if (!isIPv6(address)) return address;
  const { hostname } = new URL(`http://[${address.split('%')[0]}]`);
  const [before = '', after = ''] = hostname.slice(1, -1).split('::');
  const [head, tail] = [before.split(':').filter(Boolean), after.split(':').filter(Boolean)];
  const zeros = hostname.includes('::') ? Array(8 - head.length - tail.length).fill('0') : [];
  return `${[...head, ...zeros, ...tail].slice(0, 4).join(':')}::/64`;
}

export function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1';
}
