import { closeSync, ftruncateSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const FILE_NAME = /^journal-(\d+)$/;

/**
 * A write-ahead log of numbered files, one entry a line. A written line survives the end of the
 * process and is read back at the next start. The engine drops a file once the store holds all of
 * its lines.
 */
export class Journal {
  readonly #folder: string;
  #number = 0;
  #file: number | undefined;
  #bytes = 0;
  /** The file ends in part of a line that could not be truncated. `rotate` clears this. */
  #damaged = false;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * Yields the entries of earlier processes, oldest first. A file ends at its first invalid line:
   * the write of that line never completed, so its messages were not committed.
   *
   * @param parse returns undefined for an invalid line.
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

  /** Starts a new file for this process's entries. */
  open(): void {
    this.#number = Math.max(0, ...this.#numbers());
    this.#begin();
  }

  /**
   * Appends one line, or nothing at all.
   *
   * @throws the file system's error; or Error when the journal is closed or damaged.
   */
  write(line: string): void {
    if (this.#file === undefined || this.#damaged) throw new Error('the journal cannot be written');
    const bytes = Buffer.from(`${line}\n`);
    try {
      for (let written = 0; written < bytes.byteLength; ) written += writeSync(this.#file, bytes, written);
      this.#bytes += bytes.byteLength;
    } catch (error) {
      this.#truncate(this.#file);
      throw error;
    }
  }

  /**
   * Continues in a new file unless the current one is empty.
   *
   * @returns the number of the last complete file.
   */
  rotate(): number {
    if (this.#bytes > 0 || this.#damaged) {
      this.close();
      this.#begin();
    }
    return this.#number - 1;
  }

  /** Deletes the files up to and including `last`. */
  drop(last: number): void {
    for (const number of this.#numbers()) if (number <= last) rmSync(this.#path(number), { force: true });
  }

  close(): void {
    const file = this.#file;
    this.#file = undefined; // first, even if closing fails: the descriptor may soon be another file's
    if (file !== undefined) closeSync(file);
  }

  #begin(): void {
    this.#file = openSync(this.#path(this.#number + 1), 'w');
    this.#number++;
    this.#bytes = 0;
    this.#damaged = false;
  }

  /** Removes what a failed write left behind. */
  #truncate(file: number): void {
    try {
      ftruncateSync(file, this.#bytes);
    } catch {
      this.#damaged = true;
    }
  }

  #numbers(): number[] {
    const numbers = readdirSync(this.#folder).map((name) => Number(FILE_NAME.exec(name)?.[1] ?? 0));
    return numbers.filter((number) => number > 0).sort((a, b) => a - b);
  }

  #path(number: number): string {
    return join(this.#folder, `journal-${number}`);
  }
}
