import { expect, test } from 'vitest';
import { fuzzyScore, fuzzySort } from '../../web/app/state/fuzzy.ts';

test('a text matches if it has the letters of the query in order', () => {
  expect(fuzzyScore('Pump room', 'pr')).toBeDefined();
  expect(fuzzyScore('Pump room', 'rp')).toBeUndefined();
  expect(fuzzyScore('Zoë', 'zoe')).toBeDefined();
  expect(fuzzyScore('pump room', 'pump  room')).toBeDefined();
});

test('letters that follow each other or begin a word come first, and equal ones keep their order', () => {
  const sort = (query: string, ...items: string[]) => fuzzySort(items, (item) => item, query);
  expect(sort('gen', 'ingredient', 'legend', 'general')).toEqual(['general', 'legend', 'ingredient']);
  expect(sort('pr', 'spare', 'pump room')).toEqual(['pump room', 'spare']);
  expect(sort('', 'b', 'aa')).toEqual(['b', 'aa']);
});
