import type { LogRecord } from './log.ts';
import type { Room } from './room.ts';

interface Answer {
  readonly room: Room;
  /** Passes the records or the error on. */
  pass: () => void;
  readonly onError: () => void;
}

/**
 * The reads that an engine answers later. Their answers are passed on in a later turn, after the
 * engine's earlier reports: an answer from another life of the log would not match the room.
 */
export class LateReads {
  readonly #wake: () => void;
  #answers: Answer[] = [];
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
  add(
    room: Room,
    read: Promise<readonly LogRecord[]>,
    onRecords: (records: readonly LogRecord[]) => void,
    onError: () => void,
  ): void {
    this.#reading++;
    const queue = (pass: () => void) => {
      this.#answers.push({ room, pass, onError });
      this.#wake();
    };
    read.then(
      (records) => queue(() => onRecords(records)),
      () => queue(onError),
    );
  }

  /** The room's log is in another life: the answers that have come are errors. */
  forget(room: Room): void {
    for (const answer of this.#answers) if (answer.room === room) answer.pass = answer.onError;
  }

  /** Passes the answers on. */
  run(): void {
    const answers = this.#answers;
    this.#answers = [];
    this.#reading -= answers.length;
    for (const { pass } of answers) pass();
  }
}
