import type { Port } from '../../src/threads/port.ts';

/** Runs work in a later turn: `setImmediate`, or a virtual time. */
export type Later = (work: () => void) => void;

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
    if (other.#listener) other.#later(() => other.#deliver());
  }

  receive(listener: (message: unknown) => void): void {
    this.#listener = listener;
    for (let i = this.#queue.length; i > 0; i--) this.#later(() => this.#deliver());
  }

  #deliver(): void {
    this.#listener?.(this.#queue.shift());
  }
}

/**
 * Returns both ends of a channel in this thread.
 *
 * @param later delivers one message, the oldest of its direction. @default in turns of their own
 */
export function fakePorts(later: Later = (work) => void setImmediate(work)): readonly [FakePort, FakePort] {
  const ends = [new FakePort(later), new FakePort(later)] as const;
  ends[0].other = ends[1];
  ends[1].other = ends[0];
  return ends;
}
