import { expect, test } from 'vitest';
import { tokenCredentials } from '../../src/auth/authenticator.ts';
import { canaryAuthenticator, canaryKey, canaryToken, isCanary } from '../../src/auth/canary.ts';

const secret = Buffer.alloc(32, 1);
const key = canaryKey(secret);
const pass = { user: 'canary-1', room: '_canary/host:8080' };
const NOW = 1_800_000_000_000;

const check = (token: string, now = NOW) => canaryAuthenticator(key, () => now).authenticate(tokenCredentials(token));

test('authenticates a canary for its one room, for ten minutes', () => {
  const token = canaryToken(key, pass, NOW);
  expect(isCanary(`Bearer ${token}`)).toBe(true);
  const expires = NOW + 600_000;
  const principal = { user: pass.user, grants: [{ name: pass.room }], issued: NOW, expires };
  expect(check(token)).toEqual({ kind: 'authenticated', principal });
  expect(check(token, expires - 1)).toMatchObject({ kind: 'authenticated' });
  expect(check(token, expires)).toEqual({ kind: 'invalid' });
  expect(check(token, NOW - 120_000)).toEqual({ kind: 'invalid' });
});

test('rejects what another key has signed, what was changed, and rooms of clients', () => {
  const token = canaryToken(key, pass, NOW);
  const [prefix, body, signature] = token.split('.');
  const other = Buffer.from(JSON.stringify({ ...pass, user: 'ada', issued: NOW })).toString('base64url');
  const invalid = [
    canaryToken(secret, pass, NOW),
    canaryToken(canaryKey(Buffer.alloc(32, 2)), pass, NOW),
    canaryToken(key, { ...pass, room: 'lobby' }, NOW),
    canaryToken(key, { ...pass, user: '' }, NOW),
    `${prefix}.${other}.${signature}`,
    `${prefix}.${body}.`,
    `${prefix}.${body}`,
    `${token}.x`,
    'canary.',
    'x'.repeat(10_000),
  ];
  for (const text of invalid) expect({ text, result: check(text) }).toEqual({ text, result: { kind: 'invalid' } });
  expect(isCanary('Bearer eyJhbGciOiJIUzI1NiJ9.e30.x')).toBe(false);
});

test('authenticates nobody without a token', () => {
  const credentials = { ...tokenCredentials(''), token: undefined };
  expect(canaryAuthenticator(key).authenticate(credentials)).toEqual({ kind: 'missing' });
});
