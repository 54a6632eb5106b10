import type { Link } from './link.ts';
import type { RoomLog } from './room-log.ts';

export interface AuditorOptions {
  readonly roundMs: number;
  readonly tickMs: number;
  /** Compares a room with what Redis has of it. */
  readonly audit: (room: RoomLog, link: Link) => Promise<unknown>;
}

/**
 * Audits each attached room once a round: a lost push may have been the last one of a quiet room.
 * The rooms' turns are spread over the round.
 */
export class Auditor {
  readonly #options: AuditorOptions;
  /** The rooms that are still to be audited in this round. */
  #rooms: RoomLog[] = [];
  #perTick = 0;
  #nextRound: number;

  constructor(options: AuditorOptions) {
    this.#options = options;
    this.#nextRound = performance.now() + options.roundMs;
  }

  /** Audits the next rooms. Called each `tickMs`. */
  tick(rooms: ReadonlyMap<string, RoomLog>): void {
    const { roundMs, tickMs, audit } = this.#options;
    const now = performance.now();
    if (this.#rooms.length === 0 && now >= this.#nextRound) {
      this.#rooms = [...rooms.values()];
      this.#perTick = Math.ceil((this.#rooms.length * tickMs) / roundMs);
      this.#nextRound = now + roundMs;
    }
    for (const room of this.#rooms.splice(0, this.#perTick)) {
      const { link } = room;
      if (link) audit(room, link).catch((error: Error) => link.isOpen && room.failed(error));
    }
  }
}
