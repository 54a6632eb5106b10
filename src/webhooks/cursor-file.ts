import { closeSync, fdatasync, ftruncateSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { promisify } from 'node:util';

const flush = promisify(fdatasync);

// Lines that the file may have beyond twice as many as are in force.
const SLACK_LINES = 10_000;
const LINES_PER_TURN = 1_000;

/** A new copy of the file, which is being written. */
interface Copy {
  readonly descriptor: number;
  lines: number;
}

/**
 * A file of lines, each of which replaces the earlier one of the same key. A written line survives
 * the end of the process. From time to time the file is copied without the lines that are no longer
 * in force.
 */
export class CursorFile {
  readonly #path: string;
  /** Returns the lines in force, in any order. They may change while they are iterated over. */
  readonly #inForce: () => Iterable<string>;
  readonly #onError: (error: Error) => void;
  #descriptor = -1;
  #bytes = 0;
  #lines = 0;
  /** How many lines the file may have before it is copied. */
  #maxLines = SLACK_LINES;
  #copy: Copy | undefined;
  #copying: Promise<void> | undefined;
  #flushing: Promise<void> | undefined;
  /** The flush that follows the one that runs. */
  #nextFlush: Promise<void> | undefined;

  constructor(path: string, inForce: () => Iterable<string>, onError: (error: Error) => void) {
    this.#path = path;
    this.#inForce = inForce;
    this.#onError = onError;
  }

  /**
   * Opens the file and passes its lines on. A last line without an end was never written whole: it
   * is cut off.
   *
   * @throws Error with one line when the file cannot be used.
   */
  open(read: (line: string) => void): void {
    rmSync(this.#copyPath, { force: true });
    this.#descriptor = openSync(this.#path, 'a+', 0o600);
    const text = readFileSync(this.#path, 'utf8');
    const end = text.lastIndexOf('\n') + 1;
    for (const line of text.slice(0, end).split('\n')) {
      if (line === '') continue;
      this.#lines++;
      try {
        read(line);
      } catch (cause) {
        throw new Error(`${this.#path} is damaged at line ${this.#lines}; remove the line`, { cause });
      }
    }
    this.#bytes = Buffer.byteLength(text.slice(0, end));
    ftruncateSync(this.#descriptor, this.#bytes);
    this.#setMaxLines();
  }

  /** Appends a line, or nothing at all. @throws the file system's error. */
  write(line: string): void {
    const bytes = Buffer.from(`${line}\n`);
    try {
      writeAll(this.#descriptor, bytes);
    } catch (error) {
      ftruncateSync(this.#descriptor, this.#bytes);
      throw error;
    }
    this.#bytes += bytes.byteLength;
    this.#lines++;
    if (this.#copy) this.#writeCopy(this.#copy, bytes);
    else if (this.#lines > this.#maxLines) this.#copying = this.#copyAll();
  }

  /** Resolves when all lines so far survive the loss of power. One flush serves many callers. */
  flushed(): Promise<void> {
    if (!this.#flushing) return this.#flush();
    // The flush that runs may have begun before the last line.
    const next = () => {
      this.#nextFlush = undefined;
      return this.#flush();
    };
    this.#nextFlush ??= this.#flushing.then(next, next);
    return this.#nextFlush;
  }

  async close(): Promise<void> {
    await this.#copying;
    await this.flushed().catch(this.#onError);
    closeSync(this.#descriptor);
  }

  get #copyPath(): string {
    return `${this.#path}.copy`;
  }

  #flush(): Promise<void> {
    const flushing = flush(this.#descriptor).finally(() => {
      if (this.#flushing === flushing) this.#flushing = undefined;
    });
    this.#flushing = flushing;
    return flushing;
  }

  #setMaxLines(): void {
    let inForce = 0;
    for (const _ of this.#inForce()) inForce++;
    this.#maxLines = 2 * inForce + SLACK_LINES;
  }

  /** Copies the lines in force, some in each turn. Lines that are written meanwhile follow. */
  async #copyAll(): Promise<void> {
    try {
      const copy = { descriptor: openSync(this.#copyPath, 'ax', 0o600), lines: 0 };
      this.#copy = copy;
      let lines: string[] = [];
      for (const line of this.#inForce()) {
        if (lines.push(line) < LINES_PER_TURN) continue;
        this.#writeCopy(copy, Buffer.from(`${lines.join('\n')}\n`), lines.length);
        lines = [];
        await nextTurn();
        if (this.#copy !== copy) return; // it has failed
      }
      if (lines.length > 0) this.#writeCopy(copy, Buffer.from(`${lines.join('\n')}\n`), lines.length);
      await flush(copy.descriptor);
      await this.#flushing?.catch(() => {});
      if (this.#copy === copy) this.#replace(copy);
    } catch (error) {
      this.#dropCopy(error as Error);
    } finally {
      this.#copying = undefined;
    }
  }

  /** The copy takes the file's place. */
  #replace(copy: Copy): void {
    renameSync(this.#copyPath, this.#path);
    closeSync(this.#descriptor);
    this.#descriptor = copy.descriptor;
    this.#copy = undefined;
    this.#lines = copy.lines;
    this.#bytes = readFileSync(this.#path).byteLength;
    this.#setMaxLines();
  }

  #writeCopy(copy: Copy, bytes: Buffer, lines = 1): void {
    try {
      writeAll(copy.descriptor, bytes);
      copy.lines += lines;
    } catch (error) {
      this.#dropCopy(error as Error);
    }
  }

  /** The file stays as it is, and is copied after as many lines again. */
  #dropCopy(error: Error): void {
    if (this.#copy) closeSync(this.#copy.descriptor);
    this.#copy = undefined;
    rmSync(this.#copyPath, { force: true });
    this.#maxLines = 2 * this.#lines;
    this.#onError(error);
  }
}

function writeAll(descriptor: number, bytes: Buffer): void {
  for (let written = 0; written < bytes.byteLength; ) written += writeSync(descriptor, bytes, written);
}
