import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto';

// 32 MiB and three passes, as OWASP's password storage cheat sheet recommends for scrypt.
const COST = { N: 2 ** 15, r: 8, p: 3 };
const MEMORY = 64 * 1024 * 1024;
const BYTES = 32;

/** Hashes a password. The line also contains the salt and the cost. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16);
  const { N, r, p } = COST;
  const hash = await derive(password, salt, COST);
  return ['scrypt', N, r, p, salt.toString('base64url'), hash.toString('base64url')].join('$');
}

/**
 * Reports whether a password matches a line of `hashPassword`, compared in constant time. A missing
 * or invalid line matches no password, and takes as long, so that the duration does not tell which
 * users exist.
 */
export async function verifyPassword(password: string, line: string | undefined): Promise<boolean> {
  const [scheme, N, r, p, salt = '', hash = ''] = (line ?? '').split('$');
  const cost = { N: Number(N), r: Number(r), p: Number(p) };
  const usable = scheme === 'scrypt' && cost.N <= COST.N && cost.r <= COST.r && cost.p <= COST.p;
  const derived = await derive(password, Buffer.from(salt, 'base64url'), usable ? cost : COST).catch(() => undefined);
  const expected = Buffer.from(hash, 'base64url');
  return usable && derived !== undefined && expected.length === BYTES && timingSafeEqual(derived, expected);
}

function derive(password: string, salt: Buffer, cost: ScryptOptions): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password.normalize('NFKC'), salt, BYTES, { ...cost, maxmem: MEMORY }, (error, key) =>
      error ? reject(error) : resolve(key),
    );
  });
}
