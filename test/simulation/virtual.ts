import type { Clock, Scheduler } from '../../src/hub/time.ts';

/** A random number generator with a seed (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** Returns a number from 0 up to but not including 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }

  /** Returns an integer from `low` to `high`, both included. */
  int(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  /** Returns true with probability `p`. */
  chance(p: number): boolean {
    return this.next() < p;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.int(0, from.length - 1)] as T;
  }
}

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly work: () => void;
}

/** A clock that the test advances, and an event loop whose turns it runs one by one. */
export class VirtualTime implements Clock, Scheduler {
  #now = 0;
  #order = 0;
  #soon: (() => void)[] = [];
  readonly #timers = new Set<Timer>();

  now(): number {
    return this.#now;
  }

  date(): number {
    return this.#now;
  }

  soon(work: () => void): void {
    this.#soon.push(work);
  }

  after(ms: number, work: () => void): () => void {
    const timer = { at: this.#now + ms, order: this.#order++, work };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** How many timers are pending. */
  get timers(): number {
    return this.#timers.size;
  }

  /** Runs the work that `soon` has scheduled so far. @returns whether there was any. */
  turn(): boolean {
    const due = this.takeSoon();
    for (const work of due) work();
    return due.length > 0;
  }

  /** Runs turns until no work is left. @throws Error when there is always more. */
  settle(): void {
    for (let turns = 0; this.turn(); turns++)
      if (turns > 100_000) throw new Error('the event loop has run 100,000 turns and has still work');
  }

  /** Advances the clock by `ms`, and runs each timer at its time, with the turns that follow it. */
  advance(ms: number): void {
    const until = this.#now + ms;
    for (let work = this.takeTimer(until); work; work = this.takeTimer(until)) {
      work();
      this.settle();
    }
    this.advanceTo(until);
  }

  /** Takes the work that `soon` has scheduled so far. */
  protected takeSoon(): readonly (() => void)[] {
    const due = this.#soon;
    this.#soon = [];
    return due;
  }

  /** Takes the work of the next timer due at `until`, and advances the clock to its time. */
  protected takeTimer(until: number): (() => void) | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.at > until) continue;
      if (!next || timer.at < next.at || (timer.at === next.at && timer.order < next.order)) next = timer;
    }
    if (!next) return undefined;
    this.#timers.delete(next);
    this.advanceTo(Math.max(this.#now, next.at));
    return next.work;
  }

  protected advanceTo(now: number): void {
    this.#now = now;
  }
}

/**
 * A virtual time for code with promises. As in Node, the reactions to a promise run before the next
 * work.
 */
export class PromiseTime extends VirtualTime {
  #settled = false;

  /** Announces that a promise has been settled. */
  promiseSettled(): void {
    this.#settled = true;
  }

  /** Runs the reactions to the promises that are settled. */
  async react(): Promise<void> {
    this.#settled = false;
    // A tick runs when no microtask is left, and costs less than a turn of the event loop.
    await new Promise<void>((resolve) => process.nextTick(resolve));
  }

  /** `turn`, with the reactions. */
  async turnAsync(): Promise<boolean> {
    const due = this.takeSoon();
    for (const work of due) {
      work();
      if (this.#settled) await this.react();
    }
    return due.length > 0;
  }

  /** `settle`, with the reactions. @throws Error when there is always more. */
  async settleAsync(): Promise<void> {
    for (let turns = 0; await this.turnAsync(); turns++)
      if (turns > 100_000) throw new Error('the event loop has run 100,000 turns and has still work');
  }

  /** `advance`, with the reactions. */
  async advanceAsync(ms: number): Promise<void> {
    const until = this.now() + ms;
    for (let work = this.takeTimer(until); work; work = this.takeTimer(until)) {
      work();
      if (this.#settled) await this.react();
      await this.settleAsync();
    }
    this.advanceTo(until);
  }
}

/** The time of one process. What it has scheduled ends with it. */
export class ProcessTime implements Clock, Scheduler {
  readonly #time: VirtualTime;
  readonly #cancels = new Set<() => void>();
  #killed = false;

  constructor(time: VirtualTime) {
    this.#time = time;
  }

  now(): number {
    return this.#time.now();
  }

  date(): number {
    return this.#time.date();
  }

  soon(work: () => void): void {
    this.#time.soon(() => {
      if (!this.#killed) work();
    });
  }

  after(ms: number, work: () => void): () => void {
    if (this.#killed) return () => {};
    const cancelTimer = this.#time.after(ms, () => {
      this.#cancels.delete(cancel);
      work();
    });
    const cancel = () => {
      this.#cancels.delete(cancel);
      cancelTimer();
    };
    this.#cancels.add(cancel);
    return cancel;
  }

  kill(): void {
    this.#killed = true;
    for (const cancel of this.#cancels) cancel();
  }
}
