import type { Notice } from '../hub/ports.ts';
import type { Permit } from './permit.ts';

/** Who a client is, where it is more than a connection with a number. */
export interface Identity {
  /** What others know it by; its id unless given. */
  readonly user?: string;
  /** Rooms that it is in from the start; those of its wire unless given. */
  readonly rooms?: readonly string[];
  /** What it is told first. */
  readonly welcome?: Notice;
  /** What it may do, where not everyone may do the same. */
  readonly permit?: Permit;
  readonly term?: Term;
  /** Is called when its connection is open: one that was let in may be gone before that. */
  readonly onOpen?: () => void;
  /** Where it comes from; as its socket says unless given. */
  readonly address?: string;
}

/** How long it may stay, and by what it may stay longer. */
export interface Term {
  /** By the Hub's clock. */
  readonly until: number;
  /** @returns until when a new token lets it stay; undefined when it is no good. */
  readonly refresh: (token: string) => Promise<number | undefined>;
}
