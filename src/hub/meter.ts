import type { Draft } from './engine.ts';
import type { Frame } from './subscriber.ts';
import type { Clock } from './time.ts';

/** Counts values in buckets. Observing one allocates nothing. */
export class Distribution {
  /** Upper bounds of the buckets, ascending. The last bucket has none. */
  readonly bounds: readonly number[];
  /** How many values each bucket has, without those of lower buckets. */
  readonly counts: Float64Array;
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  /** The sum of all values. */
  get sum(): number {
    return this.#sum;
  }

  observe(value: number): void {
    let bucket = 0;
    while (bucket < this.bounds.length && value > (this.bounds[bucket] as number)) bucket++;
    this.counts[bucket] = (this.counts[bucket] as number) + 1;
    this.#sum += value;
  }
}

const TURN_MS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 1000];
const TURN_BYTES = [256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576];
const SEND_MS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 1000, 10_000];

// A draft without an outcome after so long is lost, and another one is measured.
const LOST_PROBE_MS = 60_000;

/**
 * Measures what the Hub does, at the cost of some clock reads in each turn. The time from a send to
 * its commit is sampled: one message at a time is measured.
 */
export class Meter {
  /** Durations of turns, in milliseconds. */
  readonly turns = new Distribution(TURN_MS);
  /** Bytes of the messages that each turn has taken. */
  readonly turnBytes = new Distribution(TURN_BYTES);
  /** Times from a send to its commit, in milliseconds. */
  readonly sends = new Distribution(SEND_MS);
  readonly #clock: Clock;
  readonly #budget: { readonly commands: number; readonly bytes: number };
  #startedAt = 0;
  #load = 0;
  #frames = 0;
  #deliveries = 0;
  #probe: Draft | undefined;
  #probedAt = 0;

  /** @param budget what one turn may take. */
  constructor(clock: Clock, budget: { readonly commands: number; readonly bytes: number }) {
    this.#clock = clock;
    this.#budget = budget;
  }

  /**
   * The sum over all turns of the share of its budget that each has used. Divided by the turns, it
   * is the mean load of a turn.
   */
  get load(): number {
    return this.#load;
  }

  /** How many frames of records sockets have accepted. */
  get frames(): number {
    return this.#frames;
  }

  /** How many records sockets have accepted: one that ten members got counts ten times. */
  get deliveries(): number {
    return this.#deliveries;
  }

  /** Sockets have accepted `records` of a frame in all. Call it once for all members of a flush. */
  delivered({ from, to, more }: Frame, records: number): void {
    this.#deliveries += records;
    this.#frames += more === undefined ? records / (to - from) : records;
  }

  beginTurn(): void {
    this.#startedAt = this.#clock.now();
  }

  /** The turn has taken so many posts, with messages of so many bytes. */
  took(commands: number, bytes: number): void {
    this.turnBytes.observe(bytes);
    this.#load += Math.min(1, Math.max(commands / this.#budget.commands, bytes / this.#budget.bytes));
  }

  endTurn(): void {
    this.turns.observe(this.#clock.now() - this.#startedAt);
  }

  /** A draft is in the mailbox. */
  sent(draft: Draft): void {
    if (this.#probe !== undefined && this.#clock.now() - this.#probedAt < LOST_PROBE_MS) return;
    this.#probe = draft;
    this.#probedAt = this.#clock.now();
  }

  /** A draft is in its room's log. */
  committed(draft: Draft): void {
    if (draft !== this.#probe) return;
    this.sends.observe(this.#clock.now() - this.#probedAt);
    this.#probe = undefined;
  }

  /** A draft was not stored, or had been before. */
  dropped(draft: Draft): void {
    if (draft === this.#probe) this.#probe = undefined;
  }
}

/** How far the members of all rooms have got. */
export interface Census {
  /** They have every message of their room. */
  readonly inStep: number;
  /** They are behind, and their socket accepts no data. */
  readonly parked: number;
  /** They are behind, and go on reading. */
  readonly catchingUp: number;
  /** Messages that each is behind. */
  readonly lag: Distribution;
}

/** Bounds of `Census.lag`, in messages. */
export const LAG_BOUNDS = [0, 1, 10, 100, 1_000, 4_096, 10_000];
