import { ATTEMPT_RATES } from '../hub/cluster.ts';
import type { NowOrLater } from '../protocol/now-or-later.ts';
import type { HttpRequest } from '../transport/transport.ts';
import type { Grant } from './grants.ts';

/** Seconds after which an address and a user have another attempt to sign in. */
export const ATTEMPT_RETRY_AFTER = Math.ceil(
  1 / Math.min(ATTEMPT_RATES.address.perSecond, ATTEMPT_RATES.user.perSecond),
);

/** The credentials of a request. */
export interface Credentials {
  /** A ticket from `/login`. */
  readonly ticket: string | undefined;
  /** A token from the Authorization header, the query, or the list of subprotocols. */
  readonly token: string | undefined;
  /** User name and password (HTTP Basic). */
  readonly basic: readonly [user: string, password: string] | undefined;
  /** The client's address, whose attempts are limited. */
  readonly address: string;
}

/** An authenticated client. */
export interface Principal {
  /** @default undefined: a guest */
  readonly user?: string;
  /** @default undefined: everything is allowed */
  readonly grants?: readonly Grant[];
  /** End of validity, in milliseconds since 1970. @default undefined: it does not expire */
  readonly expires?: number;
  /**
   * When the credential was issued, in milliseconds since 1970; 0 for a token that does not say.
   *
   * @default undefined: with this request
   */
  readonly issued?: number;
  /** Whether its credential is the secret of the session that it resumes. @default false */
  readonly resumed?: boolean;
  /**
   * Spends a one-time credential. Call it last. Rejects when the store of credentials cannot be
   * reached.
   *
   * @returns false if it is spent already.
   */
  confirm?(): NowOrLater<boolean>;
}

/**
 * Why an authentication failed: there are no credentials (`missing`), they are wrong (`invalid`),
 * there were too many attempts (`throttled`), or the store that decides cannot be reached
 * (`unavailable`).
 */
export interface AuthenticationFailure {
  readonly kind: 'missing' | 'invalid' | 'throttled' | 'unavailable';
  /** For the log. @default that of the kind */
  readonly message?: string;
  /** Milliseconds after which a newer token may be accepted, if no token of now can be. */
  readonly newerTokenAfter?: number;
}

/** The result of an authentication. */
export type Authentication = { readonly kind: 'authenticated'; readonly principal: Principal } | AuthenticationFailure;

/** The result of a sign-in with user name and password. `otp` is a ticket for one handshake. */
export type SignIn = { readonly kind: 'signed-in'; readonly otp: string } | AuthenticationFailure;

export const MISSING: AuthenticationFailure = { kind: 'missing' };
export const INVALID: AuthenticationFailure = { kind: 'invalid' };
export const THROTTLED: AuthenticationFailure = { kind: 'throttled' };
export const UNAVAILABLE: AuthenticationFailure = { kind: 'unavailable' };

export function authenticated(principal: Principal): Authentication {
  return { kind: 'authenticated', principal };
}

/** The credential that a client must have. */
export type RequiredCredential = 'nothing' | 'password' | 'token';

/** Authenticates requests. */
export interface Authenticator {
  authenticate(credentials: Credentials): NowOrLater<Authentication>;
  /** Issues a ticket for user name and password. */
  signIn(username: string, password: string, address: string): Promise<SignIn>;
  /** Reports whether a session of this user may resume without credentials. */
  mayResume(user: string): Promise<boolean>;
  /**
   * Which clients of the native protocol may connect without credentials and send a token as their
   * first message. A browser cannot tell a rejected handshake from a network failure, so its page
   * needs an open connection to learn why.
   */
  readonly lateAuthentication: 'all' | 'browsers' | 'none';
  readonly requires: RequiredCredential;
}

/** The subprotocol with which a browser sends a token, since it cannot set headers. */
const BEARER = 'bearer.';

/** Reads the credentials of a request. @param address the client's. */
export function credentialsOf(request: HttpRequest, address: string): Credentials {
  const query = new URLSearchParams(request.query);
  const [, scheme = '', value = ''] = /^(\S+) +(\S+)$/.exec(request.header('authorization')) ?? [];
  const bearer = scheme.toLowerCase() === 'bearer' ? value : undefined;
  return {
    ticket: query.get('otp') ?? undefined,
    token: bearer ?? query.get('token') ?? bearerProtocol(request)?.slice(BEARER.length),
    basic: scheme.toLowerCase() === 'basic' ? decodeBasic(value) : undefined,
    address,
  };
}

/** Returns the credentials of a client that sends a token. @param address the client's. */
export function tokenCredentials(token: string, address = ''): Credentials {
  return { token, ticket: undefined, basic: undefined, address };
}

/** Returns the offered subprotocol that carries a token. Browsers expect it to be selected. */
export function bearerProtocol(request: HttpRequest): string | undefined {
  const offered = request.header('sec-websocket-protocol').split(',');
  return offered.map((name) => name.trim()).find((name) => name.startsWith(BEARER));
}

function decodeBasic(encoded: string): [user: string, password: string] | undefined {
  const text = Buffer.from(encoded, 'base64').toString();
  const colon = text.indexOf(':');
  return colon < 0 ? undefined : [text.slice(0, colon), text.slice(colon + 1)];
}
