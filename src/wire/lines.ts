const SMALLEST = 64 * 1024;

// The longest that a UTF-16 code unit is in UTF-8.
const MOST_BYTES = 3;

/** Puts a frame together line by line, in a buffer that the next frame uses again. */
export class Lines {
  #buffer = Buffer.allocUnsafe(SMALLEST);
  #end = 0;

  /** Adds a line. @returns the frame's length so far, in bytes. */
  add(line: string): number {
    const text = this.#end === 0 ? line : `\n${line}`;
    const most = this.#end + text.length * MOST_BYTES;
    if (most > this.#buffer.byteLength) this.#grow(most);
    this.#end += this.#buffer.write(text, this.#end);
    return this.#end;
  }

  /** Ends the frame. @param length leaves out the lines after it. @returns its bytes, which are the caller's to keep. */
  take(length = this.#end): Uint8Array {
    this.#end = 0;
    return Buffer.from(this.#buffer.subarray(0, length));
  }

  #grow(most: number): void {
    const grown = Buffer.allocUnsafe(Math.max(most, this.#buffer.byteLength * 2));
    this.#buffer.copy(grown, 0, 0, this.#end);
    this.#buffer = grown;
  }
}
