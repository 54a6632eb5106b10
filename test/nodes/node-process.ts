import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { freePort } from '../../bench/free-port.ts';
import type { RedisOptions as EngineOptions } from '../../src/engine/redis/redis.ts';
import { send } from '../api/http.ts';
import { waitUntil } from '../redis/wait.ts';
import { built } from '../server.ts';

const START_MS = 20_000;
const LOG_LENGTH = 100_000;
const running = new Set<ChildProcess>();

// A test run that is interrupted leaves no nodes behind.
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export interface NodeOptions {
  /**
   * URLs of Redis: several are shards, or sentinels with `sentinel`. @default the engine `memory`
   */
  readonly redis?: readonly string[];
  /** The name of the primary that the sentinels watch. */
  readonly sentinel?: string;
  /**
   * Shorter times of the engine, for a test that waits for their end and does not measure them. The
   * node is then a program that has no flags. @default those of `serve`
   */
  readonly times?: Pick<EngineOptions, 'patienceMs' | 'lease'>;
  /** Further flags of `serve`, such as `--retain`. */
  readonly flags?: readonly string[];
  /** Variables of the environment, beside those of the tests. */
  readonly env?: Readonly<Record<string, string>>;
  /** @default a free port, which a restart keeps */
  readonly port?: number;
  /** The path that answers 200 once the node has started. @default '/healthz' */
  readonly ready?: string;
}

/** A node: `pumphouse serve` from the build, in its own process. */
export class NodeProcess {
  readonly port: number;
  readonly #options: NodeOptions;
  #child: ChildProcess | undefined;
  #log = '';

  private constructor(port: number, options: NodeOptions) {
    this.port = port;
    this.#options = options;
  }

  /** Starts a node and waits until it is healthy. Rejects with its log if it exits first. */
  static async start(options: NodeOptions = {}): Promise<NodeProcess> {
    const node = new NodeProcess(options.port ?? (await freePort()), options);
    await node.#launch();
    return node;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The exit code; undefined while the node runs, and after a signal. */
  get exitCode(): number | undefined {
    return this.#child?.exitCode ?? undefined;
  }

  /** The end of what the node has logged, across restarts. */
  get log(): string {
    return this.#log;
  }

  /**
   * Returns the status of a GET, such as of `/readyz`; undefined without an answer in 2 seconds.
   */
  async status(path: string): Promise<number | undefined> {
    const signal = AbortSignal.timeout(2_000);
    return send(`${this.url}${path}`, { signal }).then(
      ({ status }) => status,
      () => undefined,
    );
  }

  /** Resident memory in bytes. */
  async memory(): Promise<number> {
    const text = await fetch(`${this.url}/metrics`).then((response) => response.text());
    return Number(text.match(/^process_resident_memory_bytes (.*)$/m)?.[1]);
  }

  /** Sends a signal and waits for the process to exit. @default SIGKILL */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#child;
    if (child === undefined || !this.running) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  }

  /** Stops the process where it is, as a long pause of a virtual machine does. */
  pause(): void {
    this.#child?.kill('SIGSTOP');
  }

  /** Continues a paused process. */
  resume(): void {
    this.#child?.kill('SIGCONT');
  }

  /** Starts the node again on its port, after `kill`. @param signal ends it if it still runs. */
  async restart(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    await this.kill(signal);
    await this.#launch();
  }

  async #launch(): Promise<void> {
    const { ready = '/healthz' } = this.#options;
    const child = spawn(process.execPath, this.#arguments(), {
      env: { ...process.env, ...this.#options.env },
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
    const started = async () => !this.running || (await this.status(ready)) === 200;
    await waitUntil(`the node answers 200 at ${ready}`, started, START_MS).catch(async (error) => {
      await this.kill();
      throw new Error(`${error.message}:\n${this.#log}`);
    });
    if (!this.running) throw new Error(`the node exited at its start:\n${this.#log}`);
  }

  #arguments(): readonly string[] {
    const { redis: url, sentinel, times } = this.#options;
    if (!times) return [...built, 'serve', ...this.#flags()];
    return ['test/nodes/quick-node.mjs', JSON.stringify({ port: this.port, url, sentinel, ...times })];
  }

  #flags(): string[] {
    const { redis, sentinel, flags = [] } = this.#options;
    const engine = redis ? ['--engine', 'redis', ...redis.flatMap((url) => ['--redis', url])] : ['--engine', 'memory'];
    const name = sentinel === undefined ? [] : ['--redis-sentinel', sentinel];
    const common = ['--host', '127.0.0.1', '--port', String(this.port), '--log-level', 'warn', '--publish-rate', 'off'];
    common.push('--public-metrics', 'on');
    return [...common, ...engine, ...name, ...flags];
  }
}

/** Starts several nodes alike. */
export function startNodes(count: number, options: Omit<NodeOptions, 'port'> = {}): Promise<NodeProcess[]> {
  return Promise.all(Array.from({ length: count }, () => NodeProcess.start(options)));
}
