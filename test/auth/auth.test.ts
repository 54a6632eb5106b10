import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { exportJWK, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Authenticator, Credentials } from '../../src/auth/authenticator.ts';
import { allows } from '../../src/auth/grants.ts';
import { jwtAuthenticator, keyFrom, secretKey } from '../../src/auth/jwt.ts';
import { openAuthenticator } from '../../src/auth/open.ts';
import { type Attempts, otpAuthenticator } from '../../src/auth/otp.ts';
import { hashPassword, verifyPassword } from '../../src/auth/passwords.ts';
import { Tickets } from '../../src/auth/tickets.ts';
import { Users } from '../../src/auth/users.ts';

// An eighth of what a password's hash costs: many are computed here, and what is compared is the same.
vi.mock('node:crypto', async (original) => {
  const crypto = await original<typeof import('node:crypto')>();
  const scrypt = (...[password, salt, bytes, options, done]: Parameters<typeof crypto.scrypt>) =>
    crypto.scrypt(password, salt, bytes, { ...options, N: Math.max(2, (options.N ?? 2) / 8) }, done);
  return { ...crypto, scrypt };
});

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pumphouse-auth-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const nothing: Credentials = { ticket: undefined, token: undefined, basic: undefined, address: '192.0.2.1' };
const anyAttempt: Attempts = { take: () => true, giveBack: () => {} };

describe('a ticket', () => {
  test('is good for five seconds, for whoever confirms it first, once', () => {
    let now = 0;
    const tickets = new Tickets(() => now);
    const ticket = tickets.issue('ada');
    now = 4_999;
    const [one, two] = [tickets.known(ticket), tickets.known(ticket)];
    if (one === 'false' || two === 'false') throw new Error('it is good');
    expect([one.user, two.user]).toEqual(['ada', 'ada']);
    expect([one.confirm?.(), two.confirm?.()]).toEqual([true, false]);
    expect(tickets.known(ticket)).toBe('false');
    const late = tickets.issue('ada');
    now += 5_000;
    expect(tickets.known(late)).toBe('false');
    expect(tickets.known('no such')).toBe('false');
  });

  test('goes when ten thousand others are out', () => {
    const tickets = new Tickets(() => 0);
    const first = tickets.issue('ada');
    for (let i = 0; i < 10_000; i++) tickets.issue('eve');
    expect(tickets.known(first)).toBe('false');
  });
});

describe('a password', () => {
  test('is known by its hash, whatever it is made of, and no other is', async () => {
    const line = await hashPassword('pässwörd \u{1f600}');
    expect(line).toMatch(/^scrypt\$32768\$8\$3\$[\w-]{22}\$[\w-]{43}$/);
    expect(await verifyPassword('pässwörd \u{1f600}'.normalize('NFD'), line)).toBe(true);
    for (const other of ['', 'pässwörd', 'pässwörd \u{1f600} ']) expect(await verifyPassword(other, line)).toBe(false);
    expect(await hashPassword('same')).not.toBe(await hashPassword('same'));
  });

  test.each([undefined, '', 'x', 'scrypt$1$1$1$a$b', 'scrypt$1073741824$8$1$c2FsdA$aGFzaA', 'plain$$$$$'])(
    'the line %j matches none',
    async (line) => {
      expect(await verifyPassword('', line)).toBe(false);
    },
  );
});

describe('the users file', () => {
  test('keeps users and their hashes, for its owner’s eyes alone, and is read again when it changes', async () => {
    const path = join(folder, 'users.json');
    const [writer, reader] = [new Users(path), new Users(path)];
    expect(() => reader.names()).toThrow('cannot be read (ENOENT)');
    expect(await writer.set('ada', 'one')).toBe(true);
    expect(reader.names()).toEqual(['ada']);
    expect(await writer.set('bob', 'two')).toBe(true);
    expect(await writer.set('ada', 'three')).toBe(false);
    expect(reader.names()).toEqual(['ada', 'bob']);
    expect(await verifyPassword('three', reader.hashOf('ada'))).toBe(true);
    writer.remove('ada');
    expect(reader.hashOf('ada')).toBeUndefined();
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readFileSync(path, 'utf8')).not.toContain('two');
    expect(() => writer.remove('ada')).toThrow('there is no user "ada"');
    await expect(writer.set('', 'x')).rejects.toThrow('1 to 64 bytes');
    await expect(writer.set('x', '')).rejects.toThrow('not empty');
  });

  test.each(['', '{', '[]', '{}', '{"users":{"ada":1}}', '{"users":7}'])('%j is refused in one line', (text) => {
    const path = join(folder, 'bad.json');
    writeFileSync(path, text);
    expect(() => new Users(path).names()).toThrow(/^the users file .* cannot be read \(it is no users file\)$/);
  });
});

