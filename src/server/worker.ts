// A worker thread of pumphouse serve: a whole server, whose engine is that of the main thread.
import { parentPort, workerData } from 'node:worker_threads';
import { recordProfile } from '../admin/profile.ts';
import { listenersOf } from '../config/listeners.ts';
import { Hub } from '../hub/hub.ts';
import { systemClock, systemScheduler } from '../hub/time.ts';
import { createLog, logClients, logEvents } from '../observe/log.ts';
import { WorkerLink } from '../threads/link.ts';
import { type MessageChannelEnd, portOf } from '../threads/port.ts';
import { openSharedLimits } from '../threads/shared-limits.ts';
import { WorkerCluster } from '../threads/worker-cluster.ts';
import { WorkerEngine } from '../threads/worker-engine.ts';
import { chooseTransport } from '../transport/choose.ts';
import { Authenticators, openKeys } from './authenticator.ts';
import { loadHooks } from './hooks-file.ts';
import { hubOverrides } from './hub-overrides.ts';
import { RunningServer } from './running-server.ts';
import { collectAfterBursts, collectGarbage } from './v8-flags.ts';
import type { MainThreadMethods, Start, WorkerStart, WorkerThreadMethods } from './worker-methods.ts';

const { worker, settings, transport, ports, rings, limits, secret, output } = workerData as WorkerStart;

const isFirst = worker === 1;
const log = createLog(settings.logLevel, output, worker);

// In one turn, so that no call of the main thread comes before its function.
const port = portOf(parentPort as MessageChannelEnd);
const link = new WorkerLink<MainThreadMethods, WorkerThreadMethods>(port, rings, systemScheduler);
const { calls } = link;
const cluster = new WorkerCluster(calls);
const engine = new WorkerEngine({ link, cluster, clock: systemClock, scheduler: systemScheduler });
const hub = new Hub({ engine, settings: hubOverrides(settings) });
const opened = hub.open();
// The engine is the same one for all workers.
if (isFirst) logEvents(hub.events, log);
else logClients(hub.events, log);
collectAfterBursts(hub);

let server: RunningServer | undefined;
calls.serve({
  prepare: () => attempt(prepare),
  listen: () => attempt(listen),
  stop,
  exit: () => process.exit(),
  awaitCommit,
  renewCertificates: async () => server?.renewCertificates(),
  profile: (ms) => recordProfile(ms),
  survey: () => server?.surveyor.survey() ?? Promise.reject(new Error('the server has not started')),
  surveyRooms: (names) => hub.surveyRooms(names),
  metrics: async () => server?.metrics.objects() ?? [],
});

// Node aborts the process when a thread ends that has a socket of uWebSockets.js, also after an
// error.
process.on('exit', () => server?.terminate());

async function prepare(): Promise<void> {
  await opened;
  server = await createServer();
  collectGarbage();
}

async function listen(): Promise<void> {
  await server?.listen();
}

/** Does a step of the start. */
async function attempt(step: () => Promise<void>): Promise<Start> {
  try {
    await step();
    return { kind: 'done' };
  } catch (error) {
    const { message, code, host, port } = error as NodeJS.ErrnoException & { host?: string; port?: number };
    return {
      kind: 'failed',
      message,
      details: { ...(code && { code }), ...(host && { host }), ...(port && { port }) },
    };
  }
}

async function createServer(): Promise<RunningServer> {
  return new RunningServer({
    settings,
    log,
    extensions: settings.hooks === undefined ? {} : { hooks: await loadHooks(settings.hooks) },
    transport: chooseTransport(transport),
    authenticators: new Authenticators(listenersOf(settings), cluster, systemClock),
    keys: openKeys(settings.keys),
    // The main thread opens and closes the storage.
    storage: { engine, secret, close() {} },
    cluster,
    secret,
    hub,
    limits: openSharedLimits(limits),
    share: {
      worker,
      workers: settings.workers,
      ports,
      warns: isFirst,
      metricsText: () => calls.call('metricsText'),
      webhooks: {
        list: () => calls.call('listWebhooks'),
        replay: (name, request) => calls.call('replayWebhook', name, request),
      },
    },
  });
}

async function stop(): Promise<void> {
  await server?.stop();
  // Ends this thread only.
  void server?.finished().then(() => process.exit());
}

function awaitCommit(): void {
  const off = hub.events.on('committed', () => {
    off();
    calls.tell('committed');
  });
}
