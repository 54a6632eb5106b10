import type { DialectName } from './dialects/index.ts';

/** What to load a server with. */
export interface LoadOptions {
  readonly url: string;
  readonly wire: DialectName;
  readonly clients: number;
  /** How many of the clients send. */
  readonly senders: number;
  /** Clients of a room; undefined where all are in one. */
  readonly roomSize: number | undefined;
  /** Messages that each sender keeps on their way; ignored with a rate. */
  readonly window: number;
  /** Messages a second of all senders together, sent whatever comes back; undefined for the closed loop. */
  readonly rate: number | undefined;
  /** Length of a message. */
  readonly bytes: number;
  readonly seconds: number;
  readonly warmUp: number;
  /** How many of the clients check every message. */
  readonly audit: number;
  /** Seconds without any delivery after which what has not come counts as lost. */
  readonly patience: number;
  /** Further clients that never read. */
  readonly slow: number;
  /** Further clients that come and go: how many come in a second. */
  readonly churn: number;
  /** Connections that are opened at once. */
  readonly atOnce: number;
  /** Messages that are said before anyone comes, and that all who come must get. */
  readonly backlog: number;
  /** Chooses who audits, who sends next in an open loop, and when who churns leaves. */
  readonly seed: number;
  /** Processes that the clients are shared out to. */
  readonly generators: number;
}

/** What a server is loaded with, whichever it is. */
export type LoadSettings = Omit<LoadOptions, 'url'>;
