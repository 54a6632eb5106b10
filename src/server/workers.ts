import { Worker } from 'node:worker_threads';
import { createProfiler } from '../admin/profile.ts';
import type { Snapshots } from '../admin/snapshots.ts';
import { Nodes } from '../api/nodes.ts';
import type { Canary } from '../canary/canary.ts';
import { ConfigError } from '../config/error.ts';
import { type Listener, listenersOf } from '../config/listeners.ts';
import type { Settings } from '../config/settings.ts';
import { sharedPortProblem } from '../config/shared-ports.ts';
import { systemClock, systemScheduler } from '../hub/time.ts';
import { type Logger, standardOutput } from '../observe/log.ts';
import type { OtlpExport } from '../observe/otlp.ts';
import type { SurveyedThread } from '../observe/process-survey.ts';
import { createOutputLock } from '../observe/shared-output.ts';
import { type Committed, type MonitoredWorker, ThreadMetrics } from '../observe/thread-metrics.ts';
import { createRings, LogLink } from '../threads/link.ts';
import { LogService } from '../threads/log-service.ts';
import { portOf } from '../threads/port.ts';
import { ProcessCluster } from '../threads/process-cluster.ts';
import { ringFill } from '../threads/ring.ts';
import { createSharedLimits } from '../threads/shared-limits.ts';
import { chooseTransport } from '../transport/choose.ts';
import { type HeldPort, holdPort } from '../transport/free-port.ts';
import type { Webhooks } from '../webhooks/webhooks.ts';
import { type AdminListener, listenForAdmin } from './admin-listener.ts';
import { openKeys } from './authenticator.ts';
import { startCanary } from './canary.ts';
import type { ServingProcess } from './create-server.ts';
import { windowOf } from './drain.ts';
import { localCluster } from './local-cluster.ts';
import { openWebhooks } from './open-webhooks.ts';
import { exportMetrics } from './otlp.ts';
import { urlOf } from './running-server.ts';
import { createSnapshots } from './snapshots.ts';
import { openRevocations, openStorage, type Storage, sharedEngine } from './storage.ts';
import { SurveyedWorker } from './surveyed-worker.ts';
import { type MessageCount, setStartFlags } from './v8-flags.ts';
import { readVersion } from './version.ts';
import type { MainThreadMethods, WorkerStart, WorkerThreadMethods } from './worker-methods.ts';

/** A worker has ended before it was stopped. */
export type OnCrash = (worker: number, error: Error) => void;

/** The log thread's parts, which all workers share. */
interface Log {
  readonly storage: Storage;
  readonly service: LogService;
  readonly cluster: ProcessCluster;
  readonly secret: Uint8Array;
  readonly webhooks: Webhooks | undefined;
}

const EXIT_MS = 1_000;

// From a checkout without a build, Node's flags load TypeScript, and threads inherit them.
const ENTRY = new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url);

/** Returns a free port for each listener. All are held until the last is found: they differ. */
async function findPorts(listeners: readonly Listener[]): Promise<readonly number[]> {
  const held: HeldPort[] = [];
  try {
    for (const { host, port } of listeners) {
      held.push(
        await holdPort(host, port).catch((error: Error) => {
          throw Object.assign(error, { host, port });
        }),
      );
    }
    return held.map(({ port }) => port);
  } finally {
    await Promise.all(held.map((port) => port.release()));
  }
}

async function openLog(settings: Settings, log: Logger): Promise<Log> {
  const storage = await openStorage(settings, log);
  const shared = sharedEngine(storage);
  const webhooks = await openWebhooks(settings, storage.engine, shared, log);
  const engine = webhooks?.engine ?? shared;
  const nodes = engine.cluster ?? localCluster(systemClock, openRevocations(settings.revocations), storage.readPlaces);
  const cluster = new ProcessCluster(nodes);
  const service = new LogService(engine, cluster);
  let opened = false;
  try {
    await service.open();
    opened = true;
    cluster.open();
    await webhooks?.start();
    return { storage, service, cluster, webhooks, secret: await nodes.secret(storage.secret) };
  } catch (error) {
    if (opened) await service.close();
    await storage.close();
    throw error;
  }
}

/**
 * The worker threads of this process, which listen on the same ports. This thread has the engine,
 * and serves no connections.
 */
export class WorkerPool implements ServingProcess, MessageCount {
  readonly #onCrash: OnCrash;
  readonly #threads: Thread[] = [];
  #onCommitted: (() => void)[] = [];
  #log: Log | undefined;
  #admin: AdminListener | undefined;
  #otlp: OtlpExport | undefined;
  #canary: Canary | undefined;
  /** Ends the gauge of the canary. */
  #endCanaryGauge = () => {};
  #draining = false;
  #exits = false;
  #drainWindow = 0;

