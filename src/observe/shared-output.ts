/** What a log writes lines to. */
export interface Output {
  write(line: string): void;
}

const FREE = 0;
const TAKEN = 1;

// A thread that ends while it writes leaves the lock taken. A broken line is better than none.
const PATIENCE_MS = 5_000;

/** Returns the memory of the lock of an output, which its threads share. */
export function createOutputLock(): SharedArrayBuffer {
  return new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
}

/**
 * Returns an output that several threads write to, one at a time. The system writes a line to a
 * pipe in parts if it is longer than 4 KiB or the pipe is full, so that lines would mix.
 *
 * @param patience how long a line waits for that of another thread, in milliseconds.
 */
export function lockOutput(output: Output, lock: SharedArrayBuffer, patience: number = PATIENCE_MS): Output {
  const words = new Int32Array(lock);
  return {
    write(line) {
      const until = performance.now() + patience;
      while (Atomics.compareExchange(words, 0, FREE, TAKEN) === TAKEN) {
        if (Atomics.wait(words, 0, TAKEN, until - performance.now()) === 'timed-out') break;
      }
      try {
        output.write(line);
      } finally {
        Atomics.store(words, 0, FREE);
        Atomics.notify(words, 0, 1);
      }
    },
  };
}
