import type { ReadStream, WriteStream } from 'node:tty';
import { type ScreenSize, withoutStyles } from './screen.ts';
import { columnsOf } from './text.ts';

const ALTERNATE_SCREEN = '\x1b[?1049h\x1b[?25l';
const NORMAL_SCREEN = '\x1b[?25h\x1b[?1049l';
const HOME = '\x1b[H';
const CLEAR_LINE = '\x1b[K';
const CLEAR_BELOW = '\x1b[J';

const QUIT_KEYS = new Set(['q', 'Q', '\x03', '\x04']);

/** The alternate screen of a terminal. `close` restores what was there before. */
export class Screen {
  readonly #input: ReadStream;
  readonly #output: WriteStream;
  readonly #onKey: (data: Buffer) => void;
  readonly #onResize: () => void;
  #open = true;

  /**
   * @param onQuit is called for q and Ctrl+C.
   * @param onResize is called when the size has changed.
   */
  constructor(input: ReadStream, output: WriteStream, onQuit: () => void, onResize: () => void) {
    this.#input = input;
    this.#output = output;
    this.#onKey = (data) => {
      if (QUIT_KEYS.has(data.toString().charAt(0))) onQuit(); // later ones may belong to a function key
    };
    this.#onResize = onResize;
    output.write(ALTERNATE_SCREEN);
    output.on('resize', onResize);
    if (!input.isTTY) return;
    input.setRawMode(true);
    input.on('data', this.#onKey).resume();
  }

  get size(): ScreenSize {
    return { columns: this.#output.columns, rows: this.#output.rows };
  }

  /** Draws over the last lines, in one write. A terminal that is slow misses some. */
  draw(lines: readonly string[]): void {
    if (!this.#open || this.#output.writableNeedDrain) return;
    const { columns, rows } = this.size;
    // Behind a full line the cursor stands on its last letter, which would be cleared, too.
    const text = lines.map((line) => (columnsOf(withoutStyles(line)) < columns ? line + CLEAR_LINE : line));
    const below = lines.length < rows ? `\r\n${CLEAR_BELOW}` : '';
    this.#output.write(`${HOME}${text.join('\r\n')}${below}`);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#output.off('resize', this.#onResize);
    this.#output.write(NORMAL_SCREEN);
    if (!this.#input.isTTY) return;
    this.#input.off('data', this.#onKey).pause();
    this.#input.setRawMode(false);
  }
}
