import { listenersOf } from '../config/listeners.ts';
import type { Loaded } from '../config/load.ts';
import type { Settings } from '../config/settings.ts';
import { createLog, type Logger } from '../observe/log.ts';
import { type ServingProcess, startServer } from '../server/create-server.ts';
import { loadHooks } from '../server/hooks-file.ts';
import {
  adaptFlags,
  collectAfterBursts,
  collectGarbage,
  type MessageCount,
  messagesOf,
  setStartFlags,
} from '../server/v8-flags.ts';

/** Exit code for invalid settings. */
const USAGE = 2;

/** A shutdown may take so long even with a shorter drain window: storage has to be closed. */
const MIN_STOP_MS = 2_000;

type Address = Pick<Settings, 'host' | 'port'>;

// Where to change the port and the host of a listener.
const WITH_FLAGS = ['with --port', 'with --host'] as const;
const IN_LISTENERS = ['in "listeners"', 'in "listeners"'] as const;

/** Ends the process at once. */
let exit: (code?: number) => void = (code) => process.exit(code);

/**
 * `pumphouse serve`: resolves when the server is ready. The process ends with one line and exit
 * code 2 if the server cannot start, and with exit code 1 when it crashes.
 */
export async function serve({ settings, warnings }: Loaded): Promise<void> {
  setStartFlags();
  const log = createLog(settings.logLevel);
  const crash = (error: unknown) => {
    log.fatal({ err: error }, 'crashed');
    exit(1);
  };
  for (const warning of warnings) log.warn(warning);
  process.on('uncaughtException', crash).on('unhandledRejection', crash);
  const starting = startProcess(settings, log).catch((error: NodeJS.ErrnoException) => {
    process.stderr.write(`pumphouse: ${cannotServe(error, settings)}\n`);
    return process.exit(USAGE); // what a hooks file has started would keep the process
  });
  // Before the line that reports the server ready: a supervisor may send a signal upon it.
  handleSignals(starting, settings, log);
  adaptFlags(await starting);
  collectGarbage();
}

async function startProcess(settings: Settings, log: Logger): Promise<ServingProcess & MessageCount> {
  if (settings.workers === 1) {
    const hooks = settings.hooks === undefined ? {} : { hooks: await loadHooks(settings.hooks) };
    const server = await startServer(settings, log, hooks);
    collectAfterBursts(server.hub);
    return Object.assign(messagesOf(server.hub), server);
  }
  const { WorkerPool } = await import('../server/workers.ts');
  const pool = new WorkerPool((worker, err) => {
    log.fatal({ worker, err }, `worker ${worker} crashed`);
    pool.exit(1);
  });
  exit = (code) => pool.exit(code);
  await pool.start(settings, log);
  return pool;
}

/** Stops the server on SIGINT and SIGTERM, and reloads its certificates on SIGHUP. */
function handleSignals(starting: Promise<ServingProcess>, settings: Settings, log: Logger): void {
  const renew = async () => {
    try {
      await (await starting).renewCertificates();
      log.info('certificates are read again');
    } catch (err) {
      log.error({ err }, 'certificates cannot be reloaded: the old ones stay in use');
    }
  };
  // Without certificates SIGHUP keeps its default action: it ends the process.
  if (listenersOf(settings).some(({ tlsCert }) => tlsCert !== undefined)) process.on('SIGHUP', renew);
  let signals = 0;
  const onSignal = async (signal: NodeJS.Signals) => {
    if (++signals > 1) return exit(signal === 'SIGINT' ? 130 : 143);
    log.info({ signal }, 'shutting down');
    setTimeout(() => exit(), Math.max(settings.drainWindow * 1000, MIN_STOP_MS)).unref();
    const server = await starting;
    await server.stop();
    log.info('stopped');
    await server.finished();
    process.exit(); // what a hooks file has started would keep the process
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
}

/** @param error names the listener that failed, if it is a listener's. */
function cannotServe(error: NodeJS.ErrnoException & Partial<Address>, settings: Settings): string {
  const { host = settings.host, port = settings.port } = error;
  const [withPort, withHost] = settings.listeners.length > 0 ? IN_LISTENERS : WITH_FLAGS;
  const messages: Record<string, string> = {
    EADDRINUSE: `port ${port} on ${host} is in use; choose another ${withPort}`,
    EACCES: `port ${port} on ${host} requires privileges; choose one above 1023 ${withPort}`,
    EADDRNOTAVAIL: `${host} is not an address of this machine; choose another ${withHost}`,
    ENOTFOUND: `host ${host} not found; choose another ${withHost}`,
    EAI_AGAIN: `host ${host} not found; choose another ${withHost}`,
  };
  return messages[error.code ?? ''] ?? error.message;
}
