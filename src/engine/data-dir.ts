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

/** What a data directory of Pumphouse says of itself. */
const MARKER = 'pumphouse.json';
const FORMAT = 1;
const SECRET = 'secret';

/** The longest path that a Unix socket may have on every system. */
const SOCKET_PATH = 100;

/** A directory that this process alone uses, from `open` to `close`. */
export class DataDir {
  readonly path: string;
  #lock: Server | undefined;

  constructor(path: string) {
    this.path = path;
  }

  /** Makes the directory if it is not there. Rejects with one clear line when it cannot be used. */
  async open(): Promise<void> {
    try {
      mkdirSync(this.path, { recursive: true });
      accessSync(this.path, constants.R_OK | constants.W_OK | constants.X_OK);
    } catch (error) {
      throw new Error(`the data directory ${this.path} cannot be used (${(error as NodeJS.ErrnoException).code})`);
    }
    this.#checkContents();
    this.#lock = await this.#takeLock();
    try {
      if (!existsSync(this.#file(MARKER))) {
        writeFileSync(this.#file(MARKER), `${JSON.stringify({ format: FORMAT })}\n`);
      }
    } catch (error) {
      this.close();
      throw new Error(`the data directory ${this.path} cannot be written (${(error as NodeJS.ErrnoException).code})`);
    }
  }

  /** A secret that is made once and stays: what is signed with it is known after a restart. */
  secret(): Buffer {
    const file = this.#file(SECRET);
    if (!existsSync(file)) writeFileSync(file, randomBytes(32).toString('hex'), { mode: 0o600 });
    return Buffer.from(readFileSync(file, 'utf8'), 'hex');
  }

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
      const format = formatOf(readFileSync(marker, 'utf8'));
      if (format !== FORMAT) throw new Error(`the data directory ${this.path} has a format that is not known here`);
    } else if (readdirSync(this.path).some((name) => name !== 'lost+found')) {
      throw new Error(`the data directory ${this.path} holds something else; choose an empty one`);
    }
    const fault = faultOf(this.#file('data.mdb'));
    if (fault) throw new Error(`${this.#file('data.mdb')} ${fault}`);
  }

  /** Listens on a socket in the directory: it is there as long as the process is, however that ends. */
  async #takeLock(): Promise<Server> {
    const path = this.#lockPath();
    for (let attempt = 0; attempt < 3; attempt++) {
      const server = await listen(path);
      if (server) return server;
      if (await answers(path)) break;
      rmSync(path, { force: true }); // of a process that was killed
    }
    throw new Error(`the data directory ${this.path} is used by another server`);
  }

  #lockPath(): string {
    const real = realpathSync(this.path);
    const hash = createHash('sha256').update(real).digest('hex').slice(0, 24);
    if (process.platform === 'win32') return `\\\\.\\pipe\\pumphouse-${hash}`;
    const path = join(real, 'lock.sock');
    return Buffer.byteLength(path) <= SOCKET_PATH ? path : join(tmpdir(), `pumphouse-${hash}.sock`);
  }
}

function formatOf(marker: string): unknown {
  try {
    return (JSON.parse(marker) as { format?: unknown } | null)?.format;
  } catch {
    return undefined;
  }
}

/** @returns undefined when something stands in the way. */
function listen(path: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else reject(new Error(`the data directory cannot be locked (${error.code})`));
    });
    server.listen(path, () => {
      server.unref();
      resolve(server);
    });
  });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
