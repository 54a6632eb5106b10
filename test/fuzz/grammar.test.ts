import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { PATHS } from './grammar.ts';

test('requests have every path that src/http names', () => {
  const sources = readdirSync('src/http').map((file) => readFileSync(`src/http/${file}`, 'utf8'));
  const paths = sources.flatMap((source) => [...source.matchAll(/'(\/[a-z][a-z.-]*)'/g)].map(([, path]) => path));
  expect(paths.length).toBeGreaterThan(5);
  expect(paths.filter((path) => !PATHS.includes(path as string))).toEqual([]);
});
