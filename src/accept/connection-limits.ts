import { isIPv6 } from 'node:net';
import { plainText, tooMany } from '../http/responses.ts';
import type { HttpResponse } from '../transport/transport.ts';

/** How many may be connected. */
export interface ConnectionLimits {
  readonly all: number;
  /** Undefined: as many from this machine as there may be at all, `USUAL` from every other address. */
  readonly perAddress: number | undefined;
}

const USUAL = 1000;

/** Counts who is connected, and says when there are too many: in all, or from one address. */
export class ConnectionLimiter {
  readonly #limits: ConnectionLimits;
  readonly #byAddress = new Map<string, number>();
  #all = 0;

  constructor(limits: ConnectionLimits) {
    this.#limits = limits;
  }

  /** @returns the refusal, or undefined when one more may come. */
  refusal(address: string): HttpResponse | undefined {
    const { all, perAddress = isLoopback(address) ? all : USUAL } = this.#limits;
    if (this.#all >= all) return plainText(503, 'Too many connections', { 'Retry-After': '10' });
    return (this.#byAddress.get(addressKey(address)) ?? 0) >= perAddress ? tooMany() : undefined;
  }

  enter(address: string): void {
    const key = addressKey(address);
    this.#all++;
    this.#byAddress.set(key, (this.#byAddress.get(key) ?? 0) + 1);
  }

  leave(address: string): void {
    const key = addressKey(address);
    const left = (this.#byAddress.get(key) ?? 1) - 1;
    this.#all--;
    if (left > 0) this.#byAddress.set(key, left);
    else this.#byAddress.delete(key);
  }
}

/** What stands for one place: of IPv6 the network, since a host may have all addresses of it. */
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
