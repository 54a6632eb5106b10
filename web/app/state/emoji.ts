import lines from 'virtual:emoji';

/** An emoji and its names. */
export interface Emoji {
  readonly emoji: string;
  readonly group: number;
  readonly name: string;
  /** What people type between colons, as in `:wave:`. */
  readonly shortNames: readonly string[];
  readonly keywords: readonly string[];
}

/** All emoji, in the order of Unicode. */
export const allEmoji: readonly Emoji[] = lines.split('\n').map((line) => {
  const [emoji = '', group, name = '', shortNames = '', keywords = ''] = line.split('\t');
  return { emoji, group: Number(group), name, shortNames: shortNames.split(' '), keywords: keywords.split(' ') };
});

export const GROUPS: readonly { readonly group: number; readonly label: string; readonly emoji: string }[] = [
  { group: 0, label: 'Smileys', emoji: '😀' },
  { group: 1, label: 'People', emoji: '👋' },
  { group: 3, label: 'Nature', emoji: '🐱' },
  { group: 4, label: 'Food', emoji: '🍎' },
  { group: 5, label: 'Travel', emoji: '🚗' },
  { group: 6, label: 'Activities', emoji: '⚽' },
  { group: 7, label: 'Objects', emoji: '💡' },
  { group: 8, label: 'Symbols', emoji: '❤️' },
  { group: 9, label: 'Flags', emoji: '🏁' },
];

/** Returns the emoji of a short name. */
export function emojiNamed(shortName: string): string | undefined {
  return allEmoji.find(({ shortNames }) => shortNames.includes(shortName))?.emoji;
}

/** Returns the emoji that match a query, the best first. */
export function findEmoji(query: string, limit: number): Emoji[] {
  const wanted = query.toLowerCase();
  const rank = ({ shortNames, name, keywords }: Emoji) => {
    if (shortNames.includes(wanted)) return 0;
    if (shortNames.some((each) => each.startsWith(wanted))) return 1;
    if (shortNames.some((each) => each.includes(wanted)) || name.includes(wanted)) return 2;
    return keywords.some((keyword) => keyword.startsWith(wanted)) ? 3 : 4;
  };
  return allEmoji
    .map((emoji) => ({ emoji, rank: rank(emoji) }))
    .filter((each) => each.rank < 4)
    .sort((a, b) => a.rank - b.rank)
    .slice(0, limit)
    .map(({ emoji }) => emoji);
}
