import type { Port } from '../../src/threads/port.ts';

/** Runs work in a later turn: `setImmediate`, or a virtual time. */
export type Later = (work: () => void) => void;

const soon: Later = (work) => void setImmediate(work);

/** One end of a channel in this thread, which clones what it delivers. */
class FakePort implements Port {
  readonly #later: Later;
  readonly #queue: unknown[] = [];
  #listener: ((message: unknown) => void) | undefined;
  /** The end that receives what this one posts. */
  other: FakePort = this;
  /** How many messages this end has posted. */
  posted = 0;

  constructor(later: Later) {
    this.#later = later;
  }

  post(message: unknown): void {
    this.posted++;
    const { other } = this;
    other.#queue.push(structuredClone(message));
    if (other.#listener) this.#later(() => other.#deliver());
  }

  receive(listener: (message: unknown) => void): void {
    this.#listener = listener;
    for (let i = this.#queue.length; i > 0; i--) this.other.#later(() => this.#deliver());
  }

  #deliver(): void {
    this.#listener?.(this.#queue.shift());
  }
}

/**
 * Returns both ends of a channel in this thread.
 *
 * @param lanes run the deliveries of each end's messages. @default in turns of their own
 */
export function fakePorts(lanes: readonly [Later, Later] = [soon, soon]): readonly [FakePort, FakePort] {
  const ends = [new FakePort(lanes[0]), new FakePort(lanes[1])] as const;
  ends[0].other = ends[1];
  ends[1].other = ends[0];
  return ends;
}
