const INITIAL_BYTES = 64 * 1024;

// Longest UTF-16 code unit in UTF-8.
const MAX_BYTES_PER_UNIT = 3;

/** Builds frames of lines in one buffer, which every frame reuses. */
export class LineBuffer {
  readonly #terminator: string;
  #buffer = Buffer.allocUnsafe(INITIAL_BYTES);
  #end = 0;

  /** @param terminator ends the frame. @default nothing */
  constructor(terminator = '') {
    this.#terminator = terminator;
  }

  /** Adds a line. @returns the frame's length so far, in bytes. */
  add(line: string): number {
    const text = this.#end === 0 ? line : `\n${line}`;
    const maxEnd = this.#end + text.length * MAX_BYTES_PER_UNIT + this.#terminator.length;
    if (maxEnd > this.#buffer.byteLength) this.#grow(maxEnd);
    this.#end += this.#buffer.write(text, this.#end);
    return this.#end;
  }

  /** Ends the frame after `length` bytes, without the lines past them. @returns a copy of it. */
  take(length = this.#end): Uint8Array {
    const terminated = length + this.#buffer.write(this.#terminator, length);
    this.#end = 0;
    return Buffer.from(this.#buffer.subarray(0, terminated));
  }

  #grow(minBytes: number): void {
    const larger = Buffer.allocUnsafe(Math.max(minBytes, this.#buffer.byteLength * 2));
    this.#buffer.copy(larger, 0, 0, this.#end);
    this.#buffer = larger;
  }
}
