/** A piece of a text; with `href`, a link. */
export interface Part {
  readonly text: string;
  readonly href?: string;
}

// A link ends at white space, and at what could hide where it leads.
const LINK = /\bhttps?:\/\/[^\s<>"`\p{Cc}\p{Bidi_Control}]+/giu;
// Of a sentence rather than of the address that stands at its end.
const TAIL = /[.,:;!?'…»]+$/u;
const PAIRS: readonly (readonly [string, string])[] = [
  ['(', ')'],
  ['[', ']'],
  ['{', '}'],
];

/** Finds the links in a text: addresses of the web, written out in full. The parts together are the text. */
export function partsOf(text: string): Part[] {
  const parts: Part[] = [];
  let done = 0;
  for (const { 0: found, index } of text.matchAll(LINK)) {
    const link = trimmed(found);
    const href = addressOf(link);
    if (href === undefined) continue;
    if (index > done) parts.push({ text: text.slice(done, index) });
    parts.push({ text: link, href });
    done = index + link.length;
  }
  if (done < text.length) parts.push({ text: text.slice(done) });
  return parts;
}

/** Takes off what belongs to the sentence around it: its punctuation, and a bracket that was opened before it. */
function trimmed(found: string): string {
  let link = found;
  for (;;) {
    const shorter = withoutBracket(link.replace(TAIL, ''));
    if (shorter === link) return link;
    link = shorter;
  }
}

function withoutBracket(link: string): string {
  const closed = PAIRS.find(([, close]) => link.endsWith(close));
  if (!closed) return link;
  const [open, close] = closed;
  return count(link, close) > count(link, open) ? link.slice(0, -1) : link;
}

function count(text: string, character: string): number {
  return text.split(character).length - 1;
}

/** @returns undefined for what is no address, or one that names somebody before its host: those look like another's. */
function addressOf(link: string): string | undefined {
  if (!URL.canParse(link)) return undefined;
  const { href, username, password, hostname } = new URL(link);
  return hostname === '' || username !== '' || password !== '' ? undefined : href;
}
