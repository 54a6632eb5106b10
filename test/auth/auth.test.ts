import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { exportJWK, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import {
  type Authentication,
  type Authenticator,
  type Credentials,
  INVALID,
  MISSING,
  type Principal,
  type SignIn,
  THROTTLED,
  UNAVAILABLE,
} from '../../src/auth/authenticator.ts';
import { allows } from '../../src/auth/grants.ts';
import { jwtAuthenticator, parseKeyFile, secretKey } from '../../src/auth/jwt.ts';
import { openAuthenticator } from '../../src/auth/open.ts';
import { otpAuthenticator } from '../../src/auth/otp.ts';
import { hashPassword, verifyPassword } from '../../src/auth/passwords.ts';
import { Tickets } from '../../src/auth/tickets.ts';
import { Users } from '../../src/auth/users.ts';
import type { AttemptStore, TicketStore } from '../../src/hub/cluster.ts';
import { LocalTickets } from '../../src/server/local-cluster.ts';

// An eighth of a password hash's cost: the tests compute many, and none depends on the cost.
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

const noCredentials: Credentials = { ticket: undefined, token: undefined, basic: undefined, address: '192.0.2.1' };
const unlimited: AttemptStore = { take: () => true, giveBack: () => {} };

/** Tickets in memory, as a server without other nodes has them. */
const localTickets = (now = () => 0) => new Tickets(new LocalTickets({ now }), 'test', now);

const down = () => Promise.reject(new Error('the store is down'));

const authenticatedAs = (user: string) => ({ kind: 'authenticated', principal: { user } });

function principalOf(authentication: Authentication): Principal {
  if (authentication.kind !== 'authenticated') throw new Error(`the credentials are ${authentication.kind}`);
  return authentication.principal;
}

function otpOf(signIn: SignIn): string {
  if (signIn.kind !== 'signed-in') throw new Error(`the sign-in is ${signIn.kind}`);
  return signIn.otp;
}

describe('a ticket', () => {
  test('is valid for five seconds, and for the first confirmation', async () => {
    let now = 0;
    const tickets = localTickets(() => now);
    const ticket = await tickets.issue('ada');
    now = 4_999;
    const authentications = [await tickets.authenticate(ticket), await tickets.authenticate(ticket)];
    const principals = authentications.map(principalOf);
    expect(principals.map(({ user }) => user)).toEqual(['ada', 'ada']);
    expect(principals.map(({ confirm }) => confirm?.())).toEqual([true, false]);
    expect(await tickets.authenticate(ticket)).toEqual(INVALID);
    const late = await tickets.issue('ada');
    now += 5_000;
    expect(await tickets.authenticate(late)).toEqual(INVALID);
    expect(await tickets.authenticate('unknown')).toEqual(INVALID);
  });

  test('is answered at once by a store in memory', () => {
    const tickets = localTickets();
    const ticket = tickets.issue('ada');
    expect(ticket).toEqual(expect.any(String));
    expect(tickets.authenticate(String(ticket))).toMatchObject(authenticatedAs('ada'));
  });

  test('expires when ten thousand newer ones are issued, however long the store would keep it', async () => {
    const spent: string[] = [];
    const store: TicketStore = { put: async () => {}, find: () => 'ada', spend: async (key) => spent.push(key) > 0 };
    const tickets = new Tickets(store, 'test', () => 0);
    const first = await tickets.issue('ada');
    for (let i = 0; i < 9_999; i++) await tickets.issue('eve');
    expect(spent).toEqual([]);
    await tickets.issue('eve');
    expect(spent).toEqual([`test ${first}`]);
    const local = localTickets();
    const oldest = await local.issue('ada');
    for (let i = 0; i < 10_000; i++) await local.issue('eve');
    expect(await local.authenticate(oldest)).toEqual(INVALID);
  });

  test('is invalid for another way to authenticate that shares the store', async () => {
    const store = new LocalTickets({ now: () => 0 });
    const [open, otp] = ['open', 'otp users.json'].map((scope) => new Tickets(store, scope, () => 0));
    const ticket = String(await open?.issue('admin'));
    expect(await otp?.authenticate(ticket)).toEqual(INVALID);
    expect(await open?.authenticate(ticket)).toMatchObject(authenticatedAs('admin'));
  });

  test('of another form never reaches the store', async () => {
    const find = vi.fn(() => 'ada');
    const tickets = new Tickets({ put: () => {}, find, spend: () => true }, 'test', () => 0);
    for (const text of ['', 'x', 'a'.repeat(10_000), `${await tickets.issue('ada')} `]) {
      expect(await tickets.authenticate(text)).toEqual(INVALID);
    }
    expect(find).not.toHaveBeenCalled();
  });

  test('is neither valid nor invalid while its store cannot be reached', async () => {
    const store: TicketStore = { put: async () => {}, find: async () => 'ada', spend: down };
    const tickets = new Tickets(store, 'test', () => 0);
    const ticket = await tickets.issue('ada');
    const { confirm } = principalOf(await tickets.authenticate(ticket));
    await expect(confirm?.()).rejects.toThrow('the store is down');
    store.find = down;
    expect(await tickets.authenticate(ticket)).toEqual(UNAVAILABLE);
    store.put = down;
    expect(await openAuthenticator(tickets).signIn('ada', '', '')).toEqual(UNAVAILABLE);
  });
});

describe('a password', () => {
  test('matches its hash in any Unicode form, and no other password does', async () => {
    const line = await hashPassword('pässwörd \u{1f600}');
    expect(line).toMatch(/^scrypt\$32768\$8\$3\$[\w-]{22}\$[\w-]{43}$/);
    expect(await verifyPassword('pässwörd \u{1f600}'.normalize('NFD'), line)).toBe(true);
    for (const other of ['', 'pässwörd', 'pässwörd \u{1f600} ']) expect(await verifyPassword(other, line)).toBe(false);
    expect(await hashPassword('same')).not.toBe(await hashPassword('same'));
  });

  test.each([undefined, '', 'x', 'scrypt$1$1$1$a$b', 'scrypt$1073741824$8$1$c2FsdA$aGFzaA', 'plain$$$$$'])(
    'does not match the line %j',
    async (line) => {
      expect(await verifyPassword('', line)).toBe(false);
    },
  );
});

describe('the users file', () => {
  test('stores users and hashes, readable by its owner only, and is read again when it changes', async () => {
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
    await expect(writer.set('x', '')).rejects.toThrow('the password is empty');
  });

  test.each(['', '{', '[]', '{}', '{"users":{"ada":1}}', '{"users":7}'])(
    'is rejected in one line if it contains %j',
    (text) => {
      const path = join(folder, 'bad.json');
      writeFileSync(path, text);
      expect(() => new Users(path).names()).toThrow(/^the users file .* cannot be read \(not a users file\)$/);
    },
  );
});

describe('sign-in with a password', () => {
  const createOtp = async (attempts = unlimited) => {
    const users = new Users(join(folder, `${Math.random()}.json`));
    await users.set('ada', 'right');
    return otpAuthenticator(users, localTickets(), attempts);
  };

  test('issues a ticket, and rejects a wrong name and a wrong password alike', async () => {
    const authenticator = await createOtp();
    const signedIn = await authenticator.signIn('ada', 'right', '192.0.2.1');
    expect(await authenticator.authenticate({ ...noCredentials, ticket: otpOf(signedIn) })).toMatchObject(
      authenticatedAs('ada'),
    );
    expect(await authenticator.signIn('ada', 'wrong', '192.0.2.1')).toEqual(INVALID);
    expect(await authenticator.signIn('eve', 'right', '192.0.2.1')).toEqual(INVALID);
    expect(await authenticator.authenticate(noCredentials)).toEqual(MISSING);
    expect(await authenticator.authenticate({ ...noCredentials, basic: ['ada', 'right'] })).toEqual(
      authenticatedAs('ada'),
    );
    expect(await authenticator.authenticate({ ...noCredentials, basic: ['ada', 'no'] })).toEqual(INVALID);
    expect([await authenticator.mayResume('ada'), await authenticator.mayResume('eve')]).toEqual([true, false]);
  });

  test('takes about as long for an unknown name as for a wrong password', async () => {
    const authenticator = await createOtp();
    // The fastest of several attempts, since other load only adds to the time.
    const fastest = { ada: Number.POSITIVE_INFINITY, unknown: Number.POSITIVE_INFINITY };
    for (let attempt = 0; attempt < 3; attempt++) {
      for (const name of ['ada', 'unknown'] as const) {
        const start = performance.now();
        await authenticator.signIn(name, 'wrong', '192.0.2.1');
        fastest[name] = Math.min(fastest[name], performance.now() - start);
      }
    }
    expect(fastest.unknown / fastest.ada).toBeGreaterThan(0.4);
  });

  test('is throttled after too many attempts from an address or for a name', async () => {
    const taken: string[] = [];
    const givenBack: string[] = [];
    const authenticator = await createOtp({
      take: (address, name) => taken.push(address) < 3 && name !== 'bob',
      giveBack: (address, name) => void givenBack.push(`${address} ${name}`),
    });
    expect(await authenticator.signIn('ada', 'right', 'one')).toHaveProperty('otp');
    expect(await authenticator.signIn('bob', 'right', 'two')).toEqual(THROTTLED);
    expect(await authenticator.signIn('ada', 'right', 'three')).toEqual(THROTTLED);
    expect(taken).toEqual(['one', 'two', 'three']);
    expect(givenBack).toEqual(['one ada']); // a success does not count
  });

  test('is unavailable while the attempts cannot be counted, and no password is verified', async () => {
    const users = new Users(join(folder, 'uncounted.json'));
    await users.set('ada', 'right');
    const verify = vi.fn(async () => true);
    const attempts: AttemptStore = { take: down, giveBack: down };
    const authenticator = otpAuthenticator(users, localTickets(), attempts, verify);
    expect(await authenticator.signIn('ada', 'right', 'one')).toEqual(UNAVAILABLE);
    expect(await authenticator.authenticate({ ...noCredentials, basic: ['ada', 'right'] })).toEqual(UNAVAILABLE);
    expect(verify).not.toHaveBeenCalled();
    attempts.take = async () => true;
    expect(await authenticator.signIn('ada', 'right', 'one')).toHaveProperty('otp');
    expect(verify).toHaveBeenCalledOnce();
  });

  test('verifies one password at a time, queues 32, and throttles the rest', async () => {
    let [running, maxRunning] = [0, 0];
    const verifySlowly = async () => {
      maxRunning = Math.max(maxRunning, ++running);
      await new Promise((resolve) => setTimeout(resolve, 1));
      running--;
      return false;
    };
    const users = new Users(join(folder, 'turns.json'));
    await users.set('ada', 'x');
    const authenticator = otpAuthenticator(users, localTickets(), unlimited, verifySlowly);
    const results = await Promise.all(Array.from({ length: 40 }, () => authenticator.signIn('ada', 'x', 'a')));
    expect(results.filter(({ kind }) => kind === 'throttled').length).toBe(7);
    expect(maxRunning).toBe(1);
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
  const present = (authenticator: Authenticator, token: string) =>
    authenticator.authenticate({ ...noCredentials, token });
  const pem = (key: KeyObject) => String(key.export({ type: 'spki', format: 'pem' }));

  test.each([
    ['RS256', rsa],
    ['ES256', ec],
    ['EdDSA', ed],
  ])('signed with %s is valid for the public key of its key only', async (alg, { publicKey, privateKey }) => {
    const authenticator = jwtAuthenticator(parseKeyFile(pem(publicKey)));
    expect(await present(authenticator, await sign(alg, privateKey))).toMatchObject(authenticatedAs('ada'));
    const otherKeys = { RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }), ES256: ec, EdDSA: ed };
    for (const [other, { privateKey: key }] of Object.entries(otherKeys)) {
      if (other !== alg || alg === 'RS256')
        expect(await present(authenticator, await sign(other, key))).toEqual(INVALID);
    }
    // A public key used as a secret must not verify anything.
    expect(await present(authenticator, await sign('HS256', Buffer.from(pem(publicKey))))).toEqual(INVALID);
  });

  test('signed with HS256 is valid for its secret only, and invalid without a signature', async () => {
    const authenticator = jwtAuthenticator(secretKey(secret));
    expect(await present(authenticator, await sign('HS256', Buffer.from(secret)))).toMatchObject(
      authenticatedAs('ada'),
    );
    expect(await present(authenticator, await sign('HS256', Buffer.from(`${secret}!`)))).toEqual(INVALID);
    const [, body] = (await sign('HS256', Buffer.from(secret))).split('.');
    const none = Buffer.from('{"alg":"none"}').toString('base64url');
    expect(await present(authenticator, `${none}.${body}.`)).toEqual(INVALID);
    expect(await authenticator.authenticate(noCredentials)).toEqual(MISSING);
  });

  test('is verified with the key of a set that its id names', async () => {
    const keys = await Promise.all(
      [rsa, ec, ed].map(async ({ publicKey }, i) => ({ ...(await exportJWK(publicKey)), kid: `${i}` })),
    );
    const authenticator = jwtAuthenticator(parseKeyFile(JSON.stringify({ keys })));
    expect(await present(authenticator, await sign('RS256', rsa.privateKey, { sub: 'r' }, '0'))).toMatchObject(
      authenticatedAs('r'),
    );
    expect(await present(authenticator, await sign('ES256', ec.privateKey, { sub: 'e' }, '1'))).toMatchObject(
      authenticatedAs('e'),
    );
    expect(await present(authenticator, await sign('EdDSA', ed.privateKey, { sub: 'd' }, '2'))).toMatchObject(
      authenticatedAs('d'),
    );
    expect(await present(authenticator, await sign('EdDSA', ed.privateKey, { sub: 'd' }, '0'))).toEqual(INVALID);
  });

  test.each<[string, Record<string, unknown>]>([
    ['no user', {}],
    ['an empty user', { sub: '' }],
    ['a user of 65 bytes', { sub: 'é'.repeat(33) }],
    ['no expiry', { sub: 'ada', exp: undefined }],
    ['an expiry in the past', { sub: 'ada', exp: 1 }],
    ['a start in the future', { sub: 'ada', nbf: 9_999_999_999 }],
    ['invalid rooms', { sub: 'ada', rooms: [7] }],
    ['another issuer', { sub: 'ada', iss: 'eve', aud: 'chat' }],
    ['another audience', { sub: 'ada', iss: 'me', aud: 'other' }],
  ])('is invalid with %s', async (_, claims) => {
    const required = 'iss' in claims ? { issuer: 'me', audience: 'chat' } : {};
    const authenticator = jwtAuthenticator(secretKey(secret), required);
    expect(await present(authenticator, await sign('HS256', Buffer.from(secret), claims))).toEqual(INVALID);
    const valid = await sign('HS256', Buffer.from(secret), { sub: 'ada', iss: 'me', aud: ['chat', 'more'] });
    expect(await present(authenticator, valid)).toMatchObject(authenticatedAs('ada'));
  });

  test('of any bytes does not throw', async () => {
    const authenticator = jwtAuthenticator(secretKey(secret));
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.string(), fc.base64String(), fc.string({ unit: 'binary' })), async (token) => {
        expect(await present(authenticator, token)).toEqual(INVALID);
      }),
    );
  });

  test.each(['', 'x', '{', '{"keys":7}', '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n'])(
    'rejects the key file %j in one line',
    (text) => {
      expect(() => parseKeyFile(text)).toThrow(/^it /);
    },
  );

  test('rejects a key of another kind, and a short secret', () => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'secp384r1' });
    expect(() => parseKeyFile(pem(publicKey))).toThrow('its key is not for RS256, ES256 or EdDSA');
    expect(() => secretKey('short')).toThrow('less than 32 bytes');
  });
});

test('grants allow an action that one of them allows', () => {
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

test('the open authenticator takes any name, and tickets carry only a name', async () => {
  const authenticator = openAuthenticator(localTickets());
  expect(await authenticator.authenticate(noCredentials)).toEqual({ kind: 'authenticated', principal: {} });
  expect(await authenticator.authenticate({ ...noCredentials, ticket: 'unknown' })).toEqual(INVALID);
  const signedIn = await authenticator.signIn('ada', '', '');
  expect(await authenticator.authenticate({ ...noCredentials, ticket: otpOf(signedIn) })).toMatchObject(
    authenticatedAs('ada'),
  );
  expect(await authenticator.signIn('', 'x', '')).toEqual(INVALID);
  expect(await authenticator.signIn('x'.repeat(65), 'x', '')).toEqual(INVALID);
});
