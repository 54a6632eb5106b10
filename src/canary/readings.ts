/** The counts of a canary, in the order of their words in the memory. */
const COUNTS = ['sent', 'received', 'gaps', 'repeats', 'swaps', 'lostAcks', 'reconnects'] as const;

export type CanaryCount = (typeof COUNTS)[number];

/** Upper bounds of the buckets of latencies, in milliseconds. */
const LATENCY_BOUNDS: readonly number[] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000];

// The words of the memory.
const CONNECTED = COUNTS.length;
const SUM = CONNECTED + 1;
const BUCKETS = SUM + 1;
const WORDS = BUCKETS + LATENCY_BOUNDS.length + 1;

const MICROSECONDS = 1_000;

/** How a canary fares. */
export interface CanaryReadings {
  /** Whether all of its clients are connected and members of their room. */
  readonly up: boolean;
  count(of: CanaryCount): number;
  /** Times from a send to its arrival at each client, in milliseconds. */
  readonly latency: { readonly bounds: readonly number[]; readonly counts: readonly number[]; readonly sum: number };
}

/** Returns the memory in which a canary's thread counts, so that reading it asks no thread. */
export function createCanaryMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(WORDS * BigInt64Array.BYTES_PER_ELEMENT);
}

/** The writer's side of the memory. */
export class CanaryCounter {
  readonly #words: BigInt64Array;

  constructor(memory: SharedArrayBuffer) {
    this.#words = new BigInt64Array(memory);
  }

  add(of: CanaryCount, number = 1): void {
    if (number > 0) Atomics.add(this.#words, COUNTS.indexOf(of), BigInt(number));
  }

  /** @param ms from the send to the arrival. */
  addLatency(ms: number): void {
    const bucket = LATENCY_BOUNDS.findIndex((bound) => ms <= bound);
    Atomics.add(this.#words, BUCKETS + (bucket < 0 ? LATENCY_BOUNDS.length : bucket), 1n);
    Atomics.add(this.#words, SUM, BigInt(Math.round(ms * MICROSECONDS)));
  }

  /** @param clients how many are connected and members of their room. */
  setConnected(clients: number): void {
    Atomics.store(this.#words, CONNECTED, BigInt(clients));
  }
}

/** The reader's side of the memory. */
export class CanaryReader implements CanaryReadings {
  readonly #words: BigInt64Array;
  readonly #clients: number;

  /** @param clients how many the canary has. */
  constructor(memory: SharedArrayBuffer, clients: number) {
    this.#words = new BigInt64Array(memory);
    this.#clients = clients;
  }

  get up(): boolean {
    return this.#read(CONNECTED) === this.#clients;
  }

  count(of: CanaryCount): number {
    return this.#read(COUNTS.indexOf(of));
  }

  get latency(): CanaryReadings['latency'] {
    const counts = Array.from({ length: LATENCY_BOUNDS.length + 1 }, (_, i) => this.#read(BUCKETS + i));
    return { bounds: LATENCY_BOUNDS, counts, sum: this.#read(SUM) / MICROSECONDS };
  }

  #read(word: number): number {
    return Number(Atomics.load(this.#words, word));
  }
}
