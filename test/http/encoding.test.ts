import { expect, test } from 'vitest';
import { type Encoding, selectEncoding } from '../../src/http/encoding.ts';

const all: Encoding[] = ['identity', 'gzip', 'br'];

test.each<[string, Encoding | undefined]>([
  ['', 'identity'],
  ['gzip, deflate, br, zstd', 'br'],
  ['gzip, deflate', 'gzip'],
  ['GZIP', 'gzip'],
  ['x-gzip', 'gzip'],
  ['deflate, zstd', 'identity'],
  ['br;q=0', 'identity'],
  ['br;q=0, gzip', 'gzip'],
  ['br;q=0, *', 'gzip'],
  ['br;q=0.000, gzip;q=0.001', 'gzip'],
  ['br;q=0.5, gzip;q=0.8', 'gzip'],
  ['br;q=0.8, gzip;q=0.8', 'br'],
  ['br ; q=0.4 , gzip ; Q=0.6', 'gzip'],
  ['gzip;q=0.2, *;q=0.5', 'br'],
  ['*', 'br'],
  ['*;q=0', undefined],
  ['*;q=0, gzip', 'gzip'],
  ['*;q=0, identity;q=0.1', 'identity'],
  ['identity', 'identity'],
  ['identity;q=1, br;q=0.5', 'identity'],
  ['identity;q=0.5, br;q=0.5', 'br'],
  ['identity;q=0', undefined],
  ['identity;q=0, deflate', undefined],
  ['identity;q=0, gzip;q=0.1', 'gzip'],
  ['identity;q=0, *', 'br'],
  ['br;q=2', 'identity'],
  ['br;q=-1', 'identity'],
  ['br;q=0.1234', 'identity'],
  ['br;q', 'identity'],
  ['br;level=1', 'identity'],
  ['br;q=1;q=0', 'identity'],
  [',,;q=1,', 'identity'],
])('%j selects %s', (header, encoding) => {
  expect(selectEncoding(header, all)).toBe(encoding);
});

test('selects among the encodings that are available', () => {
  expect(selectEncoding('br, gzip;q=0.5', ['identity', 'gzip'])).toBe('gzip');
  expect(selectEncoding('br, gzip', ['identity'])).toBe('identity');
  expect(selectEncoding('br, identity;q=0', ['identity'])).toBeUndefined();
});
