import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { pinned } from '../cpus.ts';
import type { LoadOptions } from '../load-options.ts';
import type { Generator } from './generator.ts';

/** A call of a generator's method from another process. */
export interface Call {
  readonly id: number;
  readonly method: keyof Generator;
  readonly args: readonly unknown[];
}

export interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

// From the sources, or from the build.
const SOURCES = import.meta.url.endsWith('.ts');
const ENTRY = fileURLToPath(new URL(SOURCES ? './process.ts' : './process.js', import.meta.url));

const ENDED = 'a generator process exited unexpectedly';

/** A generator in this process or another one. */
export interface GeneratorLink {
  /** Calls a method. Rejects if it throws or the generator ends first. */
  call<M extends keyof Generator>(
    method: M,
    ...args: Parameters<Generator[M]>
  ): Promise<Awaited<ReturnType<Generator[M]>>>;
  end(): void;
}

/** A generator in its own process. */
export class RemoteGenerator implements GeneratorLink {
  readonly #process: ChildProcess;
  readonly #pending = new Map<number, (answer: Answer) => void>();
  #nextId = 0;

  constructor(options: LoadOptions, share: number) {
    const node = [process.execPath, ...(SOURCES ? ['--import', 'tsx'] : [])];
    const [execPath = '', ...execArgv] = pinned(node, options.pinning?.generators);
    this.#process = fork(ENTRY, [JSON.stringify(options), String(share)], {
      serialization: 'advanced',
      execPath,
      execArgv,
      stdio: ['ignore', process.stderr, process.stderr, 'ipc'],
    });
    this.#process.on('message', (answer: Answer) => {
      this.#pending.get(answer.id)?.(answer);
      this.#pending.delete(answer.id);
    });
    this.#process.on('exit', () => {
      for (const [id, settle] of this.#pending) settle({ id, error: ENDED });
      this.#pending.clear();
    });
  }

  call<M extends keyof Generator>(
    method: M,
    ...args: Parameters<Generator[M]>
  ): Promise<Awaited<ReturnType<Generator[M]>>> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, ({ result, error }) => {
        if (error === undefined) resolve(result as Awaited<ReturnType<Generator[M]>>);
        else reject(new Error(error));
      });
      this.#process.send({ id, method, args } satisfies Call, (error) => {
        if (error && this.#pending.delete(id)) reject(new Error(ENDED));
      });
    });
  }

  /** Kills the process. */
  end(): void {
    this.#process.kill('SIGKILL');
  }
}
