/** An invalid setting. The message is one line: the source, the value, and what is expected. */
export class ConfigError extends Error {}

/** A suggestion of the candidate nearest to `word`, or an empty string if none is near. */
export function didYouMean(word: string, candidates: readonly string[]): string {
  const [nearest] = candidates
    .map((candidate) => ({ candidate, edits: distance(word, candidate) }))
    .filter(({ candidate: { length }, edits }) => edits <= Math.max(length > 3 ? 2 : 1, length / 3))
    .sort((a, b) => a.edits - b.edits);
  return nearest ? `; did you mean "${nearest.candidate}"?` : '';
}

/** Levenshtein distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substituted, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}
