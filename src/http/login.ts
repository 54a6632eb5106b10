import { isUtf8 } from 'node:buffer';
import type { HttpRequest, HttpResponse } from '../transport/port.ts';
import { plainText } from './answers.ts';

export const LOGIN_PATH = '/login';

const MOST = 4096;

/** Whether it is them: a ticket, or the refusal. */
export type SignIn = (username: string, password: string, address: string) => Promise<{ otp: string } | HttpResponse>;

/** Answers `{ username, password }` with a ticket for one handshake, `{ otp }`. */
export function createLogin(signIn: SignIn) {
  return async (request: HttpRequest): Promise<HttpResponse> => {
    const { remoteAddress } = request;
    const body = await request.body(MOST);
    if (body === undefined) return plainText(413, 'Request Entity Too Large', { Connection: 'close' });
    const { username, password } = credentialsIn(body) ?? {};
    if (typeof username !== 'string' || typeof password !== 'string') {
      return plainText(400, 'username and password are required, as JSON');
    }
    const signedIn = await signIn(username, password, remoteAddress);
    if ('status' in signedIn) return signedIn;
    const headers = { 'content-type': 'application/json', 'cache-control': 'no-store' };
    return { status: 200, headers, body: JSON.stringify(signedIn) };
  };
}

function credentialsIn(body: Uint8Array): { username?: unknown; password?: unknown } | undefined {
  try {
    return isUtf8(body) ? (JSON.parse(Buffer.from(body).toString()) ?? undefined) : undefined;
  } catch {
    return undefined;
  }
}
