import { fold } from './completion.ts';

/** A piece of a text. A part with `name` mentions a person. */
export interface MentionPart {
  readonly text: string;
  readonly name?: string;
}

/** The maximum length of a name, in UTF-16 code units: the protocol allows 64 bytes. */
const MAX_NAME = 64;
const MENTION = /@(?:\[([^\]\n]{1,64})\]|(?=[\p{L}\p{N}_]))/gu;
const WORD = /[\p{L}\p{N}_]/u;
/** Matches what precedes an `@` in an e-mail address or a path. */
const NO_MENTION_AFTER = /[\p{L}\p{N}_@./:+-]/u;
const CODE = /(`+)(?!`)[\s\S]*?[^`]\1(?!`)/g;

/**
 * Splits a text at its mentions, `@name` and `@[a name]`. Without brackets, the longest known name
 * counts. The parts concatenate to the text, but for the brackets.
 *
 * @param isKnown whether a folded name is that of a person in the room.
 */
export function mentionsIn(text: string, isKnown: (folded: string) => boolean): MentionPart[] {
  const parts: MentionPart[] = [];
  let end = 0;
  for (const { 0: match, 1: bracketed, index } of text.matchAll(MENTION)) {
    if (index < end || NO_MENTION_AFTER.test(charBefore(text, index))) continue;
    const name = bracketed ?? knownNameAt(text, index + 1, isKnown);
    if (name === undefined) continue;
    if (index > end) parts.push({ text: text.slice(end, index) });
    parts.push({ text: `@${name}`, name });
    end = index + (bracketed === undefined ? name.length + 1 : match.length);
  }
  if (end < text.length) parts.push({ text: text.slice(end) });
  return parts;
}

/** Whether a message names a user, outside of code. */
export function mentionsUser(text: string, user: string): boolean {
  if (user === '' || !text.includes('@')) return false;
  const folded = fold(user);
  const parts = mentionsIn(text.replace(CODE, ' '), (name) => name === folded);
  return parts.some(({ name }) => name !== undefined && fold(name) === folded);
}

/** Returns the longest known name at a position that ends with a word. */
function knownNameAt(text: string, start: number, isKnown: (folded: string) => boolean): string | undefined {
  const rest = text.slice(start, start + MAX_NAME).split('\n', 1)[0] ?? '';
  for (let end = rest.length; end > 0; end--) {
    const next = end === rest.length ? text.slice(start + end) : rest.slice(end);
    if (WORD.test(next.match(/^./su)?.[0] ?? '')) continue;
    const name = rest.slice(0, end);
    if (isKnown(fold(name))) return name;
  }
  return undefined;
}

function charBefore(text: string, at: number): string {
  return text.slice(Math.max(0, at - 2), at).match(/.$/su)?.[0] ?? '';
}
