import type { RoomLog } from './room-log.ts';

/**
 * Compares each attached room with its log once a round: a lost push may have been the last message
 * of a quiet room. The rooms' turns are spread over the round.
 */
export class Auditor {
  readonly #roundMs: number;
  readonly #tickMs: number;
  /** The rooms that are still to be audited in this round. */
  #rooms: RoomLog[] = [];
  #perTick = 0;
  #nextRound: number;

  constructor(roundMs: number, tickMs: number) {
    this.#roundMs = roundMs;
    this.#tickMs = tickMs;
    this.#nextRound = performance.now() + roundMs;
  }

  /** Audits the next rooms. Called each `tickMs`. */
  tick(rooms: ReadonlyMap<string, RoomLog>): void {
    const now = performance.now();
    if (this.#rooms.length === 0 && now >= this.#nextRound) {
      this.#rooms = [...rooms.values()];
      this.#perTick = Math.ceil((this.#rooms.length * this.#tickMs) / this.#roundMs);
      this.#nextRound = now + this.#roundMs;
    }
    for (const room of this.#rooms.splice(0, this.#perTick)) {
      const { link } = room;
      if (link) room.audit(link).catch((error: Error) => link.isOpen && room.failed(error));
    }
  }
}
