// Half of a surrogate pair, and what a browser would not show, or would show elsewhere: controls,
// formats such as a change of direction, and ends of lines.
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}]/gu;

const NAMED: Readonly<Record<string, string>> = { '\t': '\\t', '\n': '\\n', '\r': '\\r' };

/** Returns a name of a client's making with its invisible characters escaped. */
export function visibleName(name: string): string {
  return name.replaceAll(INVISIBLE, (character) => {
    const code = character.codePointAt(0) as number;
    return NAMED[character] ?? `\\u{${code.toString(16)}}`;
  });
}
