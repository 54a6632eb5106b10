import type { Late, Scope } from './scope.ts';

/** Waits for what a connection receives. */
export class Watch {
  readonly #scope: Scope;
  readonly #waiting = new Set<() => void>();

  constructor(scope: Scope) {
    this.#scope = scope;
  }

  /** Waits until `find` returns a value, and at most `ms`. It looks at each change. */
  async until<T>(find: () => T | undefined, ms?: number): Promise<T | Late> {
    let look = () => {};
    const found = new Promise<T>((resolve) => {
      look = () => {
        const value = find();
        if (value !== undefined) resolve(value);
      };
    });
    this.#waiting.add(look);
    look();
    try {
      return await this.#scope.wait(found, ms);
    } finally {
      this.#waiting.delete(look);
    }
  }

  /** Call it when something has arrived. */
  changed(): void {
    for (const look of [...this.#waiting]) look();
  }
}
