import type { HttpRequest } from '../transport/transport.ts';
import type { Grant } from './grants.ts';

/** What a request brings to show who it is from. */
export interface Credentials {
  /** A ticket from `/login`; undefined where none was named. */
  readonly ticket: string | undefined;
  /** A token: of the Authorization header, the query, or the list of subprotocols. */
  readonly token: string | undefined;
  /** User name and password (HTTP Basic). */
  readonly basic: readonly [string, string] | undefined;
  readonly address: string;
}

/** Who someone is found to be. */
export interface Principal {
  /** Undefined for a guest. */
  readonly user?: string;
  /** Undefined: everything. */
  readonly grants?: readonly Grant[];
  /** In milliseconds since 1970: until then this is true. */
  readonly expires?: number;
  /** Spends what was shown, at the very end. @returns false when it was spent meanwhile. */
  confirm?(): boolean;
}

/** Why someone is not let in. `nobody` has shown nothing; `false` has shown what is wrong; `limited` tries too often. */
export type Unknown = 'nobody' | 'false' | 'limited';

/** What someone must have to come in. */
export type Asks = 'nothing' | 'password' | 'token';

/** Who is asked who someone is. */
export interface Authenticator {
  identify(shown: Credentials): Principal | Unknown | Promise<Principal | Unknown>;
  /** Gives a ticket for user name and password. */
  signIn(username: string, password: string, address: string): Promise<{ readonly otp: string } | Unknown>;
  /** Whether a session that was begun by this user may go on without being shown anything again. */
  resumes(user: string): Promise<boolean>;
  /**
   * Which clients of the native protocol may connect first and show who they are then. A browser cannot tell a handshake that was
   * refused from a line that is down.
   */
  readonly later: 'all' | 'browsers' | 'none';
  /** What it asks of people. */
  readonly asks: Asks;
}

/** By which subprotocol a browser brings a token, since it can send no header. */
const BEARER = 'bearer.';

/** Reads what a request brings, while it is valid. @param address where it comes from. */
export function credentialsOf(request: HttpRequest, address: string): Credentials {
  const query = new URLSearchParams(request.query);
  const [, scheme = '', value = ''] = /^(\S+) +(\S+)$/.exec(request.header('authorization')) ?? [];
  const bearer = scheme.toLowerCase() === 'bearer' ? value : undefined;
  return {
    ticket: query.get('otp') ?? undefined,
    token: bearer ?? query.get('token') ?? bearerProtocol(request)?.slice(BEARER.length),
    basic: scheme.toLowerCase() === 'basic' ? basicOf(value) : undefined,
    address,
  };
}

/** The subprotocol that carries a token, which a browser expects to be chosen. */
export function bearerProtocol(request: HttpRequest): string | undefined {
  const offered = request.header('sec-websocket-protocol').split(',');
  return offered.map((name) => name.trim()).find((name) => name.startsWith(BEARER));
}

function basicOf(encoded: string): [string, string] | undefined {
  const text = Buffer.from(encoded, 'base64').toString();
  const colon = text.indexOf(':');
  return colon < 0 ? undefined : [text.slice(0, colon), text.slice(colon + 1)];
}
