import { createPublicKey, createSecretKey, type KeyObject } from 'node:crypto';
import { createLocalJWKSet, type JWTVerifyGetKey, jwtVerify } from 'jose';
import * as v from 'valibot';
import { USER_BYTES } from '../protocol/v1.ts';
import type { Authenticator, Principal } from './authenticator.ts';

/** What tokens are signed with: what a server knows of it, and which algorithm fits. */
export interface JwtKey {
  readonly key: KeyObject | JWTVerifyGetKey;
  readonly algorithms: readonly string[];
}

/** Who tokens must be from, and for whom; not asked where undefined. */
export interface JwtClaims {
  readonly issuer?: string | undefined;
  readonly audience?: string | undefined;
}

const claims = v.object({
  sub: v.pipe(v.string(), v.minBytes(1), v.maxBytes(USER_BYTES)),
  exp: v.number(),
  rooms: v.optional(
    v.pipe(
      v.array(v.object({ name: v.string(), join: v.optional(v.boolean()), send: v.optional(v.boolean()) })),
      v.maxLength(1000),
    ),
  ),
});

// Longer tokens are not even looked at.
const MOST = 8192;

/** Who has a token that is signed, in force and names a user (`sub`) may come in, until it expires (`exp`). */
export function jwtAuthenticator({ key, algorithms }: JwtKey, { issuer, audience }: JwtClaims = {}): Authenticator {
  const options = { algorithms: [...algorithms], ...(issuer && { issuer }), ...(audience && { audience }) };
  return {
    later: 'all',
    asks: 'token',
    resumes: async () => false,
    signIn: async () => 'false',
    identify({ token }) {
      if (token === undefined) return 'nobody';
      if (token.length > MOST) return 'false';
      const verified = typeof key === 'function' ? jwtVerify(token, key, options) : jwtVerify(token, key, options);
      return verified.then(({ payload }) => knownBy(payload)).catch((): 'false' => 'false');
    },
  };
}

function knownBy(payload: unknown): Principal {
  const { sub: user, exp, rooms: grants } = v.parse(claims, payload);
  const known = { user, expires: exp * 1000 };
  if (grants === undefined) return known;
  return { ...known, grants: grants.map(({ name, join = true, send = true }) => ({ name, join, send })) };
}

const SHORTEST_SECRET = 32;

/** @throws Error in one line for a secret that could be guessed. */
export function secretKey(secret: string): JwtKey {
  if (Buffer.byteLength(secret) < SHORTEST_SECRET) {
    throw new Error(`the secret for tokens has less than ${SHORTEST_SECRET} bytes`);
  }
  return { key: createSecretKey(Buffer.from(secret)), algorithms: ['HS256'] };
}

/** Reads a key file: a public key or certificate in PEM, or a JWKS in JSON. @throws Error in one line for anything else. */
export function keyFrom(text: string): JwtKey {
  if (text.trimStart().startsWith('{')) return keySetFrom(text);
  let key: KeyObject;
  try {
    key = createPublicKey(text);
  } catch {
    throw new Error('it holds no public key in PEM and no JWKS');
  }
  const algorithm = algorithmOf(key);
  if (algorithm === undefined) throw new Error('its key is none for RS256, ES256 or EdDSA');
  return { key, algorithms: [algorithm] };
}

/** Each key of the set has its own algorithm. */
function keySetFrom(text: string): JwtKey {
  try {
    return { key: createLocalJWKSet(JSON.parse(text)), algorithms: ['RS256', 'ES256', 'EdDSA', 'HS256'] };
  } catch {
    throw new Error('it is JSON, but no JWKS');
  }
}

/** The algorithm that this key signs with; undefined for a kind that is not used for tokens here. */
export function algorithmOf({ asymmetricKeyType: kind, asymmetricKeyDetails: details }: KeyObject): string | undefined {
  if (kind === 'rsa') return 'RS256';
  if (kind === 'ed25519') return 'EdDSA';
  return kind === 'ec' && details?.namedCurve === 'prime256v1' ? 'ES256' : undefined;
}
