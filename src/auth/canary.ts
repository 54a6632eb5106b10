import { createHmac, timingSafeEqual } from 'node:crypto';
import * as v from 'valibot';
import { isReservedRoom } from '../protocol/reserved-rooms.ts';
import { USER_BYTES } from '../protocol/v1.ts';
import { type Authenticator, authenticated, INVALID, MISSING } from './authenticator.ts';

/** The user and the room of a canary's client. */
export interface CanaryPass {
  readonly user: string;
  /** The one room that the client may use. */
  readonly room: string;
}

/** Starts the tokens of canaries, which tells them from those of other clients. */
const PREFIX = 'canary.';

// A token is made for a connection and renewed on it, so a longer life has no use.
const LIFETIME_MS = 10 * 60_000;

// A server compares times with its own clock; another node's may be that far behind.
const MAX_SKEW_MS = 60_000;

const MAX_LENGTH = 1_000;

const claims = v.object({
  user: v.pipe(v.string(), v.minBytes(1), v.maxBytes(USER_BYTES)),
  room: v.pipe(v.string(), v.check(isReservedRoom)),
  issued: v.number(),
});

/**
 * Derives the key of canaries' tokens from the secret that signs the sessions of all nodes. So a
 * canary may reach any node through a load balancer, and its token gives no access elsewhere.
 */
export function canaryKey(secret: Uint8Array): Buffer {
  return createHmac('sha256', secret).update('canary').digest();
}

/** Returns a token for one client of a canary, valid for ten minutes. */
export function canaryToken(key: Uint8Array, { user, room }: CanaryPass, date = Date.now()): string {
  const body = Buffer.from(JSON.stringify({ user, room, issued: date })).toString('base64url');
  return `${PREFIX}${body}.${signatureOf(key, body).toString('base64url')}`;
}

/** Reports whether the value of a header `Authorization` claims to be a canary's token. */
export function isCanary(authorization: string): boolean {
  return authorization.startsWith(`Bearer ${PREFIX}`);
}

/**
 * Authenticates canaries, and nobody else. Their grants are their one room.
 *
 * @param date returns the time in milliseconds since 1970.
 */
export function canaryAuthenticator(key: Uint8Array, date: () => number = Date.now): Authenticator {
  return {
    lateAuthentication: 'none',
    requires: 'token',
    mayResume: async () => false,
    signIn: async () => INVALID,
    authenticate({ token }) {
      if (token === undefined) return MISSING;
      const verified = verify(key, token, date());
      if (verified === undefined) return INVALID;
      const { user, room, issued } = verified;
      return authenticated({ user, grants: [{ name: room }], issued, expires: issued + LIFETIME_MS });
    },
  };
}

function verify(key: Uint8Array, token: string, now: number): v.InferOutput<typeof claims> | undefined {
  if (token.length > MAX_LENGTH || !token.startsWith(PREFIX)) return undefined;
  const [body = '', signature = '', ...more] = token.slice(PREFIX.length).split('.');
  const [ours, theirs] = [signatureOf(key, body), Buffer.from(signature, 'base64url')];
  if (more.length > 0 || ours.length !== theirs.length || !timingSafeEqual(ours, theirs)) return undefined;
  const parsed = v.safeParse(claims, JSON.parse(Buffer.from(body, 'base64url').toString()));
  if (!parsed.success) return undefined;
  const age = now - parsed.output.issued;
  return age < LIFETIME_MS && age > -MAX_SKEW_MS ? parsed.output : undefined;
}

function signatureOf(key: Uint8Array, body: string): Buffer {
  return createHmac('sha256', key).update(body).digest();
}
