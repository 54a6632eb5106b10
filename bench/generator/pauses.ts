/**
 * Blocks the event loop after each turn, so that the frames of several turns arrive in one read. A
 * blocked process costs nothing, while pausing each socket would cost a system call.
 */
export class Pauses {
  /** Milliseconds blocked so far. */
  waited = 0;
  readonly #milliseconds: number;
  readonly #lock = new Int32Array(new SharedArrayBuffer(4));
  #next: NodeJS.Immediate | undefined;

  constructor(milliseconds: number) {
    this.#milliseconds = milliseconds;
  }

  start(): void {
    this.#next = setImmediate(() => {
      const start = performance.now();
      Atomics.wait(this.#lock, 0, 0, this.#milliseconds);
      this.waited += performance.now() - start;
      this.start();
    });
  }

  stop(): void {
    clearImmediate(this.#next);
  }
}
