import type { WireName } from './wires/index.ts';

/** When Redis writes its append-only file to disk; `off` keeps no file. */
export type Aof = 'off' | 'everysec' | 'always';

export const AOF_CHOICES: readonly Aof[] = ['off', 'everysec', 'always'];

/** How to load a server. */
export interface LoadOptions {
  /** The address of each node. */
  readonly urls: readonly string[];
  /** @default 'gorilla' */
  readonly wire: WireName;
  /** @default 1000 */
  readonly clients: number;
  /** How many of the clients send. @default 100 */
  readonly senders: number;
  /** Clients per room. @default undefined, which puts all clients in one room */
  readonly roomSize: number | undefined;
  /**
   * Closed loop: messages that each sender keeps in flight. Ignored if `rate` is set.
   *
   * @default 1
   */
  readonly window: number;
  /**
   * Open loop: messages per second of all senders together.
   *
   * @default undefined, which is a closed loop
   */
  readonly rate: number | undefined;
  /** Length of a message, in bytes. @default 64 */
  readonly bytes: number;
  /** How long to measure, in seconds. @default 5 */
  readonly seconds: number;
  /** Seconds of load before measuring. @default 1 */
  readonly warmUp: number;
  /** How many of the clients check every message. @default 10 */
  readonly audit: number;
  /** Seconds without any delivery after which missing messages count as lost. @default 10 */
  readonly patience: number;
  /** Additional clients that never read. @default 0 */
  readonly slow: number;
  /** Additional clients that connect per second, and leave again. @default 0 */
  readonly churn: number;
  /** How many connections to open concurrently. @default 200 */
  readonly atOnce: number;
  /** Messages stored before any client connects. Every client must receive them. @default 0 */
  readonly backlog: number;
  /**
   * Determines which clients audit, which sends next in an open loop, and when churning clients
   * leave.
   *
   * @default 1
   */
  readonly seed: number;
  /** Generator processes that share the clients. @default 1 */
  readonly generators: number;
  /** Server processes that share a Redis. Clients are spread over them. @default 1 */
  readonly nodes: number;
  /** The append-only file of that Redis. Ignored with one node. @default 'off' */
  readonly aof: Aof;
  /** Worker threads of each server process. @default 1 */
  readonly workers: number;
  /** The CPUs of the server and of the generators. @default undefined, which leaves all to both */
  readonly pinning: Pinning | undefined;
  /**
   * Milliseconds that generators without senders wait between reads, so that one read takes several
   * frames and a generator carries more clients. The first generator then has all senders and
   * auditors.
   *
   * @default 0
   */
  readonly readInterval: number;
}

/** The CPUs on which processes run, by the numbers of the system. */
export interface Pinning {
  readonly server: readonly number[];
  readonly generators: readonly number[];
}

/** The options of a load that do not depend on the server. */
export type LoadSettings = Omit<LoadOptions, 'urls'>;
