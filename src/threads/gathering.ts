import type { Draft } from '../hub/engine.ts';
import type { Clock, Scheduler } from '../hub/time.ts';

/** A worker's attachment of the room: who has to deliver the room's commits. */
export interface Deliverer {
  /** The worker's progress when it has done with the room's last commit. */
  readonly lastCommit: number;
  readonly worker: {
    /** Whether it has taken too long over a commit, and has not done with it yet. */
    readonly isSlow: boolean;
    markSlow(commit: number): void;
    /**
     * Reports whether a worker that is not slow has not done with a commit. It wakes this thread
     * once it has.
     */
    isBusy(commit: number): boolean;
    /** How long it took over the last commit that it has done with, in whole milliseconds. */
    readonly deliveryMs: number;
  };
}

// A room is busy when it had so many drafts at once. The drafts of others do not wait.
const BUSY_DRAFTS = 8;

// Each commit that is smaller than the largest one before lowers by this factor how many drafts
// are expected.
const DECAY = 0.75;

// The share of the expected drafts that is not waited beyond.
const ENOUGH = 0.9;

// How long a worker may take over a commit, beyond what the fastest one gives reason to expect.
const SLOW_MS = 20;

// How long the workers may take while none has done.
const PATIENCE_MS = 1_000;

// How long drafts are gathered after the last commit is delivered: half of what that took, but at
// most this.
const GATHER_MS = 50;

/**
 * The drafts of one room on their way to the engine. Those of a busy room wait until the workers
 * have delivered its last commit, and for a moment more while fewer have come than usually do. One
 * commit then has what all workers have sent meanwhile, as one turn of a single Hub has. Otherwise
 * the workers would take turns, with many small frames.
 */
export class Gathering {
  readonly #deliverers: ReadonlySet<Deliverer>;
  readonly #append: (drafts: readonly Draft[]) => void;
  readonly #clock: Clock;
  readonly #scheduler: Scheduler;
  #waiting: Draft[] = [];
  /** When the first of them came. */
  #waitingSince = 0;
  /** How many drafts are expected at once. */
  #expected = 0;
  #committedAt = Number.NEGATIVE_INFINITY;
  /** When every worker was seen to have delivered the last commit. */
  #deliveredAt: number | undefined;
  #cancelTimer: (() => void) | undefined;
  #timerAt = Number.POSITIVE_INFINITY;

  /** @param append gives drafts to the engine. */
  constructor(
    deliverers: ReadonlySet<Deliverer>,
    append: (drafts: readonly Draft[]) => void,
    clock: Clock,
    scheduler: Scheduler,
  ) {
    this.#deliverers = deliverers;
    this.#append = append;
    this.#clock = clock;
    this.#scheduler = scheduler;
  }

  /** Appends drafts, or keeps them for the next commit. @returns whether drafts wait. */
  add(drafts: readonly Draft[]): boolean {
    if (this.#waiting.length === 0) {
      if (this.#expected < BUSY_DRAFTS) {
        this.#commit(drafts);
        return false;
      }
      this.#waitingSince = this.#clock.now();
    }
    for (const draft of drafts) this.#waiting.push(draft);
    return this.check();
  }

  /** Appends the drafts if nothing holds them any more. @returns whether drafts wait. */
  check(): boolean {
    if (this.#waiting.length === 0) return false;
    const now = this.#clock.now();
    const until = this.#waitUntil(now);
    if (until > now) this.#wakeAt(until, now);
    else this.flush();
    return this.#waiting.length > 0;
  }

  /** Appends the drafts that wait. */
  flush(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#timerAt = Number.POSITIVE_INFINITY;
    const drafts = this.#waiting;
    this.#waiting = [];
    if (drafts.length > 0) this.#commit(drafts);
  }

  #commit(drafts: readonly Draft[]): void {
    this.#expected = Math.max(drafts.length, Math.floor(this.#expected * DECAY));
    this.#committedAt = this.#clock.now();
    this.#deliveredAt = undefined;
    this.#append(drafts);
  }

  /** Returns until when the drafts wait, unless a worker or more drafts end it before. */
  #waitUntil(now: number): number {
    let busy = 0;
    let fastest = Number.POSITIVE_INFINITY;
    let slowest = 0;
    for (const { worker, lastCommit } of this.#deliverers) {
      if (worker.isBusy(lastCommit)) busy++;
      else if (!worker.isSlow) {
        fastest = Math.min(fastest, worker.deliveryMs);
        slowest = Math.max(slowest, worker.deliveryMs);
      }
    }
    if (busy === 0) return this.#gatherUntil(now, slowest);
    // As if the workers had shared one core.
    const expected = Math.min(PATIENCE_MS, SLOW_MS + fastest * (this.#deliverers.size + 1));
    const until = Math.max(this.#committedAt + expected, this.#waitingSince + SLOW_MS);
    if (until > now) return until;
    for (const { worker, lastCommit } of this.#deliverers) if (worker.isBusy(lastCommit)) worker.markSlow(lastCommit);
    return now;
  }

  #gatherUntil(now: number, deliveryMs: number): number {
    if (this.#waiting.length >= ENOUGH * this.#expected) return now;
    this.#deliveredAt ??= now;
    const wasIdle = this.#deliveredAt - this.#committedAt > 2 * deliveryMs + SLOW_MS;
    return wasIdle ? now : this.#deliveredAt + Math.min(deliveryMs / 2, GATHER_MS);
  }

  #wakeAt(time: number, now: number): void {
    if (this.#timerAt <= time) return; // it looks again then
    this.#cancelTimer?.();
    this.#timerAt = time;
    this.#cancelTimer = this.#scheduler.after(time - now, () => {
      this.#timerAt = Number.POSITIVE_INFINITY;
      this.check();
    });
  }
}
