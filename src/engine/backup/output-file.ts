import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { FileSum } from './format.ts';

// The disk is written to in steps, so that a server beside does not wait for one large flush.
const SYNC_BYTES = 8 * 1024 * 1024;

/** A new file of a backup, hashed while it is written. */
export class OutputFile {
  readonly #name: string;
  readonly #file: FileHandle;
  readonly #hash = createHash('sha256');
  #bytes = 0;
  #unsynced = 0;

  private constructor(name: string, file: FileHandle) {
    this.#name = name;
    this.#file = file;
  }

  /** @param name the file's path in the folder. */
  static async create(folder: string, name: string, mode = 0o600): Promise<OutputFile> {
    return new OutputFile(name, await open(join(folder, name), 'wx', mode));
  }

  async write(chunk: Buffer): Promise<void> {
    this.#hash.update(chunk);
    this.#bytes += chunk.byteLength;
    await this.#file.appendFile(chunk);
    this.#unsynced += chunk.byteLength;
    if (this.#unsynced < SYNC_BYTES) return;
    await this.#file.datasync();
    this.#unsynced = 0;
  }

  /** Flushes the file to the disk and closes it. */
  async finish(): Promise<FileSum> {
    await this.#file.sync();
    await this.close();
    return { name: this.#name, bytes: this.#bytes, sha256: this.#hash.digest('hex') };
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** Flushes a folder's entries to the disk, where the system can. */
export async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
