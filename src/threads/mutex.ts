// The states of a mutex.
const FREE = 0;
const LOCKED = 1;
/** Locked, and threads may wait for it. */
const CONTENDED = 2;

// A section takes less than a microsecond, the sleep and the wake of a thread several. So many
// attempts take about as long as a section.
const ATTEMPTS = 50;

/**
 * A mutex of the threads of one process, in memory that they share, after Drepper's "Futexes Are
 * Tricky". Sections must be short, since a thread that waits blocks its event loop. They do not
 * nest.
 *
 * A thread that is terminated within a section leaves the mutex locked. The end of a worker ends
 * the process, so no other thread needs it any more; a thread that waits can be terminated, too.
 */
export class Mutex {
  readonly #words: Int32Array;
  readonly #index: number;

  /** @param words a view of a SharedArrayBuffer, whose word at `index` is 0 at first. */
  constructor(words: Int32Array, index: number) {
    this.#words = words;
    this.#index = index;
  }

  /** Runs `section` while no other thread runs one. @returns its result. */
  run<T>(section: () => T): T {
    if (Atomics.compareExchange(this.#words, this.#index, FREE, LOCKED) !== FREE) this.#wait();
    try {
      return section();
    } finally {
      if (Atomics.exchange(this.#words, this.#index, FREE) === CONTENDED) Atomics.notify(this.#words, this.#index, 1);
    }
  }

  #wait(): void {
    const words = this.#words;
    const index = this.#index;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      // Reads first: an exchange takes the word's cache line from the thread in the section.
      if (Atomics.load(words, index) !== FREE) continue;
      if (Atomics.compareExchange(words, index, FREE, LOCKED) === FREE) return;
    }
    // From here on the state is CONTENDED even where no other thread waits: this thread cannot
    // tell, and a notification too many does no harm.
    while (Atomics.exchange(words, index, CONTENDED) !== FREE) Atomics.wait(words, index, CONTENDED);
  }
}
