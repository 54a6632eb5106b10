import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ConnectionOptions } from 'node:tls';
import { freePort } from '../../bench/free-port.ts';
import { RedisConnection } from './connection.ts';
import { findRedis } from './install.ts';
import type { Reply } from './resp.ts';
import { waitUntil } from './wait.ts';

const START_MS = 10_000;
const LOG_LENGTH = 20_000;
const running = new Set<ChildProcess>();

// A test run that is interrupted leaves no servers behind.
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** The configuration of a server: directives of `redis.conf`, in order. */
export type Directive = readonly [name: string, ...values: readonly (string | number)[]];

/** PEM texts of a certificate for 127.0.0.1, which is its own authority. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** How to start a server, and how to connect to it. */
export interface ServerSpec {
  readonly directives: readonly Directive[];
  /** Flags after the configuration file, such as `--sentinel`. */
  readonly flags?: readonly string[];
  /** The arguments of AUTH. @default it is not sent */
  readonly credentials?: readonly string[];
  readonly tls?: ConnectionOptions;
}

/**
 * A server process with a configuration file in a folder of its own, on a free port of 127.0.0.1.
 * Redis and its sentinels rewrite the file, so a restarted process keeps its role.
 */
export class ServerProcess {
  readonly port: number;
  readonly folder: string;
  readonly #spec: ServerSpec;
  #child: ChildProcess | undefined;
  #connection: RedisConnection | undefined;
  #log = '';

  protected constructor(port: number, folder: string, spec: ServerSpec) {
    this.port = port;
    this.folder = folder;
    this.#spec = spec;
  }

  /** @returns the arguments of the constructor, after writing the files of a new server. */
  protected static async prepare(
    specify: (port: number, folder: string) => ServerSpec,
  ): Promise<[port: number, folder: string, spec: ServerSpec]> {
    const port = await freePort();
    const folder = mkdtempSync(join(tmpdir(), 'pumphouse-redis-'));
    const spec = specify(port, folder);
    const lines = spec.directives.map((words) => words.map(quote).join(' '));
    writeFileSync(join(folder, 'server.conf'), `${lines.join('\n')}\n`);
    return [port, folder, spec];
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The end of what the server has logged. */
  get log(): string {
    return this.#log;
  }

  /** Runs a command on a connection of this object's own, which is opened when it is needed. */
  async command(...args: readonly (string | number | Buffer)[]): Promise<Reply> {
    if (this.#connection === undefined || this.#connection.closed) this.#connection = await this.connect();
    return this.#connection.command(...args);
  }

  /** Opens a connection, authenticated if the server has a password. The caller closes it. */
  async connect(): Promise<RedisConnection> {
    const connection = new RedisConnection(this.port, this.#spec.tls);
    const { credentials } = this.#spec;
    if (credentials) await connection.command('AUTH', ...credentials);
    return connection;
  }

  /** Returns a field of INFO, such as `master_link_status`. */
  async info(field: string): Promise<string | undefined> {
    const lines = String(await this.command('INFO')).split('\r\n');
    return lines.find((line) => line.startsWith(`${field}:`))?.slice(field.length + 1);
  }

  /** Sends a signal and waits for the process to exit. @default SIGKILL */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#child;
    this.#connection?.close();
    this.#connection = undefined;
    if (child === undefined || !this.running) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  }

  /** Stops the process where it is: its connections stay open and silent. */
  pause(): void {
    this.#child?.kill('SIGSTOP');
  }

  /** Continues a paused process. */
  resume(): void {
    this.#child?.kill('SIGCONT');
  }

  /** Starts the process again on its port and folder, after `kill`, and waits until it is ready. */
  async restart(): Promise<void> {
    await this.kill();
    await this.launch();
  }

  /** Kills the process and deletes its folder. */
  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Starts the process and waits until it accepts commands, with its data loaded. */
  protected async launch(): Promise<void> {
    const { path, reason } = await findRedis();
    if (path === undefined) throw new Error(reason);
    const child = spawn(path, [join(this.folder, 'server.conf'), ...(this.#spec.flags ?? [])], {
      cwd: this.folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    running.add(child);
    child.once('exit', () => running.delete(child));
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (text) => {
        this.#log = (this.#log + text).slice(-LOG_LENGTH);
      });
    }
    const ready = async () => {
      if (!this.running) return true;
      return (await this.command('PING')) === 'PONG';
    };
    await waitUntil(`the server on port ${this.port} accepts commands`, ready, START_MS);
    if (!this.running) throw new Error(`the server on port ${this.port} exited at its start:\n${this.#log}`);
  }
}

/** Writes the files of a certificate. @returns the directives of a server that accepts TLS only. */
export function tlsDirectives(port: number, folder: string, { cert, key }: Certificate): Directive[] {
  const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  writeFileSync(certFile, cert);
  writeFileSync(keyFile, key);
  return [
    ['port', 0],
    ['tls-port', port],
    ['tls-cert-file', certFile],
    ['tls-key-file', keyFile],
    ['tls-ca-cert-file', certFile],
    ['tls-auth-clients', 'no'],
    ['tls-replication', 'yes'],
  ];
}

/** The options of a TLS connection to such a server. */
export function tlsOptions({ cert }: Certificate): ConnectionOptions {
  return { ca: cert, checkServerIdentity: () => undefined };
}

function quote(word: string | number): string {
  return /^[\w./:~+@*-]+$/.test(String(word)) ? String(word) : JSON.stringify(word);
}
