import type { Clock, Scheduler } from './ports.ts';

export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => Date.now(),
};

export const systemScheduler: Scheduler = {
  // setImmediate runs after the poll phase: every frame that the kernel had ready is in a mailbox by then.
  soon: (work) => void setImmediate(work),
  after: (ms, work) => {
    const timer = setTimeout(work, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
