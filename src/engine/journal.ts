import { closeSync, ftruncateSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const NAME = /^journal-(\d+)$/;

/**
 * Files that are written ahead of the store, a line at a time: a line that was written survives the end of the process, and is
 * read again at the next start. The store takes the lines over in its own time, and a file goes when it has all of it.
 */
export class Journal {
  readonly #folder: string;
  #number = 0;
  #file: number | undefined;
  #bytes = 0;
  /** What stands between us and writing on: half a line that could not be taken away again. */
  #broken = false;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * The lines of an earlier life, oldest first. A file ends where a line is not whole: nobody was told of that one.
   * @param parse returns undefined for a line that is none.
   */
  *read<T>(parse: (line: string) => T | undefined): Generator<T> {
    for (const number of this.#numbers()) {
      for (const line of readFileSync(this.#path(number), 'utf8').split('\n')) {
        const entry = parse(line);
        if (entry === undefined) break;
        yield entry;
      }
    }
  }

  /** Begins to write, in a file of its own. */
  open(): void {
    this.#number = Math.max(0, ...this.#numbers());
    this.#begin();
  }

  /** Writes a line. @throws what the file system says; then nothing is written. */
  write(line: string): void {
    if (this.#file === undefined || this.#broken) throw new Error('the journal cannot be written');
    const bytes = Buffer.from(`${line}\n`);
    try {
      for (let done = 0; done < bytes.byteLength; ) done += writeSync(this.#file, bytes, done);
      this.#bytes += bytes.byteLength;
    } catch (error) {
      this.#takeBack(this.#file);
      throw error;
    }
  }

  /** Goes on in another file. @returns the number of the last one that is complete. */
  rotate(): number {
    if (this.#bytes > 0 || this.#broken) {
      this.close();
      this.#begin();
    }
    return this.#number - 1;
  }

  /** The store has all that is in the files up to this one. */
  drop(number: number): void {
    for (const one of this.#numbers()) if (one <= number) rmSync(this.#path(one), { force: true });
  }

  close(): void {
    const file = this.#file;
    this.#file = undefined; // whatever comes of it: its number may soon be another file's
    if (file !== undefined) closeSync(file);
  }

  #begin(): void {
    this.#file = openSync(this.#path(this.#number + 1), 'w');
    this.#number++;
    this.#bytes = 0;
    this.#broken = false;
  }

  #takeBack(file: number): void {
    try {
      ftruncateSync(file, this.#bytes);
    } catch {
      this.#broken = true;
    }
  }

  #numbers(): number[] {
    const numbers = readdirSync(this.#folder).map((name) => Number(NAME.exec(name)?.[1] ?? 0));
    return numbers.filter((number) => number > 0).sort((a, b) => a - b);
  }

  #path(number: number): string {
    return join(this.#folder, `journal-${number}`);
  }
}
