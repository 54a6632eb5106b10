import type { Clock, Scheduler } from './ports.ts';
import type { Room } from './room.ts';
import type { HubSettings } from './settings.ts';

/** Holds back the records of coalescing rooms until they are many enough or old enough. */
export class Hold {
  readonly #clock: Clock;
  readonly #scheduler: Scheduler;
  readonly #settings: HubSettings;
  readonly #wake: () => void;
  #cancel: (() => void) | undefined;
  #due = Number.POSITIVE_INFINITY;

  /** @param wake is called when a room that was held back is due. */
  constructor(clock: Clock, scheduler: Scheduler, settings: HubSettings, wake: () => void) {
    this.#clock = clock;
    this.#scheduler = scheduler;
    this.#settings = settings;
    this.#wake = wake;
  }

  /** Whether the room's unflushed records wait on; then `wake` is called when they no longer do. */
  keeps(room: Room): boolean {
    const { hold, coalesce: coalesceOf } = this.#settings;
    const coalesce = coalesceOf(room.name);
    if (!coalesce || room.dirtySince === undefined) return false;
    const due = room.dirtySince + coalesce.maxDelayMs;
    const bytes = room.log.bytesAfter(room.flushed);
    const full = room.log.head - room.flushed >= hold.records || bytes >= Math.min(coalesce.maxBytes, hold.bytes);
    if (full || due <= this.#clock.now()) return false;
    if (due < this.#due) this.#wakeAt(due);
    return true;
  }

  close(): void {
    this.#cancel?.();
  }

  #wakeAt(due: number): void {
    this.#cancel?.();
    this.#due = due;
    this.#cancel = this.#scheduler.after(due - this.#clock.now(), () => {
      this.#due = Number.POSITIVE_INFINITY;
      this.#wake();
    });
  }
}
