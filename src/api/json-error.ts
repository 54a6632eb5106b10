/** The place where a text stops being JSON. */
export interface JsonError {
  /** In UTF-16 code units, from 0. */
  readonly position: number;
  /** What JSON could have there. */
  readonly expected: string;
}

const SCALAR = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;
const SPACES = /[\t\n\r ]*/y;
// Everything from the space on, without quote and backslash, then an escape.
const STRING_PART = /[ !#-[\]-\u{10ffff}]*(?:\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))?/uy;

type State = 'value' | 'value or ]' | 'key or }' | 'key' | ':' | ', or ]' | ', or }' | 'the end';

/**
 * Finds where a text that JSON.parse rejects stops being JSON: the parser's own messages do not
 * always name the position.
 */
export function findJsonError(text: string): JsonError {
  return new Scanner(text).run();
}

class Scanner {
  readonly #text: string;
  /** The state that follows the end of each open array and object, innermost last. */
  readonly #after: State[] = [];
  #state: State = 'value';
  #position = 0;

  constructor(text: string) {
    this.#text = text;
  }

  run(): JsonError {
    do this.#skip(SPACES);
    while (this.#step());
    return { position: this.#position, expected: describe(this.#state) };
  }

  /** Takes one token. @returns false when it does not fit. */
  #step(): boolean {
    const char = this.#text[this.#position];
    switch (this.#state) {
      case 'the end':
        return false;
      case ':':
        return char === ':' && this.#take('value');
      case 'key or }':
        return char === '}' ? this.#close() : this.#key();
      case 'key':
        return this.#key();
      case ', or }':
        return char === '}' ? this.#close() : char === ',' && this.#take('key');
      case ', or ]':
        return char === ']' ? this.#close() : char === ',' && this.#take('value');
      case 'value or ]':
        return char === ']' ? this.#close() : this.#value(char);
      case 'value':
        return this.#value(char);
    }
  }

  #key(): boolean {
    if (!this.#string()) return false;
    this.#state = ':';
    return true;
  }

  #value(char: string | undefined): boolean {
    if (char === '[') return this.#open('value or ]', ', or ]');
    if (char === '{') return this.#open('key or }', ', or }');
    if (!(char === '"' ? this.#string() : this.#skip(SCALAR))) return false;
    this.#state = this.#after.at(-1) ?? 'the end';
    return true;
  }

  #open(first: State, then: State): boolean {
    this.#after.push(then);
    return this.#take(first);
  }

  #close(): boolean {
    this.#after.pop();
    return this.#take(this.#after.at(-1) ?? 'the end');
  }

  #take(next: State): true {
    this.#position++;
    this.#state = next;
    return true;
  }

  /** Stops at the character that a string cannot have. */
  #string(): boolean {
    if (this.#text[this.#position] !== '"') return false;
    this.#position++;
    while (this.#skip(STRING_PART)) {}
    if (this.#text[this.#position] !== '"') return false;
    this.#position++;
    return true;
  }

  /** @returns whether it has skipped something. */
  #skip(pattern: RegExp): boolean {
    pattern.lastIndex = this.#position;
    const length = pattern.exec(this.#text)?.[0].length ?? 0;
    this.#position += length;
    return length > 0;
  }
}

function describe(state: State): string {
  return state === 'value' || state === 'key' || state === 'the end' ? NAMES[state] : state;
}

const NAMES = { value: 'a value', key: 'a key in quotes', 'the end': 'the end of the body' } as const;
