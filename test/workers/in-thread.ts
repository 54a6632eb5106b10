import { randomBytes } from 'node:crypto';
import { pino } from 'pino';
import { createServer, type Server, type ServerOptions } from 'pumphouse';
import { freePort } from '../../bench/free-port.ts';
import { type Listener, listenersOf } from '../../src/config/listeners.ts';
import { settingsOf } from '../../src/config/load.ts';
import { deduping } from '../../src/engine/deduping.ts';
import { memory } from '../../src/engine/memory.ts';
import type { Engine, LocalEngine } from '../../src/hub/engine.ts';
import type { HubEvents } from '../../src/hub/events.ts';
import { Hub } from '../../src/hub/hub.ts';
import type { HubOverrides } from '../../src/hub/settings.ts';
import { systemClock, systemScheduler } from '../../src/hub/time.ts';
import { Authenticators, openKeys } from '../../src/server/authenticator.ts';
import { hubOverrides } from '../../src/server/hub-overrides.ts';
import { localCluster } from '../../src/server/local-cluster.ts';
import { RunningServer } from '../../src/server/running-server.ts';
import type { ProcessClusterMethods, WorkerClusterMethods } from '../../src/threads/cluster-methods.ts';
import { createRings, LogLink, WorkerLink } from '../../src/threads/link.ts';
import type { LogMethods, WorkerMethods } from '../../src/threads/log-methods.ts';
import { LogService } from '../../src/threads/log-service.ts';
import { ProcessCluster } from '../../src/threads/process-cluster.ts';
import { createSharedLimits, openSharedLimits } from '../../src/threads/shared-limits.ts';
import { WorkerCluster } from '../../src/threads/worker-cluster.ts';
import { WorkerEngine } from '../../src/threads/worker-engine.ts';
import { chooseTransport } from '../../src/transport/choose.ts';
import { type HeldPort, holdPort } from '../../src/transport/free-port.ts';
import { fakePorts } from '../threads/ports.ts';
import type { Variant } from './variants.ts';

/** A worker's parts, in the test's own thread. */
export interface InThreadWorker {
  readonly hub: Hub;
  readonly cluster: WorkerCluster;
  readonly engine: WorkerEngine;
}

interface WorkerSide extends WorkerMethods, WorkerClusterMethods {}
interface LogSide extends LogMethods, ProcessClusterMethods {}

/** Workers in this thread that share the log of an engine, as threads do. */
export class InThreadWorkers {
  readonly workers: readonly InThreadWorker[];
  readonly #service: LogService;
  readonly #cluster: ProcessCluster;

  private constructor(service: LogService, cluster: ProcessCluster, workers: readonly InThreadWorker[]) {
    this.#service = service;
    this.#cluster = cluster;
    this.workers = workers;
  }

  static async open(count: number, engine: Engine = memory(), settings: HubOverrides = {}) {
    const cluster = new ProcessCluster(localCluster(systemClock));
    const service = new LogService(engine.dedupes ? engine : deduping(engine as LocalEngine), cluster);
    await service.open();
    cluster.open();
    const workers = Array.from({ length: count }, (_, i) => connectWorker(i + 1, service, cluster, settings));
    await Promise.all(workers.map(({ hub }) => hub.open()));
    return new InThreadWorkers(service, cluster, workers);
  }

  /** Closes the log. Its workers' Hubs and clusters must be closed. */
  async close(): Promise<void> {
    await this.#cluster.close();
    await this.#service.close();
  }
}

function connectWorker(
  number: number,
  service: LogService,
  processCluster: ProcessCluster,
  settings: HubOverrides,
): InThreadWorker {
  const [near, far] = fakePorts();
  const rings = createRings();
  const logLink = new LogLink<WorkerSide, LogSide>(far, rings, systemScheduler);
  service.connect(number, logLink);
  processCluster.connect(number, logLink.calls);
  const link = new WorkerLink<LogSide, WorkerSide>(near, rings, systemScheduler);
  const cluster = new WorkerCluster(link.calls);
  const engine = new WorkerEngine({ link, cluster, clock: systemClock, scheduler: systemScheduler });
  return { hub: new Hub({ engine, settings }), cluster, engine };
}

/** The part of a Hub that tests observe, of all workers together. */
export interface ObservedHub {
  readonly events: { on<K extends keyof HubEvents>(name: K, listener: (event: HubEvents[K]) => void): unknown };
  readonly rooms: number;
  waiting(mailbox: Parameters<Hub['waiting']>[0]): number;
}

/** Observes the Hubs of several workers as if they were one. */
export function observeAll(hubs: readonly Hub[]): ObservedHub {
  const sum = (count: (hub: Hub) => number) => hubs.reduce((total, hub) => total + count(hub), 0);
  return {
    events: { on: (name, listener) => hubs.map((hub) => hub.events.on(name, listener)) },
    get rooms() {
      return sum(({ rooms }) => rooms);
    },
    waiting: (mailbox) => sum((hub) => hub.waiting(mailbox)),
  };
}

/** A server of a variant, as `createServer` returns it. */
export type VariantServer = Omit<Server, 'hub'> & { readonly hub: ObservedHub };

/** Starts a server as `createServer` does, with the transport and the workers of a variant. */
export async function createVariantServer(
  { transport, workers }: Variant,
  options: ServerOptions,
): Promise<VariantServer> {
  if (workers === 1) return createServer({ transport, ...options });
  const { hooks, log = pino({ level: 'silent' }), engine = 'memory', ...given } = options;
  if (engine !== 'memory') throw new Error('a variant with several workers has the engine memory');
  const { settings } = settingsOf(
    { ...given, transport, engine: 'memory' },
    { attached: false, ownEngine: false, hooks: hooks !== undefined },
  );
  const ports = await freePorts(listenersOf(settings));
  const group = await InThreadWorkers.open(workers, memory(), hubOverrides(settings));
  const secret = randomBytes(32);
  const limits = createSharedLimits(settings.maxConnections);
  const servers: RunningServer[] = [];
  const close = async () => {
    await Promise.all(servers.map((server) => server.stop()));
    await group.close();
  };
  let urls: readonly string[] = [];
  try {
    for (const [i, { hub, cluster, engine }] of group.workers.entries()) {
      const server = new RunningServer({
        settings,
        log,
        extensions: hooks ? { hooks } : {},
        transport: chooseTransport(transport),
        authenticators: new Authenticators(listenersOf(settings), cluster, systemClock),
        keys: openKeys(settings.keys),
        storage: { engine, secret, close() {} },
        cluster,
        secret,
        hub,
        limits: openSharedLimits(limits),
        share: {
          worker: i + 1,
          workers,
          ports,
          warns: i === 0,
          webhooks: { list: async () => [], replay: async () => ({ kind: 'unknown_webhook' as const }) },
          metricsText: () => servers[0]?.metrics.text() as Promise<string>,
        },
      });
      urls = await server.listen();
      servers.push(server);
    }
  } catch (error) {
    await close();
    throw error;
  }
  return {
    url: urls[0] as string,
    urls,
    port: ports[0] as number,
    hub: observeAll(group.workers.map(({ hub }) => hub)),
    renewCertificates: async () => void (await Promise.all(servers.map((server) => server.renewCertificates()))),
    stop: close,
  };
}

/** Finds a free port for each listener, no two the same. */
async function freePorts(listeners: readonly Listener[]): Promise<number[]> {
  const held: HeldPort[] = [];
  try {
    for (const { host, port } of listeners) held.push(await holdPort(host, port === 0 ? await freePort() : port));
    return held.map(({ port }) => port);
  } finally {
    await Promise.all(held.map((port) => port.release()));
  }
}
