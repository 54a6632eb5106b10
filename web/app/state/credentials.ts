import { forgetAll } from './archive.ts';

/** A credential for the next connection, and the name of its user. */
export interface Credential {
  readonly name: string;
  readonly credential: string;
}

/** Shown until the server reports the user of a token that does not name it. */
const PLACEHOLDER = 'you';

/**
 * Obtains a credential.
 *
 * @param secret a password, or a token.
 * @throws Error with a message for the user, or TypeError if the server cannot be reached.
 */
export async function obtain(required: 'password' | 'token', name: string, secret: string): Promise<Credential> {
  await forgetAll(); // the messages of another user
  if (required === 'token') return { name: userOf(secret), credential: secret.trim() };
  const body = JSON.stringify({ username: name, password: secret });
  const response = await fetch('login', { method: 'POST', body });
  if (!response.ok) throw new Error(rejectionText(response.status, response.headers.get('Retry-After')));
  return { name, credential: (await response.json()).otp };
}

/**
 * Returns the user in the claim `sub` of a token. The client library keeps unsent
 * messages and changes under this name: those of one user must not be sent as another's.
 */
function userOf(token: string): string {
  try {
    const base64 = token.split('.')[1]?.replaceAll('-', '+').replaceAll('_', '/') ?? '';
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    const { sub } = JSON.parse(new TextDecoder().decode(bytes));
    return typeof sub === 'string' && sub !== '' && new TextEncoder().encode(sub).length <= MAX_USER_BYTES
      ? sub
      : PLACEHOLDER;
  } catch {
    return PLACEHOLDER;
  }
}

/** The maximum length of a user name. */
const MAX_USER_BYTES = 64;

/** @param retryAfter the header of the response: a number of seconds. */
function rejectionText(status: number, retryAfter: string | null): string {
  if (status === 401) return 'Incorrect username or password.';
  const reason = status === 429 ? 'Too many attempts to sign in.' : 'Sign-in is unavailable.';
  const seconds = Number(retryAfter ?? Number.NaN);
  return `${reason} Try again in ${seconds > 0 ? `${seconds} ${seconds === 1 ? 'second' : 'seconds'}` : 'a minute'}.`;
}
