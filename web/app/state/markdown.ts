import { Lexer, type Token, Tokenizer, type Tokens } from 'marked';
import { hrefOf } from './links.ts';

/** A piece of a line. A string is text as it was typed. */
export type Inline =
  | string
  | { readonly kind: 'strong' | 'em' | 'del'; readonly children: readonly Inline[] }
  | { readonly kind: 'code'; readonly text: string }
  | { readonly kind: 'link'; readonly href: string; readonly children: readonly Inline[] };

/** A block of a message. Nothing else of Markdown is interpreted. */
export type Block =
  | { readonly kind: 'text'; readonly children: readonly Inline[] }
  | { readonly kind: 'code'; readonly text: string; readonly language: string }
  | { readonly kind: 'quote'; readonly blocks: readonly Block[] }
  | {
      readonly kind: 'list';
      readonly ordered: boolean;
      /** Whether a bracket follows the numbers, as in `1)`. */
      readonly bracket: boolean;
      readonly items: readonly ListItem[];
    };

interface ListItem {
  /** The number of an item of an ordered list. */
  readonly value: number;
  readonly blocks: readonly Block[];
}

/** The maximum nesting of quotes, lists and emphasis. Deeper ones are shown as text. */
const MAX_DEPTH = 5;

// Nobody types more of either. Such a text is shown without formatting, which bounds the time to
// parse it.
const MAX_MARKERS = 2_000;
const MAX_LINES = 400;

