import type { LookupAddress } from 'node:dns';
import type { IncomingHttpHeaders } from 'node:http';
import type { LookupFunction } from 'node:net';
import { type ProxyIdentity, recognizeProxy, UNKNOWN_PROXY } from './proxy.ts';
import type { Target } from './target.ts';

export interface WalkOptions {
  readonly target: Target;
  /** Sent as `Authorization: Bearer`, never printed. @default the clients are guests */
  readonly token?: string | undefined;
  /** The origin of the page that connects. @default that of the target */
  readonly origin?: string | undefined;
  /** A room to send in. */
  readonly room: string;
  /** Milliseconds that the idle connection is kept; 0 skips its check. */
  readonly idleMs: number;
  /** Milliseconds that each other check may take. */
  readonly timeoutMs: number;
  /** Go on where the certificate is invalid. */
  readonly insecure: boolean;
  /** Resolves a name. @default the system's resolver */
  readonly resolve?: ((hostname: string) => Promise<readonly LookupAddress[]>) | undefined;
  /** The port where pages without TLS are. @default 80, with a target at port 443 */
  readonly plainPort?: number | undefined;
}

/** What the server reports about the address of a request. */
export interface AddressReport {
  readonly address: string;
  readonly trustedProxy: boolean;
  readonly forwarded: boolean;
}

/** What the checks have found so far, and need of each other. */
export class Walk {
  readonly options: WalkOptions;
  /** The addresses of the name. */
  addresses: readonly LookupAddress[] = [];
  /** The first address that accepts connections. */
  reachable: LookupAddress | undefined;
  /** The addresses of both ends of a request, and the server's report of it. */
  report: (AddressReport & { readonly local: string; readonly remote: string }) | undefined;
  /** Whether pages of the own origin are accepted, so that the other checks connect as one. */
  acceptsOrigin = true;
  #proxy = UNKNOWN_PROXY;

  constructor(options: WalkOptions) {
    this.options = options;
  }

  get target(): Target {
    return this.options.target;
  }

  /** The origin of the page that connects. */
  get origin(): string {
    return this.options.origin ?? this.target.origin;
  }

  get proxy(): ProxyIdentity {
    return this.#proxy;
  }

  /** Looks for the name of the proxy in an answer. The first name that is found stays. */
  observe(headers: IncomingHttpHeaders, body = ''): void {
    if (this.#proxy.kind === 'unknown') this.#proxy = recognizeProxy(headers, body);
  }

  /** Resolves every name to the address that accepts connections. */
  readonly lookup: LookupFunction = (_, { all }, callback) => {
    const { reachable } = this;
    if (reachable === undefined) callback(new Error('no address accepts connections'), '');
    else if (all) callback(null, [reachable]);
    else callback(null, reachable.address, reachable.family);
  };

  /** Options of every connection to the target. */
  get connection(): { readonly lookup: LookupFunction; readonly rejectUnauthorized: boolean } {
    return { lookup: this.lookup, rejectUnauthorized: !this.options.insecure };
  }

  /** The headers that authenticate a request. */
  get authorization(): Readonly<Record<string, string>> {
    const { token } = this.options;
    return token === undefined ? {} : { authorization: `Bearer ${token}` };
  }
}
