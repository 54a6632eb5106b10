import type { SharedLimitsMemory } from '../../src/threads/shared-limits.ts';

/** The work of one thread. Its result is sent to the main thread. */
export type Job =
  | { readonly kind: 'lock' }
  /** Counts in a section that other threads would disturb. */
  | { readonly kind: 'count'; readonly rounds: number; readonly sectionMs: number }
  /** Opens and closes connections of random addresses, and leaves some open. */
  | { readonly kind: 'connect'; readonly seed: number; readonly rounds: number; readonly addresses: number }
  /** Takes all tokens of all keys. */
  | { readonly kind: 'take'; readonly keys: number; readonly burst: number }
  /** Waits, then reserves a token of a bucket that fills in ten seconds. */
  | { readonly kind: 'reserve'; readonly ms: number };

export interface WorkerData {
  readonly job: Job;
  readonly limits: SharedLimitsMemory;
  readonly words: Int32Array;
}

// The shared words: a mutex, two numbers, and the gate where all threads wait to start together.
export const MUTEX = 0;
export const FIRST = 1;
export const SECOND = 2;
export const GATE = 3;
