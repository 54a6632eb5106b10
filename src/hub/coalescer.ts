import type { Room } from './room.ts';
import type { HubSettings } from './settings.ts';
import type { Clock, Scheduler } from './time.ts';

/** Holds back the records of coalescing rooms until they are many enough or old enough. */
export class Coalescer {
  readonly #clock: Clock;
  readonly #scheduler: Scheduler;
  readonly #settings: HubSettings;
  readonly #wake: () => void;
  #cancelTimer: (() => void) | undefined;
  #timerAt = Number.POSITIVE_INFINITY;

  /** @param wake is called when a room that was held back is due. */
  constructor(clock: Clock, scheduler: Scheduler, settings: HubSettings, wake: () => void) {
    this.#clock = clock;
    this.#scheduler = scheduler;
    this.#settings = settings;
    this.#wake = wake;
  }

  /** Reports whether the room's unflushed records wait. Then `wake` is called when they are due. */
  holds(room: Room): boolean {
    const { hold } = this.#settings;
    const { coalesce } = room;
    if (!coalesce || room.dirtySince === undefined) return false;
    const due = room.dirtySince + coalesce.maxDelayMs;
    const bytes = room.log.bytesAfter(room.flushed);
    const full = room.log.head - room.flushed >= hold.records || bytes >= Math.min(coalesce.maxBytes, hold.bytes);
    if (full || due <= this.#clock.now()) return false;
    if (due < this.#timerAt) this.#wakeAt(due);
    return true;
  }

  close(): void {
    this.#cancelTimer?.();
  }

  #wakeAt(due: number): void {
    this.#cancelTimer?.();
    this.#timerAt = due;
    this.#cancelTimer = this.#scheduler.after(due - this.#clock.now(), () => {
      this.#timerAt = Number.POSITIVE_INFINITY;
      this.#wake();
    });
  }
}