describe('sign-in with a password', () => {
  const authorityOf = async (attempts = anyAttempt) => {
    const users = new Users(join(folder, `${Math.random()}.json`));
    await users.set('ada', 'right');
    return otpAuthenticator(users, new Tickets(() => 0), attempts);
  };

  test('gives a ticket, and the same answer to a wrong name and a wrong password', async () => {
    const authority = await authorityOf();
    const signedIn = await authority.signIn('ada', 'right', '192.0.2.1');
    if (typeof signedIn === 'string') throw new Error('she is known');
    expect(await authority.identify({ ...nothing, ticket: signedIn.otp })).toMatchObject({ user: 'ada' });
    expect(await authority.signIn('ada', 'wrong', '192.0.2.1')).toBe('false');
    expect(await authority.signIn('eve', 'right', '192.0.2.1')).toBe('false');
    expect(await authority.identify(nothing)).toBe('nobody');
    expect(await authority.identify({ ...nothing, basic: ['ada', 'right'] })).toEqual({ user: 'ada' });
    expect(await authority.identify({ ...nothing, basic: ['ada', 'no'] })).toBe('false');
    expect([await authority.resumes('ada'), await authority.resumes('eve')]).toEqual([true, false]);
  });

  test('takes about as long for a name that is none as for a wrong password', async () => {
    const authority = await authorityOf();
    // The quickest of several: what else the machine does only adds.
    const least = { ada: Number.POSITIVE_INFINITY, nobody: Number.POSITIVE_INFINITY };
    for (let attempt = 0; attempt < 3; attempt++) {
      for (const name of ['ada', 'nobody'] as const) {
        const begun = performance.now();
        await authority.signIn(name, 'wrong', '192.0.2.1');
        least[name] = Math.min(least[name], performance.now() - begun);
      }
    }
    expect(least.nobody / least.ada).toBeGreaterThan(0.4);
  });

  test('does nothing where there are too many attempts, of an address or of a name', async () => {
    const asked: string[] = [];
    const back: string[] = [];
    const authority = await authorityOf({
      take: (address, name) => asked.push(address) < 3 && name !== 'bob',
      giveBack: (address, name) => back.push(`${address} ${name}`),
    });
    expect(await authority.signIn('ada', 'right', 'one')).toHaveProperty('otp');
    expect(await authority.signIn('bob', 'right', 'two')).toBe('limited');
    expect(await authority.signIn('ada', 'right', 'three')).toBe('limited');
    expect(asked).toEqual(['one', 'two', 'three']);
    expect(back).toEqual(['one ada']); // who is right has used none up
  });

  test('lets one after the other, some wait, and sends the rest away', async () => {
    let [running, most] = [0, 0];
    const slowly = async () => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, 1));
      running--;
      return false;
    };
    const users = new Users(join(folder, 'turns.json'));
    await users.set('ada', 'x');
    const authority = otpAuthenticator(users, new Tickets(() => 0), anyAttempt, slowly);
    const answers = await Promise.all(Array.from({ length: 40 }, () => authority.signIn('ada', 'x', 'a')));
    expect(answers.filter((answer) => answer === 'limited').length).toBe(7);
    expect(most).toBe(1);
  });
});

