import {
  closeSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

const FILE_NAME = /^journal-(\d+)$/;

// A reading fails only if the file was truncated meanwhile.
const STABLE_READ_ATTEMPTS = 10;

/** A file of the journal, open for appending. */
interface JournalFile {
  readonly number: number;
  readonly descriptor: number;
}

/**
 * A write-ahead log of numbered files, one entry a line. A written line survives the end of the
 * process and is read back at the next start. The engine drops a file once the store holds all of
 * its lines. One dropped file is kept, empty, and becomes the next one.
 */
export class Journal {
  readonly #folder: string;
  #number = 0;
  #file: JournalFile | undefined;
  #bytes = 0;
  /** The file ends in part of a line that could not be truncated. `rotate` clears this. */
  #damaged = false;
  /** Files that are neither written to nor dropped, oldest first. */
  #complete: JournalFile[] = [];
  #spare: JournalFile | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Returns how many bytes its files hold. */
  size(): number {
    const files = this.#file === undefined ? this.#complete : [...this.#complete, this.#file];
    return files.reduce((sum, { descriptor }) => sum + fstatSync(descriptor).size, 0);
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

  /** Deletes the files of earlier processes. Call it after `open`. */
  forget(): void {
    for (const number of this.#numbers()) if (number !== this.#number) rmSync(this.#path(number), { force: true });
  }

  /**
   * Appends one line, or nothing at all.
   *
   * @throws the file system's error; or Error when the journal is closed or damaged.
   */
  write(line: string): void {
    if (this.#file === undefined || this.#damaged) throw new Error('the journal cannot be written');
    const { descriptor } = this.#file;
    const bytes = Buffer.from(`${line}\n`);
    try {
      for (let written = 0; written < bytes.byteLength; ) written += writeSync(descriptor, bytes, written);
      this.#bytes += bytes.byteLength;
    } catch (error) {
      this.#truncate(descriptor);
      throw error;
    }
  }

  /**
   * Continues in another file unless the current one is empty.
   *
   * @returns the number of the last complete file.
   */
  rotate(): number {
    if (this.#bytes > 0 || this.#damaged) {
      if (this.#file !== undefined) this.#complete.push(this.#file);
      this.#file = undefined;
      this.#begin();
    }
    return this.#number - 1;
  }

  /** Drops the files up to and including `last`. */
  drop(last: number): void {
    while (this.#complete[0] !== undefined && this.#complete[0].number <= last) {
      const file = this.#complete.shift() as JournalFile;
      if (this.#spare === undefined && empty(file.descriptor)) this.#spare = file;
      else this.#delete(file);
    }
  }

  close(): void {
    const files = [this.#file, this.#spare, ...this.#complete];
    this.#file = undefined; // first, even if closing fails: a descriptor may soon be another file's
    this.#spare = undefined;
    this.#complete = [];
    for (const file of files) if (file !== undefined) closeSync(file.descriptor);
  }

  #begin(): void {
    const number = this.#number + 1;
    const spare = this.#spare;
    this.#spare = undefined;
    if (spare === undefined) this.#file = { number, descriptor: openSync(this.#path(number), 'a') };
    else this.#file = this.#renumber(spare, number);
    this.#number = number;
    this.#bytes = 0;
    this.#damaged = false;
  }

  #renumber(file: JournalFile, number: number): JournalFile {
    try {
      renameSync(this.#path(file.number), this.#path(number));
    } catch (error) {
      closeSync(file.descriptor);
      throw error;
    }
    return { ...file, number };
  }

  #delete({ number, descriptor }: JournalFile): void {
    closeSync(descriptor);
    rmSync(this.#path(number), { force: true });
  }

  /** Removes what a failed write left behind. */
  #truncate(descriptor: number): void {
    try {
      ftruncateSync(descriptor, this.#bytes);
    } catch {
      this.#damaged = true;
    }
  }

  #numbers(): number[] {
    return numbersIn(this.#folder);
  }

  #path(number: number): string {
    return join(this.#folder, `journal-${number}`);
  }
}

/**
 * Yields the complete lines of each file, oldest first, while another process may write, drop and
 * rename the files. A file that is dropped meanwhile may be left out: the store has its lines.
 *
 * @throws the file system's error.
 */
export function* journalFilesBeside(folder: string): Generator<string[]> {
  for (const number of numbersIn(folder)) {
    const text = readStable(join(folder, `journal-${number}`));
    yield text
      .slice(0, text.lastIndexOf('\n') + 1)
      .split('\n')
      .slice(0, -1);
  }
}

/**
 * Reads a file until two readings agree. A renamed file begins with other lines, so only one that
 * still has its name after it was read has no mix of old and new ones.
 */
function readStable(path: string): string {
  for (let attempt = 0; attempt < STABLE_READ_ATTEMPTS; attempt++) {
    let descriptor: number;
    try {
      descriptor = openSync(path, 'r');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
      throw error;
    }
    try {
      const bytes = readFileSync(descriptor);
      const again = Buffer.alloc(bytes.byteLength);
      const length = readSync(descriptor, again, 0, again.byteLength, 0);
      if (statSync(path, { throwIfNoEntry: false })?.ino !== fstatSync(descriptor).ino) return '';
      if (length === bytes.byteLength && again.equals(bytes)) return bytes.toString();
    } finally {
      closeSync(descriptor);
    }
  }
  throw new Error(`${path} cannot be read while it changes`);
}

function numbersIn(folder: string): number[] {
  const numbers = readdirSync(folder).map((name) => Number(FILE_NAME.exec(name)?.[1] ?? 0));
  return numbers.filter((number) => number > 0).sort((a, b) => a - b);
}

function empty(descriptor: number): boolean {
  try {
    ftruncateSync(descriptor, 0);
    return true;
  } catch {
    return false;
  }
}
