import { expect, test } from 'vitest';
import { mentionsIn, mentionsUser } from '../../web/app/state/mentions.ts';

const known = new Set(['ada', 'ada lovelace', 'bob', 'o’neil', 'שרה', 'ann-marie']);
const names = (text: string) => mentionsIn(text, (name) => known.has(name)).flatMap(({ name }) => name ?? []);

test.each([
  ['@ada', ['ada']],
  ['hi @ADA, and @bob!', ['ADA', 'bob']],
  ['(@ada) "@bob"', ['ada', 'bob']],
  ['@ada lovelace and @ada lovely', ['ada lovelace', 'ada']],
  ['@[Ada Lovelace] @[nobody here]', ['Ada Lovelace', 'nobody here']],
  ['@ann-marie and @ann-maries', ['ann-marie']],
  ['@שרה שלום', ['שרה']],
  ['@adam @carol mail@ada.example a.@ada //@ada @@ada', []],
])('%j mentions %j', (text, expected) => {
  expect(names(text)).toEqual(expected);
});

test('the parts concatenate to the text without brackets', () => {
  const parts = mentionsIn('a @[Ada Lovelace], @bob.', (name) => known.has(name));
  expect(parts.map(({ text }) => text).join('')).toBe('a @Ada Lovelace, @bob.');
});

test.each([
  ['hey @ada', true],
  ['hey @Ada.', true],
  ['@[ADA] you', true],
  ['@adam', false],
  ['mail@ada', false],
  ['`@ada`', false],
  ['```\n@ada\n```', false],
  ['`x` @ada `y`', true],
  ['ada', false],
])('%j mentions ada: %j', (text, expected) => {
  expect(mentionsUser(text, 'ada')).toBe(expected);
});

test('a name with spaces is matched as a whole', () => {
  expect(mentionsUser('@ada lovelace, look', 'Ada Lovelace')).toBe(true);
  expect(mentionsUser('@ada, look', 'Ada Lovelace')).toBe(false);
  expect(mentionsUser('@x', '')).toBe(false);
});

test('16 KiB of mentions take little time', () => {
  const start = performance.now();
  mentionsIn('@ada '.repeat(3_276), () => false);
  mentionsIn('@'.repeat(16_384), () => false);
  expect(performance.now() - start).toBeLessThan(500);
});
