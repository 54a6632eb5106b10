import { isUtf8 } from 'node:buffer';
import type { Authenticator } from '../auth/authenticator.ts';
import type { HttpRequest, HttpResponse } from '../transport/transport.ts';
import { fieldOf } from '../wire/wire.ts';
import { authenticationFailed, bodyTooLarge, json, plainText } from './responses.ts';

export const LOGIN_PATH = '/login';

const MAX_BODY_BYTES = 4096;

/**
 * Returns the handler of `/login`: it answers `{ username, password }` with a ticket for one
 * handshake, `{ otp }`.
 */
export function createLogin(authenticator: Authenticator, addressOf: (request: HttpRequest) => string) {
  return async (request: HttpRequest): Promise<HttpResponse> => {
    const address = addressOf(request);
    const body = await request.body(MAX_BODY_BYTES);
    if (body === undefined) return bodyTooLarge();
    const credentials = parseObject(body);
    const [username, password] = [fieldOf(credentials, 'username'), fieldOf(credentials, 'password')];
    if (typeof username !== 'string' || typeof password !== 'string') {
      return plainText(400, 'username and password are required, as JSON');
    }
    const signIn = await authenticator.signIn(username, password, address);
    return signIn.kind === 'signed-in' ? json({ otp: signIn.otp }) : authenticationFailed(signIn);
  };
}

/** Returns an object without fields for any other body. */
function parseObject(body: Uint8Array): object {
  try {
    const value: unknown = isUtf8(body) ? JSON.parse(Buffer.from(body).toString()) : undefined;
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}