// A list, quote or fence starts where these match. The rules are narrower than CommonMark's: chats
// contain `>_<`, `*.ts`, a lone `-`, and years at the start of a line.
const QUOTE_LINE = /^ {0,3}>(?:[ \t>].*)?$/;
const FIRST_QUOTE_LINE = /^ {0,3}>+[ \t][> \t]*[^>\s]/;
const BULLET_LINE = /^ {0,3}(?:[-*+]|\d{1,9}[.)])[ \t]+\S/;
const INTERRUPTING_BULLET = /^ {0,3}(?:[-*+]|1[.)])[ \t]+\S/;
const RULE_LINE = /^ {0,3}(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const FENCE_LINE = /^ {0,3}(`{3,}|~{3,})/;
const INDENTED = /^(?: {2,}|\t)/;

// Emphasis begins and ends at a word boundary, so that 2*3*4 and snake_case stay as they are.
// Letters of scripts without case, such as Han, do not separate words by spaces.
const BEFORE_OPENER = /^$|[\s\p{Ps}\p{Pi}\p{Lo}"'*_~—–|]/u;
const AFTER_CLOSER = /^$|[\s\p{P}\p{S}\p{Lo}]/u;
const NOT_FIRST = /[\s.,;:!?/\\)\]}|]/u;
const NOT_LAST = /[\s\p{Ps}]/u;
// The rest of a Python name, as in `__init__.py` and `__init__()`.
const NAME_GOES_ON = /^(?:\(|\.\w)/;

// Where text ends that cannot be anything else.
const TEXT = /^(?:`+|[^`])[^\\![`*~_h]*(?:h(?!ttps?:\/\/)[^\\![`*~_h]*)*/i;
const LINK = /^!?\[([^[\]\n]+)\]\((?:<([^<>\s]+)>|((?:[^\s()<>[\]]|\([^\s()<>[\]]*\))+))\)/;
const ESCAPE = /^\\([*_~`[>#+-])/;

/** A token that marked queues the text of. */
interface Line {
  readonly type: string;
  readonly raw: string;
  readonly text: string;
  readonly tokens: Token[];
}

/**
 * Restricts marked to the Markdown of chats: emphasis, code, quotes, lists and links. Whatever a
 * method rejects stays text. Each takes time in proportion to the length of the text.
 */
class ChatTokenizer extends Tokenizer {
  readonly #cut: boolean;
  #depth = 0;
  /** The shortest fence of either character that is known to have no end. */
  #unclosed = new Map<string, number>();
  /** For each text, how far each marker is known to have no closer. */
  readonly #noCloser = new Map<string, Map<string, number>>();

  /** @param cut whether the text is the beginning of a longer one, so that a fence may be open. */
  constructor(cut: boolean) {
    super();
    this.#cut = cut;
  }

  override code = () => undefined;
  override heading = () => undefined;
  override hr = () => undefined;
  override html = () => undefined;
  override def = () => undefined;
  override table = () => undefined;
  override lheading = () => undefined;
  override tag = () => undefined;
  override reflink = () => undefined;
  override autolink = () => undefined;
  override br = () => undefined;

  override fences(src: string): Tokens.Code | undefined {
    const fence = FENCE_LINE.exec(src)?.[1];
    const character = fence?.[0] ?? '';
    if (!fence || fence.length >= (this.#unclosed.get(character) ?? Number.POSITIVE_INFINITY)) return undefined;
    const token = super.fences(src);
    const isClosed = token && new RegExp(`\\n {0,3}${character}{${fence.length},} *$`).test(token.raw);
    if (isClosed || (token && this.#cut)) return token;
    if (token) this.#unclosed.set(character, fence.length);
    return undefined;
  }

  override blockquote(src: string): Tokens.Blockquote | undefined {
    if (!FIRST_QUOTE_LINE.test(lineOf(src))) return undefined;
    return this.#nested(() => super.blockquote(linesWhile(src, (line) => QUOTE_LINE.test(line))));
  }

  override list(src: string): Tokens.List | undefined {
    const isItem = (line: string) => BULLET_LINE.test(line) && !RULE_LINE.test(line);
    if (!isItem(lineOf(src))) return undefined;
    return this.#nested(() => {
      const list = linesWhile(
        src,
        (line, next) =>
          isItem(line) ||
          (line.trim() === '' ? isItem(next) || INDENTED.test(next) : INDENTED.test(line) && !RULE_LINE.test(line)),
      );
      return super.list(list);
    });
  }

  override paragraph(src: string): Tokens.Paragraph {
    let first = true;
    const text = linesWhile(src, (line) => {
      const belongs = first || (line.trim() !== '' && !startsBlock(line));
      first = false;
      return belongs;
    });
    return { type: 'paragraph', raw: text, text, tokens: this.lexer.inline(text) };
  }

  override escape(src: string): Tokens.Escape | undefined {
    const match = ESCAPE.exec(src);
    return match ? { type: 'escape', raw: match[0], text: match[1] ?? '' } : undefined;
  }

  override inlineText(src: string): Tokens.Text | undefined {
    const raw = TEXT.exec(src)?.[0] ?? src;
    return textOf(raw);
  }

  override link(src: string): Tokens.Link | Tokens.Image | undefined {
    if (src[0] !== '[' && src[0] !== '!') return undefined;
    const [raw, text, bracketed, plain] = LINK.exec(src) ?? [];
    const href = targetOf(bracketed ?? plain ?? '');
    if (raw === undefined || text === undefined || href === undefined || this.lexer.state.inLink) return undefined;
    if (src[0] === '!') return textOf(raw) as unknown as Tokens.Image;
    this.lexer.state.inLink = true;
    const tokens = this.lexer.inlineTokens(text);
    this.lexer.state.inLink = false;
    return { type: 'link', raw, href, text, tokens };
  }

  override emStrong(src: string, maskedSrc: string): Tokens.Em | Tokens.Strong | undefined {
    const marker = /^(?:\*{1,3}|_{1,3})(?![*_])/.exec(src)?.[0];
    const content = marker && this.#contentOf(marker, src, maskedSrc);
    if (!content) return undefined;
    const raw = marker + content + marker;
    const text = marker.length === 3 ? marker[0] + content + marker[0] : content;
    const type = marker.length === 1 ? 'em' : 'strong';
    return this.#nested(() => ({ type, raw, text, tokens: this.lexer.inlineTokens(text) }));
  }

  override del(src: string, maskedSrc: string): Tokens.Del | undefined {
    const content = src.startsWith('~~') && src[2] !== '~' ? this.#contentOf('~~', src, maskedSrc) : undefined;
    if (!content) return undefined;
    return this.#nested(() => ({
      type: 'del',
      raw: `~~${content}~~`,
      text: content,
      tokens: this.lexer.inlineTokens(content),
    }));
  }

  /** Keeps a URL together: nothing in it is emphasis. */
  override url(src: string): Tokens.Link | undefined {
    const address = /^https?:\/\/[^\s<>"`[\]]+/i.exec(src)?.[0];
    return address === undefined ? undefined : (textOf(address) as unknown as Tokens.Link);
  }

  /** Returns the text between a marker at the start of `src` and its closer, if it is emphasis. */
  #contentOf(marker: string, src: string, maskedSrc: string): string | undefined {
    const at = maskedSrc.length - src.length;
    const start = at + marker.length;
    const first = src[marker.length] ?? ' ';
    if (!BEFORE_OPENER.test(charBefore(maskedSrc, at)) || NOT_FIRST.test(first)) return undefined;
    const noCloser = this.#noCloser.get(maskedSrc) ?? new Map<string, number>();
    this.#noCloser.set(maskedSrc, noCloser);
    if (start <= (noCloser.get(marker) ?? -1)) return undefined;
    const lineEnd = maskedSrc.indexOf('\n', start);
    const limit = marker.length === 1 && lineEnd >= 0 ? lineEnd : maskedSrc.length;
    const end = findCloser(marker, maskedSrc, start, limit);
    if (end === undefined) noCloser.set(marker, limit);
    return end === undefined ? undefined : src.slice(marker.length, end - at);
  }

  /** Calls `lex` unless the nesting is too deep. */
  #nested<T>(lex: () => T | undefined): T | undefined {
    if (this.#depth >= MAX_DEPTH) return undefined;
    const unclosed = this.#unclosed;
    this.#unclosed = new Map();
    this.#depth++;
    try {
      return lex();
    } finally {
      this.#depth--;
      this.#unclosed = unclosed;
    }
  }
}

/** Parses the Markdown of a message. @param cut whether the text goes on after its end. */
export function parseMarkdown(text: string, cut = false): Block[] {
  const markers = text.match(/[\\*_~`[!]/g)?.length ?? 0;
  if (markers > MAX_MARKERS || text.split('\n').length > MAX_LINES) return [{ kind: 'text', children: [text] }];
  const lexer = new Lexer({ gfm: true, breaks: true, tokenizer: new ChatTokenizer(cut) });
  return blocksOf(lexer.lex(text));
}

function textOf(raw: string): Tokens.Text {
  return { type: 'text', raw, text: raw, escaped: false };
}

function startsBlock(line: string): boolean {
  return (
    FENCE_LINE.test(line) || FIRST_QUOTE_LINE.test(line) || (INTERRUPTING_BULLET.test(line) && !RULE_LINE.test(line))
  );
}

function lineOf(src: string): string {
  const end = src.indexOf('\n');
  return end < 0 ? src : src.slice(0, end);
}

/** Returns the lines of `src` up to the first that does not belong to them. */
function linesWhile(src: string, belongs: (line: string, next: string) => boolean): string {
  let end = 0;
  while (end < src.length) {
    const lineEnd = src.indexOf('\n', end);
    const stop = lineEnd < 0 ? src.length : lineEnd;
    const nextEnd = src.indexOf('\n', stop + 1);
    if (!belongs(src.slice(end, stop), src.slice(stop + 1, nextEnd < 0 ? src.length : nextEnd))) break;
    end = stop + 1;
  }
  return src.slice(0, end).replace(/\n$/, '');
}

function charBefore(text: string, at: number): string {
  return text.slice(Math.max(0, at - 2), at).match(/.$/su)?.[0] ?? '';
}

/** Returns where the closer of a marker begins in a text, before `limit`. */
function findCloser(marker: string, text: string, start: number, limit: number): number | undefined {
  const character = marker[0] as string;
  let at = start;
  for (;;) {
    at = text.indexOf(character, at);
    if (at < 0 || at >= limit) return undefined;
    let end = at;
    while (text[end] === character) end++;
    const length = end - at;
    const next = text.slice(end).match(/^./su)?.[0] ?? '';
    const closes = length === marker.length || (length === 3 && marker.length < 3);
    const isName = character === '_' && NAME_GOES_ON.test(text.slice(end, end + 2));
    if (closes && at > start && !NOT_LAST.test(text[at - 1] ?? ' ') && AFTER_CLOSER.test(next) && !isName) {
      return end - marker.length;
    }
    at = end;
  }
}

/** Returns the address of a link, or undefined if its scheme is not allowed. */
function targetOf(address: string): string | undefined {
  if (!/^(?:https?:\/\/|mailto:)/i.test(address) || /[\p{Cc}\p{Bidi_Control}]/u.test(address)) return undefined;
  return hrefOf(address);
}

function blocksOf(tokens: readonly Token[]): Block[] {
  const blocks: Block[] = [];
  let run: Inline[] = [];
  const endRun = () => {
    const children = trimmed(run);
    if (children.length > 0) blocks.push({ kind: 'text', children });
    run = [];
  };
  for (const token of tokens) {
    const block = blockOf(token);
    if (block) {
      endRun();
      blocks.push(block);
      continue;
    }
    for (const piece of piecesOf(token)) {
      if (isCodeBlock(piece)) {
        endRun();
        blocks.push(codeBlockOf(piece.raw));
      } else append(run, inlineOf(piece, run));
    }
  }
  endRun();
  return blocks;
}

function blockOf(token: Token): Block | undefined {
  switch (token.type) {
    case 'code':
      return { kind: 'code', text: token.text.replace(/\n$/, ''), language: (token.lang ?? '').trim() };
    case 'blockquote':
      return { kind: 'quote', blocks: blocksOf(token.tokens ?? []) };
    case 'list':
      return listOf(token as Tokens.List);
    default:
      return undefined;
  }
}

function listOf({ ordered, items }: Tokens.List): Block {
  const numbers = items.map(({ raw }) => Number(/\d+/.exec(raw)?.[0] ?? 1));
  // Some people number every item 1, and leave the counting to Markdown.
  const counted = numbers.every((number) => number === numbers[0]);
  return {
    kind: 'list',
    ordered,
    bracket: /^\s*\d+\)/.test(items[0]?.raw ?? ''),
    items: items.map(({ tokens }, index) => ({
      value: counted ? (numbers[0] ?? 1) + index : (numbers[index] ?? 1),
      blocks: blocksOf(tokens),
    })),
  };
}

/** Returns the inline tokens of a paragraph, and the line break after it as a token. */
function piecesOf(token: Token): Token[] {
  const { tokens, raw, text } = token as Line;
  if (token.type === 'checkbox' || !tokens) return [textOf(raw)];
  const rest = raw.startsWith(text) ? raw.slice(text.length) : '';
  return [...tokens, textOf(rest)];
}

/** Whether a code span is a code block: three backticks around lines, not on lines of their own. */
function isCodeBlock({ type, raw }: Token): boolean {
  return type === 'codespan' && raw.startsWith('```') && raw.includes('\n');
}

function codeBlockOf(raw: string): Block {
  const text = raw.replace(/^`+|`+$/g, '').replace(/^[^\S\n]*\n|\s+$/g, '');
  return { kind: 'code', text, language: '' };
}

/** Returns the node of a token. @param before the nodes before it */
function inlineOf(token: Token, before: readonly Inline[]): Inline {
  switch (token.type) {
    case 'strong':
    case 'em':
    case 'del':
      return { kind: token.type, children: inlinesOf(token.tokens ?? []) };
    case 'codespan':
      return { kind: 'code', text: token.text };
    case 'link':
      return { kind: 'link', href: token.href, children: inlinesOf(token.tokens ?? []) };
    case 'escape':
      return isEscape(token.text, before.at(-1)) ? token.text : token.raw;
    default:
      return token.raw;
  }
}

function inlinesOf(tokens: readonly Token[]): Inline[] {
  const nodes: Inline[] = [];
  for (const token of tokens) append(nodes, inlineOf(token, nodes));
  return nodes;
}

/** Whether a backslash escapes a character. Others are part of a path, or of `¯\_(ツ)_/¯`. */
function isEscape(character: string, before: Inline | undefined): boolean {
  const text = typeof before === 'string' ? before : before ? ']' : '';
  if ('>#+-'.includes(character)) return text === '' || text.endsWith('\n');
  return BEFORE_OPENER.test(charBefore(text, text.length));
}

/** Appends a node. Adjacent texts are merged, so that a URL is found as a whole. */
function append(nodes: Inline[], node: Inline): void {
  const last = nodes.at(-1);
  if (node === '') return;
  if (typeof node === 'string' && typeof last === 'string') nodes[nodes.length - 1] = last + node;
  else nodes.push(node);
}

/** Removes blank lines at the ends of a run: a block begins there anyway. */
function trimmed(run: readonly Inline[]): Inline[] {
  const nodes = [...run];
  const [first, last] = [nodes[0], nodes.at(-1)];
  if (typeof first === 'string') nodes[0] = first.replace(/^(?:[^\S\n]*\n)+/, '');
  if (typeof last === 'string') nodes[nodes.length - 1] = (nodes.at(-1) as string).replace(/(?:\n[^\S\n]*)+$/, '');
  return nodes.filter((node) => node !== '');
}
