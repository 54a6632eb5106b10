import { createPublicKey, createSecretKey, type KeyObject } from 'node:crypto';
import type { JSONWebKeySet, JWTVerifyOptions } from 'jose';
import * as v from 'valibot';
import type { RevocationStore } from '../hub/cluster.ts';
import { USER_BYTES } from '../protocol/v1.ts';
import {
  type Authentication,
  type AuthenticationFailure,
  type Authenticator,
  authenticated,
  INVALID,
  MISSING,
  type Principal,
  UNAVAILABLE,
} from './authenticator.ts';

/** A key that verifies tokens, and the algorithms that it may be used with. */
export interface JwtKey {
  readonly key: KeyObject | JSONWebKeySet;
  readonly algorithms: readonly string[];
}

/** Claims that a token must have. */
export interface RequiredClaims {
  /** Value of `iss`. @default undefined: any */
  readonly issuer?: string | undefined;
  /** Value of `aud`. @default undefined: any */
  readonly audience?: string | undefined;
}

const claims = v.object({
  sub: v.pipe(v.string(), v.minBytes(1), v.maxBytes(USER_BYTES)),
  exp: v.number(),
  iat: v.optional(v.number()),
  rooms: v.optional(
    v.pipe(
      v.array(v.object({ name: v.string(), join: v.optional(v.boolean()), send: v.optional(v.boolean()) })),
      v.maxLength(1000),
    ),
  ),
});

// Longest token in characters, so that a flood of huge ones costs no verification.
const MAX_TOKEN_LENGTH = 8192;

// For so long a token may have been issued just after a revocation in the same second: a later one
// is from before.
const FRESH_MS = 60_000;

const AMBIGUOUS: AuthenticationFailure = {
  kind: 'unavailable',
  message: 'its token was issued in the second in which older ones were revoked: a newer one is needed',
  newerTokenAfter: 1_000,
};

/**
 * Authenticates by tokens that are signed, in force, and have a user (`sub`) and an expiry (`exp`).
 *
 * @param revocations refuse the tokens of a user that were issued (`iat`) before a time.
 * @default no token is revoked
 */
export function jwtAuthenticator(
  { key, algorithms }: JwtKey,
  { issuer, audience }: RequiredClaims = {},
  revocations?: Pick<RevocationStore, 'find'>,
): Authenticator {
  const options = { algorithms: [...algorithms], ...(issuer && { issuer }), ...(audience && { audience }) };
  const verifier = verifierOf(key, options);
  const verify = async (token: string): Promise<Authentication> => {
    let principal: Verified;
    try {
      principal = principalOf(await (await verifier)(token));
    } catch {
      return INVALID;
    }
    if (revocations === undefined) return authenticated(principal);
    try {
      const [before = 0] = await revocations.find([principal.user]);
      return revocationOf(principal, before) ?? authenticated(principal);
    } catch {
      return UNAVAILABLE;
    }
  };
  return {
    lateAuthentication: 'all',
    requires: 'token',
    mayResume: async () => false,
    signIn: async () => INVALID,
    authenticate({ token }) {
      if (token === undefined) return MISSING;
      return token.length > MAX_TOKEN_LENGTH ? INVALID : verify(token);
    },
  };
}

/**
 * Returns a function that verifies a token, and returns its claims. The library is loaded only
 * where there are tokens: a tenth of all modules of a server belongs to it.
 */
async function verifierOf(key: JwtKey['key'], options: JWTVerifyOptions): Promise<(token: string) => Promise<unknown>> {
  const { createLocalJWKSet, jwtVerify } = await import('jose');
  if (!('keys' in key)) return async (token) => (await jwtVerify(token, key, options)).payload;
  const keySet = createLocalJWKSet(key);
  return async (token) => (await jwtVerify(token, keySet, options)).payload;
}

type Verified = Principal & Required<Pick<Principal, 'user' | 'issued'>>;

/** @throws ValiError for claims of the wrong shape. */
function principalOf(payload: unknown): Verified {
  const { sub: user, exp, iat = 0, rooms } = v.parse(claims, payload);
  const principal = { user, expires: exp * 1000, issued: Math.floor(iat * 1000) };
  if (rooms === undefined) return principal;
  return { ...principal, grants: rooms.map(({ name, join = true, send = true }) => ({ name, join, send })) };
}

/**
 * Returns why a token is refused. Times in tokens are whole seconds: whether one of the second of
 * the revocation is older cannot be told. It is refused, but its client may come back with a newer
 * one at once, as it should after it was closed.
 */
function revocationOf({ issued }: Verified, before: number): AuthenticationFailure | undefined {
  if (issued >= before) return undefined;
  const isSameSecond = issued > 0 && before < issued + 1000;
  return isSameSecond && Date.now() < issued + FRESH_MS ? AMBIGUOUS : INVALID;
}

const MIN_SECRET_BYTES = 32;

/** Returns the key of a shared secret (HS256). @throws Error for a secret of less than 32 bytes. */
export function secretKey(secret: string): JwtKey {
  if (Buffer.byteLength(secret) < MIN_SECRET_BYTES) {
    throw new Error(`the secret for tokens has less than ${MIN_SECRET_BYTES} bytes`);
  }
  return { key: createSecretKey(Buffer.from(secret)), algorithms: ['HS256'] };
}

/**
 * Parses a key file: a public key or certificate in PEM, or a JWKS in JSON.
 *
 * @throws Error with one line for anything else.
 */
export function parseKeyFile(text: string): JwtKey {
  if (text.trimStart().startsWith('{')) return parseKeySet(text);
  let key: KeyObject;
  try {
    key = createPublicKey(text);
  } catch {
    throw new Error('it contains no public key in PEM and no JWKS');
  }
  const algorithm = algorithmOf(key);
  if (algorithm === undefined) throw new Error('its key is not for RS256, ES256 or EdDSA');
  return { key, algorithms: [algorithm] };
}

const keySet = v.pipe(v.string(), v.parseJson(), v.object({ keys: v.array(v.looseObject({ kty: v.string() })) }));

/** The keys of a set name their algorithms themselves. */
function parseKeySet(text: string): JwtKey {
  const { success, output } = v.safeParse(keySet, text);
  if (!success) throw new Error('it contains JSON, but no JWKS');
  return { key: output, algorithms: ['RS256', 'ES256', 'EdDSA', 'HS256'] };
}

/** Returns the algorithm of a key, or undefined for an unsupported kind of key. */
export function algorithmOf({ asymmetricKeyType: kind, asymmetricKeyDetails: details }: KeyObject): string | undefined {
  if (kind === 'rsa') return 'RS256';
  if (kind === 'ed25519') return 'EdDSA';
  return kind === 'ec' && details?.namedCurve === 'prime256v1' ? 'ES256' : undefined;
}
