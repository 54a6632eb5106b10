import { expect, test } from 'vitest';
import { chooseTransport } from '../../src/transport/choose.ts';
import { chooseUws } from '../../src/transport/uws-release.ts';

const older = { alias: 'uWebSockets.js' };
const newer = { alias: 'uWebSockets.js-modern' };

test.each([
  ['linux', 20, [2, 36], older],
  ['linux', 20, [2, 41], older],
  ['linux', 22, [2, 36], older],
  ['linux', 22, [2, 38], newer],
  ['linux', 24, [2, 38], newer],
  ['linux', 26, [3, 0], newer],
  ['darwin', 20, undefined, older],
  ['darwin', 24, undefined, newer],
  ['win32', 26, undefined, newer],
] as const)('on %s with Node %i and glibc %j the binary that fits is taken', (platform, major, glibc, choice) => {
  expect(chooseUws(platform, major, glibc)).toEqual(choice);
});

test.each([
  ['linux', 24, [2, 36], 'there is no binary for Node 24 with glibc 2.36'],
  ['linux', 26, [2, 37], 'there is no binary for Node 26 with glibc 2.37'],
  ['linux', 20, [2, 26], 'there is no binary for Node 20 with glibc 2.26'],
  ['linux', 25, [2, 41], 'there is no binary for Node 25 with glibc 2.41'],
  ['linux', 20, undefined, 'it needs glibc'],
  ['darwin', 18, undefined, 'there is no binary for Node 18'],
] as const)('on %s with Node %i and glibc %j none is, with the reason', (platform, major, glibc, unavailable) => {
  expect(chooseUws(platform, major, glibc)).toEqual({ unavailable });
});

const missing = () => ({ unavailable: 'there is no binary for Node 24 with glibc 2.36' });

test('where it cannot be had, ws serves, and the log says why', () => {
  const { name, note } = chooseTransport('auto', missing);
  expect(name).toBe('ws');
  expect(note).toBe('uWebSockets.js cannot be had (there is no binary for Node 24 with glibc 2.36): serving with ws');
});

test('asked for by name and not to be had, it is an error in one line', () => {
  expect(() => chooseTransport('uws', missing)).toThrow(/^the transport uws cannot be had: there is no binary/);
});

test('ws by name never looks for uWebSockets.js', () => {
  const load = () => {
    throw new Error('it looked');
  };
  expect(chooseTransport('ws', load)).toMatchObject({ name: 'ws' });
});
