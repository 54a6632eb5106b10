import { createPrivateKey, createPublicKey, createSecretKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { SignJWT } from 'jose';
import { algorithmOf, secretKey } from '../auth/jwt.ts';
import { ConfigError } from '../config/error.ts';

/** The flags of `pumphouse token`. */
export interface TokenOptions {
  readonly expires: string;
  readonly room?: readonly string[];
  readonly jwtSecret?: string;
  readonly key?: string;
  readonly issuer?: string;
  readonly audience?: string;
}

/** Returns a token of a user. @throws ConfigError with one line for an invalid flag or key. */
export async function tokenFor(
  user: string,
  { expires, room, issuer, audience, ...given }: TokenOptions,
): Promise<string> {
  if (!/^[1-9]\d{0,8}[smhd]$/.test(expires)) throw new ConfigError(`--expires: "${expires}" is not a time such as 1h`);
  const { key, algorithm } = signingKey(given);
  const token = new SignJWT(room ? { rooms: room.map((name) => ({ name })) } : {})
    .setProtectedHeader({ alg: algorithm })
    .setSubject(user)
    .setIssuedAt()
    .setExpirationTime(expires);
  if (issuer !== undefined) token.setIssuer(issuer);
  if (audience !== undefined) token.setAudience(audience);
  return token.sign(key);
}

function signingKey({
  jwtSecret = process.env['PUMPHOUSE_JWT_SECRET'],
  key: path,
}: Pick<TokenOptions, 'jwtSecret' | 'key'>) {
  if (path !== undefined) return privateKey(path);
  if (jwtSecret === undefined) throw new ConfigError('set one of --jwt-secret and --key to sign the token');
  try {
    secretKey(jwtSecret);
  } catch (error) {
    throw new ConfigError(`--jwt-secret: ${(error as Error).message}`);
  }
  return { key: createSecretKey(Buffer.from(jwtSecret)), algorithm: 'HS256' };
}

function privateKey(path: string): { key: KeyObject; algorithm: string } {
  let key: KeyObject;
  try {
    key = createPrivateKey(readFileSync(path, 'utf8'));
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? 'not a private key in PEM';
    throw new ConfigError(`--key: ${path} cannot be used (${why})`);
  }
  const algorithm = algorithmOf(createPublicKey(key));
  if (algorithm === undefined) throw new ConfigError(`--key: ${path} is not a key for RS256, ES256 or EdDSA`);
  return { key, algorithm };
}
