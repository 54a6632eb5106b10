/** The word before the caret that can be completed. */
export interface Trigger {
  readonly kind: 'emoji' | 'person';
  /** Where the word begins in the text, its `:` or `@` included. */
  readonly from: number;
  readonly query: string;
}

// Neither 10:30, std::vector nor an e-mail address starts one.
const TRIGGER = /(?:^|[\s([{"'*_~])(?:(:)([\w+-]{2,40})|(@)\[?([^\s@\]]{0,40}))$/u;
const FINISHED = /(?:^|[\s([{"'*_~]):([\w+-]{2,40}):$/u;

/** Returns the word before the caret if it can be completed. */
export function triggerAt(text: string, caret: number): Trigger | undefined {
  const match = TRIGGER.exec(text.slice(Math.max(0, caret - 60), caret));
  if (!match) return undefined;
  const query = match[2] ?? match[4] ?? '';
  const kind = match[1] ? 'emoji' : 'person';
  return { kind, from: caret - match[0].length + match[0].search(/[:@]/), query };
}

/** Returns the short name of an emoji that ends at the caret, as in `:wave:`. */
export function shortNameAt(text: string, caret: number): string | undefined {
  return FINISHED.exec(text.slice(Math.max(0, caret - 60), caret))?.[1];
}

const SIMPLE_NAME = /^[\p{L}\p{N}_-](?:[\p{L}\p{N}_.-]*[\p{L}\p{N}_-])?$/u;

/** Returns how a message mentions a person: `@ada` or `@[Ada Lovelace]`. */
export function mentionOf(name: string): string {
  return SIMPLE_NAME.test(name) ? `@${name}` : `@[${name}]`;
}

/** Returns the names that match a query: those that start with it, then those with such a word. */
export function matchingNames(names: readonly string[], query: string, limit: number): string[] {
  const wanted = fold(query);
  const rank = (name: string) => {
    const folded = fold(name);
    if (folded.startsWith(wanted)) return 0;
    if (folded.split(/[^\p{L}\p{N}]+/u).some((word) => word.startsWith(wanted))) return 1;
    return folded.includes(wanted) ? 2 : 3;
  };
  return names
    .map((name) => ({ name, rank: rank(name) }))
    .filter(({ rank }) => rank < 3)
    .sort((a, b) => a.rank - b.rank)
    .slice(0, limit)
    .map(({ name }) => name);
}

/** Folds case, width and accents. */
export function fold(text: string): string {
  return text
    .normalize('NFKD')
    .replace(/\p{Mn}/gu, '')
    .toLowerCase();
}

/** One of the offered completions. */
export interface Choice {
  /** The text to insert in place of the word before the caret. */
  readonly insert: string;
  /** The emoji, or an `@`. */
  readonly symbol: string;
  readonly label: string;
}

/** Returns the choice of a person. */
export function personChoice(name: string): Choice {
  return { insert: `${mentionOf(name)} `, symbol: '@', label: name };
}
