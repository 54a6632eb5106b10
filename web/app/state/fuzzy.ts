import { fold } from './completion.ts';

/**
 * Returns how well a text matches a query: its letters, in order. A higher score is better: letters
 * that follow each other or begin a word count more. Undefined if the text does not match.
 */
export function fuzzyScore(text: string, query: string): number | undefined {
  const [letters, wanted] = [[...fold(text)], [...fold(query)].filter((letter) => letter.trim() !== '')];
  let score = 0;
  let at = -1;
  for (const letter of wanted) {
    const next = letters.indexOf(letter, at + 1);
    if (next < 0) return undefined;
    const beginsWord = next === 0 || !/[\p{L}\p{N}]/u.test(letters[next - 1] ?? '');
    score += next === at + 1 ? 3 : beginsWord ? 2 : -Math.min(3, (next - at) / 4);
    at = next;
  }
  return score - letters.length / 100;
}

/** Returns the items that match a query, the best first. Equal ones keep their order. */
export function fuzzySort<T>(items: readonly T[], textOf: (item: T) => string, query: string): T[] {
  return items
    .flatMap((item) => {
      const score = fuzzyScore(textOf(item), query);
      return score === undefined ? [] : [{ item, score }];
    })
    .sort((a, b) => (query.trim() === '' ? 0 : b.score - a.score))
    .map(({ item }) => item);
}
