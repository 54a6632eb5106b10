import { once } from 'node:events';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { CANARY_ROOMS } from '../protocol/reserved-rooms.ts';
import { ROOM_BYTES } from '../protocol/v1.ts';
import type { CanaryReport, CanaryStart } from './messages.ts';
import { CanaryCounter, CanaryReader, type CanaryReadings, createCanaryMemory } from './readings.ts';
import type { OwnCertificate } from './tapped-socket.ts';

/** Where a canary logs. */
interface CanaryLog {
  info(details: object, message: string): void;
  error(details: object, message: string): void;
}

export interface CanaryOptions {
  /** How many clients it has. */
  readonly clients: number;
  readonly url: string;
  /** The port of the server, which tells it from others of this machine. */
  readonly port: number;
  /** Signs the tokens of its clients. */
  readonly key: Uint8Array;
  /** The certificate to accept at a server's own address. @default as `TapOptions` describes */
  readonly certificate?: OwnCertificate | undefined;
  readonly log: CanaryLog;
}

// From a checkout without a build, Node's flags load TypeScript, and threads inherit them.
const ENTRY = new URL(import.meta.url.endsWith('.ts') ? './thread.ts' : './thread.js', import.meta.url);

// A thread that has crashed is started again after so long, and one that does not end is
// terminated.
const RESTART_MS = 10_000;
const STOP_MS = 1_000;

/** Returns the room of a server's canary: stable, so that restarts leave no rooms behind. */
export function canaryRoom(port: number, host = hostname()): string {
  const end = `:${port}`;
  const bytes = Buffer.from(host).subarray(0, ROOM_BYTES - CANARY_ROOMS.length - end.length);
  // A character that was cut becomes a replacement character of three bytes.
  return `${CANARY_ROOMS}${bytes.toString().replace(/\uFFFD+$/, '')}${end}`;
}

/** Clients of this server in a thread of their own, which check it as clients see it. */
export class Canary {
  readonly readings: CanaryReadings;
  readonly #options: CanaryOptions;
  readonly #start: CanaryStart;
  #worker: Worker | undefined;
  #restart: NodeJS.Timeout | undefined;
  #state: CanaryReport['kind'] | 'unknown' = 'unknown';
  #isStopping = false;

  constructor(options: CanaryOptions) {
    const { clients, url, port, key, certificate } = options;
    const memory = createCanaryMemory();
    this.#options = options;
    this.#start = { clients, url, room: canaryRoom(port), key, memory, certificate };
    this.readings = new CanaryReader(memory, clients);
  }

  /** Starts the thread. It does not keep the process. */
  start(): void {
    const worker = new Worker(ENTRY, { workerData: this.#start, name: 'canary' });
    this.#worker = worker;
    worker.unref();
    worker.on('message', (report: CanaryReport) => this.#onReport(report));
    worker.on('error', (error) => this.#onCrash(error));
  }

  /** Closes the clients. Resolves when their thread has ended, within a second or so. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    clearTimeout(this.#restart);
    const worker = this.#worker;
    this.#worker = undefined;
    if (worker === undefined) return;
    const ended = once(worker, 'exit').catch(() => 'crashed');
    worker.postMessage('stop');
    const timeout = new AbortController();
    const late = sleep(STOP_MS, 'late', { signal: timeout.signal }).catch(() => 'aborted');
    if ((await Promise.race([ended, late])) === 'late') await worker.terminate();
    timeout.abort();
  }

  /** Logs a line when the state changes. */
  #onReport(report: CanaryReport): void {
    const { log, url } = this.#options;
    if (this.#isStopping || report.kind === this.#state) return;
    this.#state = report.kind;
    const { room, clients } = this.#start;
    if (report.kind === 'up') log.info({ url, room, clients }, 'the canary is connected');
    else log.error({ url, why: report.why }, `the canary cannot reach ${url}: ${report.why}`);
  }

  #onCrash(err: Error): void {
    this.#worker = undefined;
    if (this.#isStopping) return;
    new CanaryCounter(this.#start.memory).setConnected(0);
    this.#state = 'down';
    this.#options.log.error({ err }, `the canary has ended: ${err.message}`);
    this.#restart = setTimeout(() => this.start(), RESTART_MS).unref();
  }
}
