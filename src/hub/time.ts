export interface Clock {
  /** Milliseconds from an arbitrary start; never goes back. */
  now(): number;
  /** Milliseconds since 1970. */
  date(): number;
}

export interface Scheduler {
  /** Runs `work` once, after the input that is ready now has been read. */
  soon(work: () => void): void;
  /**
   * Runs `work` once after `ms`. Does not keep the process alive.
   *
   * @returns a function that cancels it.
   */
  after(ms: number, work: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => Date.now(),
};

export const systemScheduler: Scheduler = {
  // setImmediate runs after the poll phase: every frame that the kernel had ready is in a mailbox
  // by then.
  soon: (work) => void setImmediate(work),
  after: (ms, work) => {
    const timer = setTimeout(work, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
