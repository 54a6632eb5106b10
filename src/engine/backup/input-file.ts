import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { BackupError } from './error.ts';
import type { FileSum } from './format.ts';

const CHUNK_BYTES = 1024 * 1024;
// Far above the longest message: what has no line end for longer is damaged.
const MAX_LINE_BYTES = 256 * 1024 * 1024;
const LF = 0x0a;

/** Yields a file's lines without their ends, and adds its bytes to `sum`. */
export async function* linesOf(path: string, sum = new Sum()): AsyncGenerator<Buffer[]> {
  const rest: Buffer[] = [];
  let restBytes = 0;
  for await (const chunk of chunksOf(path)) {
    sum.add(chunk);
    const lines: Buffer[] = [];
    let from = 0;
    for (let to = chunk.indexOf(LF); to !== -1; to = chunk.indexOf(LF, from)) {
      const line = chunk.subarray(from, to);
      lines.push(rest.length === 0 ? line : Buffer.concat([...rest.splice(0), line]));
      restBytes = 0;
      from = to + 1;
    }
    if (from < chunk.byteLength) rest.push(chunk.subarray(from));
    restBytes += chunk.byteLength - from;
    if (restBytes > MAX_LINE_BYTES) throw new BackupError(`${path} has a line that is too long`);
    yield lines;
  }
  if (restBytes > 0) throw new BackupError(`${path} ends within a line`);
}

/** The length and the hash of a file that is being read. */
export class Sum {
  readonly #hash = createHash('sha256');
  #bytes = 0;

  add(chunk: Buffer): void {
    this.#hash.update(chunk);
    this.#bytes += chunk.byteLength;
  }

  /** Reads the rest of a file that is not needed for anything else. */
  async addFile(path: string): Promise<void> {
    for await (const chunk of chunksOf(path)) this.add(chunk);
  }

  /** @returns how the file differs from the manifest; undefined if it does not. */
  differs({ bytes, sha256 }: FileSum): string | undefined {
    if (this.#bytes !== bytes) return `has ${this.#bytes} bytes instead of ${bytes}`;
    return this.#hash.digest('hex') === sha256 ? undefined : 'has another SHA-256 than in the manifest';
  }
}

async function* chunksOf(path: string): AsyncGenerator<Buffer> {
  const file = await open(path);
  try {
    yield* file.createReadStream({ autoClose: false, highWaterMark: CHUNK_BYTES });
  } finally {
    await file.close();
  }
}
