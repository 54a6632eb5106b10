/** A setting that cannot be used: the message is one line that says where it came from, what it was and what it should be. */
export class ConfigError extends Error {}

/** The candidate that `word` most likely meant, when one is near enough to be a slip of the finger. */
export function didYouMean(word: string, candidates: readonly string[]): string {
  const [nearest] = candidates
    .map((candidate) => ({ candidate, slips: distance(word, candidate) }))
    .filter(({ candidate: { length }, slips }) => slips <= Math.max(length > 3 ? 2 : 1, length / 3))
    .sort((a, b) => a.slips - b.slips);
  return nearest ? `; did you mean "${nearest.candidate}"?` : '';
}

/** How many letters must be changed, added or taken away (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(swap, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}
