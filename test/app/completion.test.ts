import { expect, test } from 'vitest';
import { fold, matchingNames, mentionOf, shortNameAt, triggerAt } from '../../web/app/state/completion.ts';

test.each([
  ['hello :wa', { kind: 'emoji', from: 6, query: 'wa' }],
  [':+1', { kind: 'emoji', from: 0, query: '+1' }],
  ['(@ad', { kind: 'person', from: 1, query: 'ad' }],
  ['@', { kind: 'person', from: 0, query: '' }],
  ['hi @[Ada', { kind: 'person', from: 3, query: 'Ada' }],
  ['hi\n@żó', { kind: 'person', from: 3, query: 'żó' }],
])('%j is completed', (text, trigger) => {
  expect(triggerAt(text, text.length)).toEqual(trigger);
});

test.each(['10:30', 'std::vector', 'a@example', ':', ':w', ': wave', '@ada ', ':)', 'http://a', 'x'])(
  '%j is not completed',
  (text) => {
    expect(triggerAt(text, text.length)).toBeUndefined();
  },
);

test('the word before the caret counts, not the end of the text', () => {
  expect(triggerAt('@ad and more', 3)).toEqual({ kind: 'person', from: 0, query: 'ad' });
  expect(triggerAt('@ad and more', 12)).toBeUndefined();
});

test('a short name ends at its second colon', () => {
  expect(shortNameAt('a :wave:', 8)).toBe('wave');
  expect(shortNameAt('10:30:', 6)).toBeUndefined();
});

test('names are found by their beginning, their words and their middle, without case and accents', () => {
  const names = ['Zoé', 'Ada Lovelace', 'adam', 'Madame', 'bob'];
  expect(matchingNames(names, 'ada', 9)).toEqual(['Ada Lovelace', 'adam', 'Madame']);
  expect(matchingNames(names, 'love', 9)).toEqual(['Ada Lovelace']);
  expect(matchingNames(names, 'ZOE', 9)).toEqual(['Zoé']);
  expect(matchingNames(names, '', 2)).toEqual(['Zoé', 'Ada Lovelace']);
  expect(fold('ＡDÁ')).toBe('ada');
});

test('a name with spaces or punctuation is mentioned in brackets', () => {
  expect(['ada', 'Ada Lovelace', 'a.b-c_1', 'ends.', 'שלום', '👩‍🚒'].map(mentionOf)).toEqual([
    '@ada',
    '@[Ada Lovelace]',
    '@a.b-c_1',
    '@[ends.]',
    '@שלום',
    '@[👩‍🚒]',
  ]);
});
