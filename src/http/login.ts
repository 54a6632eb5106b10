import { isUtf8 } from 'node:buffer';
import type { Authenticator } from '../auth/authenticator.ts';
import type { HttpRequest, HttpResponse } from '../transport/transport.ts';
import { json, plainText, tooMany, unauthorized } from './responses.ts';

export const LOGIN_PATH = '/login';

const MOST = 4096;

type SignIn = Authenticator['signIn'];

/** Answers `{ username, password }` with a ticket for one handshake, `{ otp }`. */
export function createLogin(signIn: SignIn, addressOf: (request: HttpRequest) => string) {
  return async (request: HttpRequest): Promise<HttpResponse> => {
    const address = addressOf(request);
    const body = await request.body(MOST);
    if (body === undefined) return plainText(413, 'Request Entity Too Large', { Connection: 'close' });
    const { username, password } = credentialsIn(body) ?? {};
    if (typeof username !== 'string' || typeof password !== 'string') {
      return plainText(400, 'username and password are required, as JSON');
    }
    const signedIn = await signIn(username, password, address);
    if (signedIn === 'limited') return tooMany();
    if (typeof signedIn === 'string') return unauthorized();
    return json(signedIn);
  };
}

function credentialsIn(body: Uint8Array): { username?: unknown; password?: unknown } | undefined {
  try {
    return isUtf8(body) ? (JSON.parse(Buffer.from(body).toString()) ?? undefined) : undefined;
  } catch {
    return undefined;
  }
}
