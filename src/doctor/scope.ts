/** The deadline came first. */
export const LATE = Symbol('late');
export type Late = typeof LATE;

/** The time of one check, and what it has to close at its end. */
export class Scope {
  readonly #deadline: number;
  readonly #cleanups = new Set<() => void>();
  #closed = false;

  /** @param ms milliseconds until the deadline. */
  constructor(ms: number) {
    this.#deadline = performance.now() + ms;
  }

  /** Milliseconds until the deadline. */
  get remaining(): number {
    return Math.max(0, this.#deadline - performance.now());
  }

  /** Runs `cleanup` when the scope closes; at once if it is closed. */
  defer(cleanup: () => void): void {
    if (this.#closed) cleanup();
    else this.#cleanups.add(cleanup);
  }

  /** Waits for a promise until the deadline, and at most `ms`. */
  wait<T>(promise: Promise<T>, ms = this.remaining): Promise<T | Late> {
    return new Promise((resolve, reject) => {
      const late = () => resolve(LATE);
      const timer = setTimeout(late, Math.min(ms, this.remaining));
      const stop = () => {
        clearTimeout(timer);
        this.#cleanups.delete(stopLate);
      };
      const stopLate = () => {
        stop();
        late();
      };
      this.defer(stopLate);
      promise.finally(stop).then(resolve, reject);
    });
  }

  /** Waits `ms`, or until the deadline. */
  async sleep(ms: number): Promise<void> {
    await this.wait(new Promise<never>(() => {}), ms);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const cleanup of this.#cleanups) cleanup();
    this.#cleanups.clear();
  }
}
