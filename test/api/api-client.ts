import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SignJWT } from 'jose';
import { onTestFinished } from 'vitest';
import { Keys, type Scope } from '../../src/auth/keys.ts';
import { type Sent, send } from './http.ts';

export const JWT_SECRET = 'a secret of at least thirty-two bytes';

/** Returns a new folder, which is removed at the end of the test. */
export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'pumphouse-api-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Signs a token. @param issued seconds since 1970; null for a token without `iat`. */
export function tokenOf(user: string, issued: number | null = now(), claims: object = {}): Promise<string> {
  const token = new SignJWT({ ...claims }).setProtectedHeader({ alg: 'HS256' }).setSubject(user);
  if (issued !== null) token.setIssuedAt(issued);
  return token.setExpirationTime(now() + 600).sign(Buffer.from(JWT_SECRET));
}

/** Returns the time in whole seconds since 1970. */
export function now(): number {
  return Math.floor(Date.now() / 1000);
}

/** The keys file of a server, and requests with a key of it. */
export class ApiClient {
  readonly file: string;
  readonly #keys: Keys;
  #key: string;

  constructor(folder = newFolder()) {
    this.file = join(folder, 'keys.json');
    this.#keys = new Keys(this.file);
    this.#key = this.#keys.add({ name: 'test', scopes: ['publish', 'read', 'admin'] });
  }

  /** Uses a key with fewer permissions from now on. */
  limit(scopes: readonly Scope[], rooms?: readonly string[]): void {
    this.#key = this.#keys.add({ name: 'limited', scopes, ...(rooms && { rooms }) });
  }

  async get(url: string, path: string): Promise<{ status: number; body: unknown }> {
    return this.#send(`${url}/api/v1${path}`, {});
  }

  /** Sends a POST. @param body @default no body */
  async post(url: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }> {
    return this.#send(`${url}/api/v1${path}`, {
      method: 'POST',
      body: body === undefined ? body : JSON.stringify(body),
    });
  }

  async #send(url: string, sent: Sent): Promise<{ status: number; body: unknown }> {
    const headers = { authorization: `Bearer ${this.#key}`, 'content-type': 'application/json' };
    const response = await send(url, { ...sent, headers });
    return { status: response.status, body: JSON.parse(response.body) };
  }
}
