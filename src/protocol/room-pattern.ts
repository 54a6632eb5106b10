/**
 * Returns what is wrong with a room pattern, as the end of a line; undefined for a valid one. A
 * pattern is a room's name, or a prefix followed by `*`, such as `orders:*`. `*` alone matches
 * every room. The name of a room may contain `*`, but then only prefixes match it.
 */
export function roomPatternProblem(pattern: string): string | undefined {
  if (pattern === '') return 'is empty; name a room, or a prefix such as orders:*';
  const star = pattern.indexOf('*');
  return star >= 0 && star < pattern.length - 1 ? 'has a * before its end; only a prefix can have one' : undefined;
}

/** Reports whether a room has the name of a pattern or begins with its prefix. */
export function matchesRoom(pattern: string, room: string): boolean {
  return pattern.endsWith('*') ? room.startsWith(pattern.slice(0, -1)) : room === pattern;
}

/**
 * Finds the entry of a table for a room: its exact name, else the longest matching prefix. The
 * table is a copy: later changes of the record have no effect.
 */
export class RoomTable<T> {
  readonly #names = new Map<string, T>();
  /** Longest first. */
  readonly #prefixes: { readonly prefix: string; readonly value: T }[] = [];

  /** @throws RangeError for an invalid pattern. */
  constructor(entries: Readonly<Record<string, T>>) {
    for (const [pattern, value] of Object.entries(entries)) {
      const problem = roomPatternProblem(pattern);
      if (problem !== undefined) throw new RangeError(`${JSON.stringify(pattern)} ${problem}`);
      if (pattern.endsWith('*')) this.#prefixes.push({ prefix: pattern.slice(0, -1), value });
      else this.#names.set(pattern, value);
    }
    this.#prefixes.sort((a, b) => b.prefix.length - a.prefix.length);
  }

  /** Takes time in proportion to the number of prefixes: callers keep the result for a room. */
  find(room: string): T | undefined {
    const named = this.#names.get(room);
    if (named !== undefined) return named;
    for (const { prefix, value } of this.#prefixes) if (room.startsWith(prefix)) return value;
    return undefined;
  }
}
