import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { allowsRoom, Keys, KeysError, scopes } from '../../src/auth/keys.ts';

let folder: string;
let path: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pumphouse-keys-'));
});
beforeEach(() => {
  path = join(folder, `${Math.random()}.json`);
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('the keys file', () => {
  test('has the hash of a key, but not the key, and only its owner can read it', () => {
    const key = new Keys(path).add({ name: 'backend', scopes: ['publish'], rooms: ['orders:*'] });
    expect(key).toMatch(/^ph_[\da-f]{16}_[\w-]{43}$/);
    const text = readFileSync(path, 'utf8');
    expect(text).not.toContain(key.slice(-43));
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(Object.values(JSON.parse(text).keys)).toMatchObject([
      { name: 'backend', scopes: ['publish'], rooms: ['orders:*'] },
    ]);
  });

  test('accepts its keys alone', () => {
    const keys = new Keys(path);
    expect(keys.check('Bearer x')).toEqual({ kind: 'invalid' });
    const [first, second] = [keys.add({ name: 'a', scopes }), keys.add({ name: 'b', scopes: ['read'] })];
    expect(keys.check(`Bearer ${first}`)).toMatchObject({ kind: 'valid', key: { name: 'a', scopes } });
    expect(keys.check(`bearer ${second}`)).toMatchObject({ kind: 'valid', key: { name: 'b', scopes: ['read'] } });
    // The id of one with the secret of the other.
    expect(keys.check(`Bearer ${first.slice(0, 20)}${second.slice(20)}`)).toEqual({ kind: 'invalid' });
    for (const wrong of ['', 'Bearer', `Basic ${first}`, first]) expect(keys.check(wrong)).toEqual({ kind: 'missing' });
    for (const wrong of [first.slice(1), `${first}A`, 'ph___proto___x']) {
      expect(keys.check(`Bearer ${wrong}`)).toEqual({ kind: 'invalid' });
    }
  });

  test('is read again when another process has changed it', () => {
    const [server, command] = [new Keys(path), new Keys(path)];
    const key = command.add({ name: 'a', scopes });
    expect(server.check(`Bearer ${key}`).kind).toBe('valid');
    command.remove('a');
    expect(server.check(`Bearer ${key}`).kind).toBe('invalid');
  });

  test('has several keys of one name, which are removed by their ids', () => {
    const keys = new Keys(path);
    const [old, next] = [keys.add({ name: 'a', scopes }), keys.add({ name: 'a', scopes })];
    expect(() => keys.remove('a')).toThrow(/2 keys are named "a"; remove one by its id: [\da-f]{16}, [\da-f]{16}/);
    keys.remove(old.slice(3, 19));
    expect([keys.check(`Bearer ${old}`).kind, keys.check(`Bearer ${next}`).kind]).toEqual(['invalid', 'valid']);
    keys.remove('a');
    expect(keys.list()).toEqual([]);
  });

  test('lists its keys by name', () => {
    const keys = new Keys(path);
    for (const name of ['b', 'a']) keys.add({ name, scopes: ['read'] });
    expect(keys.list()).toMatchObject([{ name: 'a' }, { name: 'b' }]);
    expect(Object.keys(keys.list()[0] as object).toSorted()).toEqual(['created', 'id', 'name', 'scopes']);
  });

  test('rejects invalid names and patterns, and unknown keys', () => {
    const keys = new Keys(path);
    for (const name of ['', 'x'.repeat(65)]) expect(() => keys.add({ name, scopes })).toThrow(KeysError);
    for (const room of ['', 'x'.repeat(129)])
      expect(() => keys.add({ name: 'a', scopes, rooms: [room] })).toThrow(KeysError);
    expect(() => keys.remove('nobody')).toThrow(`there is no key "nobody" in ${path}`);
  });

  test.each([
    '',
    '{',
    '[]',
    '{"keys":{"x":{"name":"a"}}}',
    '{"keys":{"x":{"name":"a","hash":"0","scopes":["read"],"created":0}}}',
  ])('with the text %j cannot be read', (text) => {
    writeFileSync(path, text);
    const keys = new Keys(path);
    expect(() => keys.list()).toThrow(`the keys file ${path} cannot be read (not a keys file)`);
    expect(keys.check(`Bearer ph_${'0'.repeat(16)}_${'x'.repeat(43)}`)).toEqual({ kind: 'unavailable' });
  });
});

test('a key without patterns allows every room', () => {
  expect(allowsRoom({ name: 'a', scopes }, 'any')).toBe(true);
  expect(allowsRoom({ name: 'a', scopes, rooms: ['*'] }, 'any')).toBe(true);
  expect(allowsRoom({ name: 'a', scopes, rooms: ['an*'] }, 'any')).toBe(true);
  expect(allowsRoom({ name: 'a', scopes, rooms: ['an'] }, 'any')).toBe(false);
});
