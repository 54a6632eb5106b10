import type { Settings } from '../config/settings.ts';
import type { RoomMembers } from '../hub/survey.ts';
import type { LogOutput } from '../observe/log.ts';
import type { MetricObject } from '../observe/thread-metrics.ts';
import type { ThreadSurvey } from '../observe/thread-survey.ts';
import type { ProcessClusterMethods, WorkerClusterMethods } from '../threads/cluster-methods.ts';
import type { Rings } from '../threads/link.ts';
import type { LogMethods, WorkerMethods } from '../threads/log-methods.ts';
import type { SharedLimitsMemory } from '../threads/shared-limits.ts';
import type { ReplayRequest, ReplayResult, WebhookReport } from '../webhooks/webhooks.ts';

/** What a worker is started with. */
export interface WorkerStart {
  /** From 1 on. */
  readonly worker: number;
  readonly settings: Settings;
  readonly transport: 'uws' | 'ws';
  /** The ports of the listeners, in the order of the settings. */
  readonly ports: readonly number[];
  readonly rings: Rings;
  readonly limits: SharedLimitsMemory;
  /** Signs the sessions of all workers and nodes. */
  readonly secret: Uint8Array;
  readonly output: LogOutput;
}

/** Whether a worker has done a step of its start, or the error that it cannot start with. */
export type Start =
  | { readonly kind: 'done' }
  | {
      readonly kind: 'failed';
      readonly message: string;
      /** Node's code and the address, for an error of a listener. */
      readonly details: { readonly code?: string; readonly host?: string; readonly port?: number };
    };

/** Functions of a worker that the main thread calls. */
export interface WorkerThreadMethods extends WorkerMethods, WorkerClusterMethods {
  /** Loads everything that takes time, so that all workers listen at about the same time. */
  prepare(): Promise<Start>;
  listen(): Promise<Start>;
  renewCertificates(): Promise<void>;
  /** Closes every client. Then the thread ends by itself when its last connection is gone. */
  stop(): Promise<void>;
  /** Ends the thread at once. */
  exit(): void;
  metrics(): Promise<readonly MetricObject[]>;
  /** Returns this thread's part of a snapshot. */
  survey(): Promise<ThreadSurvey>;
  surveyRooms(names: readonly string[]): Promise<readonly RoomMembers[]>;
  /** Records this thread. @returns a CPU profile as JSON. */
  profile(ms: number): Promise<string>;
  /** Calls `committed` once, at the worker's next message. */
  awaitCommit(): void;
}

/** Functions of the main thread that a worker calls. */
export interface MainThreadMethods extends LogMethods, ProcessClusterMethods {
  /** Returns the metrics of all threads in Prometheus's text format. */
  metricsText(): Promise<string>;
  listWebhooks(): Promise<readonly WebhookReport[]>;
  replayWebhook(name: string, request: ReplayRequest): Promise<ReplayResult>;
  committed(): void;
}
