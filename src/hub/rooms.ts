import type { Clock, Engine, Scheduler } from './ports.ts';
import { Room } from './room.ts';
import type { HubSettings } from './settings.ts';

/** The rooms in memory: they appear on first use and vanish when nobody is in them and nobody has used them for a while. */
export class Rooms {
  readonly #engine: Engine;
  readonly #clock: Clock;
  readonly #scheduler: Scheduler;
  readonly #settings: HubSettings;
  readonly #rooms = new Map<string, Room>();
  #cancelSweep: (() => void) | undefined;

  constructor(engine: Engine, clock: Clock, scheduler: Scheduler, settings: HubSettings) {
    this.#engine = engine;
    this.#clock = clock;
    this.#scheduler = scheduler;
    this.#settings = settings;
  }

  get size(): number {
    return this.#rooms.size;
  }

  /** The room with this name, now in memory if it was not. */
  get(name: string): Room {
    const known = this.#rooms.get(name);
    if (known) return known;
    const room = new Room(name, this.#engine, this.#settings, this.#clock);
    this.#rooms.set(name, room);
    this.#cancelSweep ??= this.#sweepLater();
    return room;
  }

  close(): void {
    this.#cancelSweep?.();
  }

  #sweepLater(): () => void {
    return this.#scheduler.after(this.#settings.roomIdle, () => {
      const before = this.#clock.now() - this.#settings.roomIdle;
      for (const room of this.#rooms.values()) if (isIdle(room) && room.usedAt <= before) this.#release(room);
      this.#cancelSweep = this.#rooms.size > 0 ? this.#sweepLater() : undefined;
    });
  }

  #release(room: Room): void {
    this.#rooms.delete(room.name);
    this.#engine.release(room.name);
  }
}

function isIdle(room: Room): boolean {
  return room.members === 0 && room.pending.length + room.appended.length === 0 && room.dirtySince === undefined;
}