  /** @param onCrash is not called after `exit`. */
  constructor(onCrash: OnCrash) {
    this.#onCrash = (worker, error) => {
      if (!this.#exits) onCrash(worker, error);
    };
  }

  /**
   * Starts as many threads as the settings name. Resolves when all listen.
   *
   * @throws Error as `startServer` does.
   */
  async start(settings: Settings, log: Logger): Promise<void> {
    const { name, note } = chooseTransport(settings.transport);
    if (note) log.info(note);
    const problem = sharedPortProblem(name);
    if (problem !== undefined) throw new ConfigError(`workers: ${problem}`);
    this.#drainWindow = settings.drainWindow;
    const listeners = listenersOf(settings);
    const ports = await findPorts(listeners);
    this.#log = await openLog(settings, log);
    const { secret } = this.#log;
    const limits = createSharedLimits(settings.maxConnections);
    const output = { ...standardOutput(), lock: createOutputLock() };
    const start = { settings, transport: name, ports, limits, output, secret };
    let metrics: ThreadMetrics;
    try {
      for (let worker = 1; worker <= settings.workers; worker++) this.#startThread({ ...start, worker }, this.#log);
      metrics = this.#collectMetrics(this.#log);
      // The first to listen would take in the clients of the process before, which wait for one.
      await Promise.all(this.#threads.map((thread) => thread.start('prepare')));
      await Promise.all(this.#threads.map((thread) => thread.start('listen')));
      this.#otlp = await exportMetrics(settings, ports[0] as number, metrics.objects, log);
      this.#admin = await this.#listenForAdmin(settings, metrics, this.#log, log);
      if (this.#admin) log.info(`pumphouse serves operators at ${this.#admin.url}`);
    } catch (error) {
      await Promise.all([this.#otlp?.stop(), ...this.#threads.map((thread) => thread.exit())]);
      await closeLog(this.#log);
      throw error;
    }
    const { engine, workers } = settings;
    for (const [i, listener] of listeners.entries()) {
      const url = urlOf(listener, ports[i] as number);
      log.info({ transport: name, wire: listener.wire, engine, workers }, `pumphouse serves ${url}`);
    }
    this.#canary = startCanary(settings, secret, ports[0], log);
    if (this.#canary) this.#endCanaryGauge = metrics.collectCanary(this.#canary.readings);
  }

  /** Call it once the threads are started. */
  #collectMetrics(parts: Log): ThreadMetrics {
    const { webhooks } = parts;
    const metrics = new ThreadMetrics(this.#threads, committedOf(parts), (listener) => this.onceCommitted(listener));
    if (webhooks) metrics.collectWebhooks(() => webhooks.readings());
    for (const { calls } of this.#threads) calls.serve({ metricsText: () => metrics.text() });
    return metrics;
  }

  #startThread(start: Omit<WorkerStart, 'rings'>, { service, cluster, webhooks }: Log): void {
    const thread = new Thread({ ...start, rings: createRings() }, this.#onCrash);
    thread.connect(service, cluster);
    thread.calls.serve({
      committed: () => this.#committed(),
      listWebhooks: async () => (await webhooks?.list()) ?? [],
      replayWebhook: async (name, request) => (await webhooks?.replay(name, request)) ?? { kind: 'unknown_webhook' },
    });
    this.#threads.push(thread);
  }

  get messages(): number {
    return this.#log?.service.messages ?? 0;
  }

  onceCommitted(listener: () => void): void {
    if (this.#onCommitted.push(listener) > 1) return;
    for (const { calls } of this.#threads) calls.tell('awaitCommit');
  }

  #listenForAdmin(
    settings: Settings,
    { contentType, text }: ThreadMetrics,
    parts: Log,
    log: Logger,
  ): Promise<AdminListener | undefined> {
    const { cluster } = parts;
    const failed = (err: unknown) => log.error({ err }, 'a request of an operator failed');
    const nodes = new Nodes({ cluster, failed });
    const workers = this.#threads.map(({ number }) => `${number}`);
    return listenForAdmin(settings, openKeys(settings.keys), {
      metrics: { contentType, text },
      draining: () => this.#draining,
      ready: () => this.#log?.service.ready === true,
      findLives: (query) => nodes.ask({ kind: 'lives', ...query }),
      profiler: createProfiler(workers, (worker, ms) => (this.#threads[Number(worker) - 1] as Thread).profile(ms)),
      snapshots: this.#createSnapshots(settings, parts, log),
    });
  }

  #createSnapshots(settings: Settings, { service, storage }: Log, log: Logger): Snapshots {
    const usage = storage.engine.usage?.bind(storage.engine);
    const process = {
      version: readVersion(),
      engine: settings.engine,
      state: () => (this.#draining ? 'draining' : service.ready ? 'serving' : 'engine_away'),
      shared: () => ({ rooms: service.rooms, messages: service.messages, batches: service.batches }),
      journal: usage && (() => usage().waiting),
    } as const;
    return createSnapshots(
      this.#threads.map(({ surveyed }) => surveyed),
      process,
      log,
    );
  }

  async renewCertificates(): Promise<void> {
    const results = await Promise.allSettled(this.#threads.map(({ calls }) => calls.call('renewCertificates')));
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  async stop(): Promise<void> {
    // First of all, so that it counts nothing of a shutdown.
    this.#endCanaryGauge();
    await this.#canary?.stop();
    this.#draining = true;
    const shown = this.#admin?.showDrain();
    // While the workers answer.
    await this.#otlp?.stop();
    const threads = this.#threads.map((thread) => thread.stop());
    await Promise.all([shown, ...threads, this.#log?.webhooks?.stop(windowOf(this.#drainWindow))]);
    this.#admin?.close();
    if (this.#log) await closeLog(this.#log);
  }

  async finished(): Promise<void> {
    await Promise.all(this.#threads.map(({ ended }) => ended));
  }

  /** Ends the process at once: each thread closes its own sockets first, or Node would abort. */
  exit(code?: number): void {
    this.#exits = true;
    // A thread that does not answer would keep the process.
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), EXIT_MS).unref();
    void Promise.all(this.#threads.map((thread) => thread.exit())).then(() => process.exit(code));
  }

  #committed(): void {
    const listeners = this.#onCommitted;
    this.#onCommitted = [];
    for (const listener of listeners) listener();
  }
}

function committedOf({ service, storage: { engine } }: Log): Committed {
  return {
    get messages() {
      return service.messages;
    },
    get batches() {
      return service.batches;
    },
    storage: engine.usage?.bind(engine),
  };
}

async function closeLog({ storage, service, cluster, webhooks }: Log): Promise<void> {
  await webhooks?.stop(0);
  await cluster.close();
  await service.close();
  await storage.close();
}

/** One worker thread, as the main thread sees it. */
class Thread implements MonitoredWorker {
  readonly number: number;
  /** Resolves when the thread has ended. */
  readonly ended: Promise<void>;
  readonly surveyed: SurveyedThread;
  readonly #start: WorkerStart;
  readonly #worker: Worker;
  readonly #link: LogLink<WorkerThreadMethods, MainThreadMethods>;
  #service: { readonly dropped: number } | undefined;
  #mayEnd = false;

  constructor(start: WorkerStart, onCrash: OnCrash) {
    const { worker: number, rings } = start;
    this.number = number;
    this.#start = start;
    this.#worker = new Worker(ENTRY, { workerData: start, name: `worker ${number}` });
    this.#worker.once('online', setStartFlags);
    this.#link = new LogLink(portOf(this.#worker), rings, systemScheduler);
    this.surveyed = new SurveyedWorker(number, this.calls, systemScheduler);
    this.#worker.on('error', (error) => onCrash(number, error));
    this.ended = new Promise((resolve) => {
      this.#worker.on('exit', (code) => {
        if (!this.#mayEnd) onCrash(number, new Error(`the thread has ended with exit code ${code}`));
        resolve();
      });
    });
  }

  get calls() {
    return this.#link.calls;
  }

  connect(service: LogService, cluster: ProcessCluster): void {
    this.#service = service.connect(this.number, this.#link);
    cluster.connect(this.number, this.calls);
  }

  /** Does a step of the thread's start. */
  async start(step: 'prepare' | 'listen'): Promise<void> {
    const start = await this.calls.call(step);
    if (start.kind === 'failed') throw Object.assign(new Error(start.message), start.details);
  }

  async stop(): Promise<void> {
    await this.calls.call('stop');
    this.#mayEnd = true;
  }

  /** Ends the thread at once. Resolves when it has ended. */
  exit(): Promise<void> {
    this.#mayEnd = true;
    this.calls.tell('exit');
    return this.ended;
  }

  objects(): ReturnType<MonitoredWorker['objects']> {
    return this.calls.call('metrics');
  }

  profile(ms: number): Promise<string> {
    return this.calls.call('profile', ms);
  }

  utilization(): ReturnType<MonitoredWorker['utilization']> {
    return this.#worker.performance.eventLoopUtilization();
  }

  dropped(): number {
    return this.#service?.dropped ?? 0;
  }

  fill(direction: 'up' | 'down'): number {
    return ringFill(this.#start.rings[direction]);
  }
}
