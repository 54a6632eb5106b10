/** A piece of a text. A part with `href` is a link. */
export interface Part {
  readonly text: string;
  readonly href?: string;
}

// A link ends at white space and at characters that could disguise its target.
const LINK = /\bhttps?:\/\/[^\s<>"`\p{Cc}\p{Bidi_Control}]+/giu;
// Trailing punctuation belongs to the sentence, not to the URL.
const TAIL = /[.,:;!?'…»]+$/u;
const PAIRS = ['()', '[]', '{}'];

/** Splits a text at its `http:` and `https:` URLs. The parts concatenate to the text. */
export function partsOf(text: string): Part[] {
  const parts: Part[] = [];
  let end = 0;
  for (const { 0: match, index } of text.matchAll(LINK)) {
    const link = trimLink(match);
    const href = hrefOf(link);
    if (href === undefined) continue;
    if (index > end) parts.push({ text: text.slice(end, index) });
    parts.push({ text: link, href });
    end = index + link.length;
  }
  if (end < text.length) parts.push({ text: text.slice(end) });
  return parts;
}

/** Removes trailing punctuation, and closing brackets that were opened before the link. */
function trimLink(match: string): string {
  let link = match;
  for (;;) {
    const shorter = withoutBracket(link.replace(TAIL, ''));
    if (shorter === link) return link;
    link = shorter;
  }
}

function withoutBracket(link: string): string {
  const [open, close] = PAIRS.find((pair) => pair[1] === link.at(-1)) ?? '';
  if (!open || !close) return link;
  return count(link, close) > count(link, open) ? link.slice(0, -1) : link;
}

function count(text: string, character: string): number {
  return text.split(character).length - 1;
}

/**
 * Returns undefined for an invalid URL, and for one with credentials, which can disguise the host:
 * `https://bank.example@evil.example`.
 */
export function hrefOf(link: string): string | undefined {
  if (!URL.canParse(link)) return undefined;
  const { href, username, password } = new URL(link);
  return username + password === '' ? href : undefined;
}
