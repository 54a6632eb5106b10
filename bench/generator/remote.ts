import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { LoadOptions } from '../load-options.ts';
import type { Generator } from './generator.ts';

/** A method of a generator that is called from another process. */
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

// It runs as its sources are, or as they were built.
const SOURCES = import.meta.url.endsWith('.ts');
const ENTRY = fileURLToPath(new URL(SOURCES ? './process.ts' : './process.js', import.meta.url));

/** A generator, wherever it is. */
export interface GeneratorLink {
  /** Calls a method there. Rejects with what it throws, and when the generator ends meanwhile. */
  call<M extends keyof Generator>(
    method: M,
    ...args: Parameters<Generator[M]>
  ): Promise<Awaited<ReturnType<Generator[M]>>>;
  end(): void;
}

/** A generator in a process of its own. */
export class RemoteGenerator implements GeneratorLink {
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #calls = 0;

  constructor(options: LoadOptions, share: number) {
    this.#process = fork(ENTRY, [JSON.stringify(options), String(share)], {
      serialization: 'advanced',
      execArgv: SOURCES ? ['--import', 'tsx'] : [],
      stdio: ['ignore', process.stderr, process.stderr, 'ipc'],
    });
    this.#process.on('message', (answer: Answer) => {
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    });
    this.#process.on('exit', () => {
      for (const [id, answered] of this.#waiting) answered({ id, error: 'a generator has ended' });
      this.#waiting.clear();
    });
  }

  call<M extends keyof Generator>(
    method: M,
    ...args: Parameters<Generator[M]>
  ): Promise<Awaited<ReturnType<Generator[M]>>> {
    const id = this.#calls++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, ({ result, error }) => {
        if (error === undefined) resolve(result as Awaited<ReturnType<Generator[M]>>);
        else reject(new Error(error));
      });
      this.#process.send({ id, method, args } satisfies Call, (failed) => {
        if (failed && this.#waiting.delete(id)) reject(new Error('a generator has ended'));
      });
    });
  }

  /** Ends its process. */
  end(): void {
    this.#process.kill('SIGKILL');
  }
}
