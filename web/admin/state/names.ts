// Half of a surrogate pair, and what a browser would not show, or would show elsewhere: controls,
// formats such as a change of direction, and ends of lines.
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}]/gu;

/** Returns a name of a client's making with a sign for each of its invisible characters. */
export function visibleName(name: string): string {
  return name.replaceAll(INVISIBLE, (character) => {
    const code = character.codePointAt(0) as number;
    if (code < 0x20) return String.fromCodePoint(0x2400 + code);
    return code === 0x7f ? '\u2421' : `\\u{${code.toString(16)}}`;
  });
}
