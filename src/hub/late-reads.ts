/**
 * The reads that an engine answers later. Their answers are passed on in a later turn, after the
 * engine's earlier reports: an answer from another life of the log would not match the room.
 */
export class LateReads {
  readonly #wake: () => void;
  #answers: (() => void)[] = [];
  #reading = 0;

  /** @param wake is called when answers have come. */
  constructor(wake: () => void) {
    this.#wake = wake;
  }

  /** How many reads have no answer that was passed on. */
  get reading(): number {
    return this.#reading;
  }

  /** How many answers wait for a turn. */
  get size(): number {
    return this.#answers.length;
  }

  /** Passes the read's answer on, in a later turn. */
  add<T>(read: Promise<T>, onResult: (result: T) => void, onError: () => void): void {
    this.#reading++;
    const queue = (answer: () => void) => {
      this.#answers.push(answer);
      this.#wake();
    };
    read.then(
      (result) => queue(() => onResult(result)),
      () => queue(onError),
    );
  }

  /** Passes the answers on. */
  run(): void {
    const answers = this.#answers;
    this.#answers = [];
    this.#reading -= answers.length;
    for (const answer of answers) answer();
  }
}
