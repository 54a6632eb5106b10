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

/** The numbers of open connections, by which a limiter decides. */
export interface ConnectionCounts {
  /** In total. */
  readonly all: number;
  /** Returns those of an address, or of the network that `addressKey` returns for it. */
  of(key: string): number;
  add(key: string): void;
  remove(key: string): void;
}

/** Counts the connections of one thread. */
export class LocalConnections implements ConnectionCounts {
  readonly #byKey = new Map<string, number>();
  #all = 0;

  get all(): number {
    return this.#all;
  }

  of(key: string): number {
    return this.#byKey.get(key) ?? 0;
  }

  add(key: string): void {
    this.#all++;
    this.#byKey.set(key, (this.#byKey.get(key) ?? 0) + 1);
  }

  remove(key: string): void {
    const count = (this.#byKey.get(key) ?? 1) - 1;
    this.#all--;
    if (count > 0) this.#byKey.set(key, count);
    else this.#byKey.delete(key);
  }
}

/**
 * Counts open connections, and rejects those past a limit: in total, or from one address.
 *
 * A handshake is checked when it begins, and counted when its connection is open. The connections
 * can exceed a limit by the number of handshakes in progress, in all threads. A handshake that
 * reserved its place would have to give it back on every way out, and a transport does not report
 * that a client has left before its connection was open: that place would be lost for ever.
 */
export class ConnectionLimiter {
  readonly #limits: ConnectionLimits;
  readonly #counts: ConnectionCounts;

  /** @param counts the connections. @default those of this limiter alone */
  constructor(limits: ConnectionLimits, counts: ConnectionCounts = new LocalConnections()) {
    this.#limits = limits;
    this.#counts = counts;
  }

  /**
   * Checks whether one more connection is allowed.
   *
   * @param address undefined for a client without a limit of its address.
   *
   * @returns the refusal, or undefined.
   */
  check(address: string | undefined): Refusal | undefined {
    const { all } = this.#limits;
    if (this.#counts.all >= all) {
      const message = `all ${all} connections are taken: raise --max-connections`;
      const response = plainText(503, 'Too many connections', { 'Retry-After': '10' });
      return limitRefusal('max_connections', message, response, jitter(10_000));
    }
    if (address === undefined) return undefined;
    const { perAddress = isLoopback(address) ? all : DEFAULT_PER_ADDRESS } = this.#limits;
    if (this.#counts.of(addressKey(address)) < perAddress) return undefined;
    const message = `its address has ${perAddress} connections: raise --connections-per-address, or name a proxy with --trust-proxy`;
    return limitRefusal('connections_per_address', message, tooManyRequests(), jitter(1_000));
  }

  add(address: string): void {
    this.#counts.add(addressKey(address));
  }

  remove(address: string): void {
    this.#counts.remove(addressKey(address));
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
