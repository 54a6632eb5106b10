import { expect, test } from 'vitest';
import { chooseTransport } from '../../src/transport/choose.ts';
import { selectRelease } from '../../src/transport/uws-release.ts';

const older = { kind: 'available', alias: 'uWebSockets.js' };
const modern = { kind: 'available', alias: 'uWebSockets.js-modern' };

test.each([
  ['linux', 20, [2, 36], older],
  ['linux', 20, [2, 41], older],
  ['linux', 22, [2, 36], older],
  ['linux', 22, [2, 38], modern],
  ['linux', 24, [2, 38], modern],
  ['linux', 26, [3, 0], modern],
  ['darwin', 20, undefined, older],
  ['darwin', 24, undefined, modern],
  ['win32', 26, undefined, modern],
] as const)('selects the release that fits %s with Node %i and glibc %j', (platform, major, glibc, release) => {
  expect(selectRelease(platform, major, glibc)).toEqual(release);
});

test.each([
  ['linux', 24, [2, 36], 'it has no binary for Node 24 with glibc 2.36'],
  ['linux', 26, [2, 37], 'it has no binary for Node 26 with glibc 2.37'],
  ['linux', 20, [2, 26], 'it has no binary for Node 20 with glibc 2.26'],
  ['linux', 25, [2, 41], 'it has no binary for Node 25 with glibc 2.41'],
  ['linux', 20, undefined, 'it requires glibc'],
  ['darwin', 18, undefined, 'it has no binary for Node 18'],
] as const)('selects none for %s with Node %i and glibc %j, and gives the reason', (platform, major, glibc, reason) => {
  expect(selectRelease(platform, major, glibc)).toEqual({ kind: 'unavailable', reason });
});

const unavailable = () => ({ kind: 'unavailable', reason: 'it has no binary for Node 24 with glibc 2.36' }) as const;

test('auto falls back to ws and notes the reason', () => {
  const { name, note } = chooseTransport('auto', unavailable);
  expect(name).toBe('ws');
  expect(note).toBe('uWebSockets.js is unavailable (it has no binary for Node 24 with glibc 2.36); using ws');
});

test('rejects uws by name where it is unavailable, in one line', () => {
  expect(() => chooseTransport('uws', unavailable)).toThrow(/^the transport uws is unavailable: it has no binary/);
});

test('does not load uWebSockets.js for ws by name', () => {
  const load = () => {
    throw new Error('uWebSockets.js was loaded');
  };
  expect(chooseTransport('ws', load)).toMatchObject({ name: 'ws' });
});
