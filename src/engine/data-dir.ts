import { createHash, randomBytes } from 'node:crypto';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { faultOf } from './lmdb-file.ts';

/** The file that marks a directory as Pumphouse's and holds its format number. */
const MARKER = 'pumphouse.json';
const FORMAT = 2;
const SECRET = 'secret';
const SECRET_BYTES = 32;

// Unix socket paths are limited to 104 bytes on macOS and 108 on Linux, terminator included.
const MAX_SOCKET_PATH_BYTES = 100;

// A lock left by a killed process is removed and taken in the second attempt; the third covers a
// race with another server.
const LOCK_ATTEMPTS = 3;

const LOCK = 'lock.sock';

/** Names of files in a data directory, besides the store's and the journal's. */
export const DATA_FILES = { marker: MARKER, lock: LOCK, secret: SECRET } as const;

/**
 * Checks that a directory is a data directory that this version can read, without a lock.
 *
 * @throws Error with one line.
 */
export function checkDataDir(path: string): void {
  const format = formatOf(readMarker(path));
  if (typeof format === 'number' && format > FORMAT) {
    throw new Error(`the data directory ${path} has the format ${format}, of a newer version of Pumphouse`);
  }
  if (format !== FORMAT) throw new Error(`the data directory ${path} has an unknown format`);
  const store = join(path, 'data.mdb');
  const fault = faultOf(store);
  if (fault) throw new Error(`${store} ${fault}`);
}

/** Returns the content of the file that marks a directory as a data directory. */
export function markerText(): string {
  return `${JSON.stringify({ format: FORMAT })}\n`;
}

/** A data directory, locked by this process from `open` to `close`. */
export class DataDir {
  readonly path: string;
  #lock: Server | undefined;

  constructor(path: string) {
    this.path = path;
  }

  /**
   * Creates the directory if it is missing, checks its contents and locks it. Rejects with a
   * one-line message when the directory is unusable or in use.
   */
  async open(): Promise<void> {
    try {
      mkdirSync(this.path, { recursive: true });
      accessSync(this.path, constants.R_OK | constants.W_OK | constants.X_OK);
    } catch (error) {
      throw new Error(`the data directory ${this.path} cannot be used (${(error as NodeJS.ErrnoException).code})`);
    }
    this.#checkContents();
    await this.lock();
    try {
      if (!existsSync(this.#file(MARKER))) {
        writeFileSync(this.#file(MARKER), markerText());
      }
    } catch (error) {
      this.close();
      throw new Error(`the data directory ${this.path} cannot be written (${(error as NodeJS.ErrnoException).code})`);
    }
  }

  /** Locks the directory, which must exist, whatever it contains. Rejects when it is in use. */
  async lock(): Promise<void> {
    this.#lock = await this.#takeLock();
  }

  /**
   * Returns the directory's 32-byte secret, created on first use. Signatures stay valid across
   * restarts.
   */
  secret(): Buffer {
    const file = this.#file(SECRET);
    if (!existsSync(file)) writeFileSync(file, randomBytes(SECRET_BYTES).toString('hex'), { mode: 0o600 });
    return Buffer.from(readFileSync(file, 'utf8'), 'hex');
  }

  /** Releases the lock. */
  close(): void {
    this.#lock?.close();
    this.#lock = undefined;
  }

  #file(name: string): string {
    return join(this.path, name);
  }

  #checkContents(): void {
    const marker = this.#file(MARKER);
    if (existsSync(marker)) {
      if (formatOf(readFileSync(marker, 'utf8')) !== FORMAT) {
        throw new Error(`the data directory ${this.path} has an unknown format; choose another directory`);
      }
    } else if (readdirSync(this.path).some((name) => name !== 'lost+found')) {
      throw new Error(`the data directory ${this.path} contains other files; choose an empty directory`);
    }
    const fault = faultOf(this.#file('data.mdb'));
    if (fault) throw new Error(`${this.#file('data.mdb')} ${fault}`);
  }

  /** Listens on a local socket. The kernel closes it when the process ends, even by a kill. */
  async #takeLock(): Promise<Server> {
    const path = this.#lockPath();
    for (let attempt = 0; attempt < LOCK_ATTEMPTS; attempt++) {
      const server = await listen(path, this.path);
      if (server) return server;
      if (await accepts(path)) break;
      rmSync(path, { force: true }); // left by a process that was killed
    }
    throw new Error(`the data directory ${this.path} is in use by another server`);
  }

  #lockPath(): string {
    const real = realpathSync(this.path);
    const hash = createHash('sha256').update(real).digest('hex').slice(0, 24);
    if (process.platform === 'win32') return `\\\\.\\pipe\\pumphouse-${hash}`;
    const path = join(real, LOCK);
    const fits = Buffer.byteLength(path) <= MAX_SOCKET_PATH_BYTES;
    return fits ? path : join(tmpdir(), `pumphouse-${hash}.sock`);
  }
}

function readMarker(path: string): string {
  try {
    return readFileSync(join(path, MARKER), 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const isMissing = code === 'ENOENT' || code === 'ENOTDIR';
    if (!isMissing) throw new Error(`the data directory ${path} cannot be read (${code})`);
    if (existsSync(path)) throw new Error(`${path} is not a data directory: it has no ${MARKER}`);
    throw new Error(`the data directory ${path} does not exist`);
  }
}

/** @returns undefined when the marker file is not valid JSON. */
function formatOf(marker: string): unknown {
  try {
    return (JSON.parse(marker) as { format?: unknown } | null)?.format;
  } catch {
    return undefined;
  }
}

/** Listens on `path`. Resolves with undefined when the path is taken. */
function listen(path: string, directory: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else reject(new Error(`the data directory ${directory} cannot be locked (${error.code})`));
    });
    server.listen(path, () => {
      server.unref();
      resolve(server);
    });
  });
}

/** Resolves with whether a process accepts connections on `path`. */
function accepts(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
