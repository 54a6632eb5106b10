import type { LoadSettings } from '../load-options.ts';

/** A question that a server is asked: what it is loaded with, and how it is set up for that. */
export interface Scenario {
  readonly name: string;
  /** What its figures say, in one line. */
  readonly about: string;
  /** Of the load, where the command line does not say otherwise. */
  readonly load: Partial<LoadSettings>;
  /** Of the server that is started for it, beside those that all have. */
  readonly flags?: readonly string[];
  /** What its config file says of rooms. */
  readonly rooms?: Readonly<Record<string, object>>;
  /** Whether a server that is started for it is killed and started again before anyone connects. */
  readonly restart?: boolean;
}