describe('a token', () => {
  const [rsa, ec, ed] = [
    generateKeyPairSync('rsa', { modulusLength: 2048 }),
    generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    generateKeyPairSync('ed25519'),
  ];
  const secret = 'a secret of at least thirty-two bytes';
  const soon = () => Math.floor(Date.now() / 1000) + 60;
  const sign = (
    alg: string,
    key: KeyObject | Uint8Array,
    claims: Record<string, unknown> = { sub: 'ada' },
    kid?: string,
  ) => new SignJWT({ exp: soon(), ...claims }).setProtectedHeader({ alg, ...(kid && { kid }) }).sign(key);
  const shown = (authority: Authenticator, token: string) => authority.identify({ ...nothing, token });
  const pem = (key: KeyObject) => String(key.export({ type: 'spki', format: 'pem' }));

  test.each([
    ['RS256', rsa],
    ['ES256', ec],
    ['EdDSA', ed],
  ])('%s is good with the public key of its key alone', async (alg, { publicKey, privateKey }) => {
    const authority = jwtAuthenticator(keyFrom(pem(publicKey)));
    expect(await shown(authority, await sign(alg, privateKey))).toMatchObject({ user: 'ada' });
    const strangers = { RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }), ES256: ec, EdDSA: ed };
    for (const [other, { privateKey: key }] of Object.entries(strangers)) {
      if (other !== alg || alg === 'RS256') expect(await shown(authority, await sign(other, key))).toBe('false');
    }
    // The public key is no secret: what is signed with it as one is worth nothing.
    expect(await shown(authority, await sign('HS256', Buffer.from(pem(publicKey))))).toBe('false');
  });

  test('HS256 is good with the secret alone, and none without a signature', async () => {
    const authority = jwtAuthenticator(secretKey(secret));
    expect(await shown(authority, await sign('HS256', Buffer.from(secret)))).toMatchObject({ user: 'ada' });
    expect(await shown(authority, await sign('HS256', Buffer.from(`${secret}!`)))).toBe('false');
    const [, body] = (await sign('HS256', Buffer.from(secret))).split('.');
    const none = Buffer.from('{"alg":"none"}').toString('base64url');
    expect(await shown(authority, `${none}.${body}.`)).toBe('false');
    expect(await authority.identify(nothing)).toBe('nobody');
  });

  test('a set of keys knows each by its id', async () => {
    const keys = await Promise.all(
      [rsa, ec, ed].map(async ({ publicKey }, i) => ({ ...(await exportJWK(publicKey)), kid: `${i}` })),
    );
    const authority = jwtAuthenticator(keyFrom(JSON.stringify({ keys })));
    expect(await shown(authority, await sign('RS256', rsa.privateKey, { sub: 'r' }, '0'))).toMatchObject({ user: 'r' });
    expect(await shown(authority, await sign('ES256', ec.privateKey, { sub: 'e' }, '1'))).toMatchObject({ user: 'e' });
    expect(await shown(authority, await sign('EdDSA', ed.privateKey, { sub: 'd' }, '2'))).toMatchObject({ user: 'd' });
    expect(await shown(authority, await sign('EdDSA', ed.privateKey, { sub: 'd' }, '0'))).toBe('false');
  });

  test.each<[string, Record<string, unknown>]>([
    ['no user', {}],
    ['a user that is none', { sub: '' }],
    ['a user of 65 bytes', { sub: 'é'.repeat(33) }],
    ['no end', { sub: 'ada', exp: undefined }],
    ['an end in the past', { sub: 'ada', exp: 1 }],
    ['a beginning in the future', { sub: 'ada', nbf: 9_999_999_999 }],
    ['rooms that are none', { sub: 'ada', rooms: [7] }],
    ['another issuer', { sub: 'ada', iss: 'eve', aud: 'chat' }],
    ['another audience', { sub: 'ada', iss: 'me', aud: 'other' }],
  ])('with %s is not good', async (_, claims) => {
    const named = 'iss' in claims ? { issuer: 'me', audience: 'chat' } : {};
    const authority = jwtAuthenticator(secretKey(secret), named);
    expect(await shown(authority, await sign('HS256', Buffer.from(secret), claims))).toBe('false');
    const good = await sign('HS256', Buffer.from(secret), { sub: 'ada', iss: 'me', aud: ['chat', 'more'] });
    expect(await shown(authority, good)).toMatchObject({ user: 'ada' });
  });

  test('no bytes make it throw', async () => {
    const authority = jwtAuthenticator(secretKey(secret));
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.string(), fc.base64String(), fc.string({ unit: 'binary' })), async (token) => {
        expect(await shown(authority, token)).toBe('false');
      }),
    );
  });

  test.each(['', 'x', '{', '{"keys":7}', '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n'])(
    'the key file %j is refused in one line',
    (text) => {
      expect(() => keyFrom(text)).toThrow(/^it /);
    },
  );

  test('a key of another kind, and a short secret, are refused', () => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'secp384r1' });
    expect(() => keyFrom(pem(publicKey))).toThrow('its key is none for RS256, ES256 or EdDSA');
    expect(() => secretKey('short')).toThrow('less than 32 bytes');
  });
});

test('grants allow what one of them allows', () => {
  const grants = [{ name: 'news', send: false }, { name: 'team-*' }, { name: 'drop', join: false }];
  const may = (action: 'join' | 'send', room: string) => allows(grants, action, room);
  expect([may('join', 'news'), may('send', 'news')]).toEqual([true, false]);
  expect([may('join', 'drop'), may('send', 'drop')]).toEqual([false, true]);
  expect([may('join', 'team-a'), may('send', 'team-'), may('join', 'team'), may('join', 'xteam-a')]).toEqual([
    true,
    true,
    false,
    false,
  ]);
  expect(allows([{ name: '*' }], 'send', 'any')).toBe(true);
  expect(allows([], 'join', 'any')).toBe(false);
});

test('where everyone may come in, a name is all that a ticket says', async () => {
  const authority = openAuthenticator(new Tickets(() => 0));
  expect(await authority.identify(nothing)).toEqual({});
  expect(await authority.identify({ ...nothing, ticket: 'false' })).toBe('false');
  const signedIn = await authority.signIn('ada', '', '');
  if (typeof signedIn === 'string') throw new Error('everyone may');
  expect(await authority.identify({ ...nothing, ticket: signedIn.otp })).toMatchObject({ user: 'ada' });
  expect(await authority.signIn('', 'x', '')).toBe('false');
  expect(await authority.signIn('x'.repeat(65), 'x', '')).toBe('false');
});
