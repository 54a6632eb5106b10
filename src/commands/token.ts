import { createPrivateKey, createPublicKey, createSecretKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { SignJWT } from 'jose';
import { algorithmOf, secretKey } from '../auth/jwt.ts';
import { ConfigError } from '../config/error.ts';

interface Options {
  readonly expires: string;
  readonly room?: readonly string[];
  readonly jwtSecret?: string;
  readonly key?: string;
  readonly issuer?: string;
  readonly audience?: string;
}

/** `pumphouse token`: signs a token for trying out `--auth jwt`. */
export function addTokenCommand(program: Command): void {
  program
    .command('token <USER>')
    .description('Sign a token for trying out --auth jwt.')
    .allowExcessArguments(false)
    .option('--expires <TIME>', 'validity, such as 90s, 15m, 12h or 7d', '1h')
    .option('--room <NAME...>', 'rooms that the token allows; a trailing * matches any ending')
    .option('--jwt-secret <SECRET>', 'secret to sign with, HS256 (env PUMPHOUSE_JWT_SECRET)')
    .option('--key <FILE>', 'PEM file with the private key to sign with: RS256, ES256 or EdDSA')
    .option('--issuer <NAME>', 'issuer (iss)')
    .option('--audience <NAME>', 'audience (aud)')
    .action(async (user: string, options: Options) => console.log(await tokenFor(user, options)));
}

async function tokenFor(user: string, { expires, room, issuer, audience, ...given }: Options): Promise<string> {
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
}: Pick<Options, 'jwtSecret' | 'key'>) {
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
