import type { Scheduler } from '../hub/time.ts';

/** Resolves with the value, or with `otherwise` when the promise rejects or takes longer. */
export function inTime<T>(value: Promise<T>, ms: number, otherwise: T, scheduler: Scheduler): Promise<T> {
  return new Promise((resolve) => {
    const cancel = scheduler.after(ms, () => resolve(otherwise));
    value.then(resolve, () => resolve(otherwise)).finally(cancel);
  });
}
