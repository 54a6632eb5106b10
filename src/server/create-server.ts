import { type Logger, pino } from 'pino';
import { ConfigError } from '../config/error.ts';
import { listenersOf } from '../config/listeners.ts';
import { settingsOf } from '../config/load.ts';
import type { Settings } from '../config/settings.ts';
import type { Engine } from '../hub/engine.ts';
import { Hub } from '../hub/hub.ts';
import { systemClock } from '../hub/time.ts';
import { createLog, logEvents } from '../observe/log.ts';
import { chooseTransport } from '../transport/choose.ts';
import type { HttpServer, RequestHandler } from '../transport/ws-attach.ts';
import { checkAttachable, portOf, urlOfServer } from './attach.ts';
import { Authenticators, openKeys } from './authenticator.ts';
import { hubOverrides } from './hub-overrides.ts';
import { localCluster } from './local-cluster.ts';
import { openWebhooks } from './open-webhooks.ts';
import { type Extensions, type Parts, RunningServer } from './running-server.ts';
import { openRevocations, openStorage, storageOf } from './storage.ts';

/** Options of `createServer`: the settings of `pumphouse serve`, and a program's own additions. */
export interface ServerOptions
  extends Partial<Omit<Settings, 'engine' | 'hooks' | 'workers'>>,
    Omit<Extensions, 'engine'> {
  /**
   * `memory` loses the rooms when the process ends; `lmdb` stores them in the folder `data`;
   * `redis` shares them with other nodes. `redis({ url })` is that engine with all of its options.
   *
   * @default 'memory'
   */
  readonly engine?: Settings['engine'] | Engine;
  /**
   * Least severe level to log on standard output: readable text on a terminal, one JSON object a
   * line elsewhere.
   *
   * @default 'silent'
   */
  readonly logLevel?: Settings['logLevel'];
  /** A pino logger, in place of `logLevel`. @default undefined */
  readonly log?: Logger;
}

/** Options of `createServer` that attach it to the program's own HTTP server. */
export interface AttachOptions
  extends Omit<ServerOptions, 'host' | 'port' | 'tlsCert' | 'tlsKey' | 'listeners' | 'transport'> {
  /**
   * The program's server. Its handshakes for the paths of Pumphouse are answered; other handshakes
   * are left to other listeners, which must leave those of Pumphouse alone. Its plain requests stay
   * the program's.
   */
  readonly server: HttpServer;
  /** uWebSockets.js cannot attach to a server of Node. @default 'ws' */
  readonly transport?: 'auto' | 'ws';
}

/** A listening server. */
export interface Server {
  /** URL of the first listener. */
  readonly url: string;
  /** URLs of all listeners, in the order of the settings. */
  readonly urls: readonly string[];
  /** Port of the first listener. */
  readonly port: number;
  readonly hub: Hub;
  /**
   * Reloads the certificates. If one cannot be used, it rejects with one line, and the old
   * certificate stays in use.
   */
  renewCertificates(): Promise<void>;
  /**
   * Closes every client with 1001. Resolves when all have disconnected, or at the end of the drain
   * window. A socket that accepts no data keeps its close frame, and the process, for some seconds
   * longer.
   */
  stop(): Promise<void>;
}

/** A server as the command runs it, which ends its process. */
export interface ServingProcess extends Pick<Server, 'renewCertificates' | 'stop'> {
  /** Resolves when the last connection is gone, some seconds after `stop` at the latest. */
  finished(): Promise<void>;
}

/** A server that is attached to the program's own HTTP server. */
export interface AttachedServer {
  /** URL of the program's server; undefined until it listens, and on a Unix socket. */
  readonly url: string | undefined;
  /** Port of the program's server; undefined until it listens, and on a Unix socket. */
  readonly port: number | undefined;
  readonly hub: Hub;
  /**
   * Serves the plain requests of `pumphouse serve`: `/publish`, `/login`, `/healthz` and the
   * page. Mount it behind the program's own routes and before any body parser.
   */
  readonly handler: RequestHandler;
  /**
   * Closes every client with 1001 as `Server.stop` does, then detaches. The program's server stays
   * open.
   */
  stop(): Promise<void>;
}

/**
 * Starts a server in this process, with everything that `pumphouse serve` offers. Its default
 * address is `http://localhost:8080`. With the option `server` it attaches to the program's own HTTP
 * server instead of listening.
 *
 * @throws ConfigError for an invalid option, and Node's error, with its `code`, if a listener
 * cannot listen.
 * @example
 * const server = await createServer({
 *   port: 9000,
 *   hooks: {
 *     connect: async ({ headers }) => ({ user: await nameOf(headers.cookie) }),
 *     join: ({ user }, room) => room !== 'staff' || isStaff(user),
 *   },
 * });
 * await server.stop();
 */
export function createServer(options: AttachOptions): Promise<AttachedServer>;
export function createServer(options?: ServerOptions): Promise<Server>;
export async function createServer(options: ServerOptions | AttachOptions = {}): Promise<Server | AttachedServer> {
  const { server, engine = 'memory', hooks, log, ...given } = { server: undefined, ...options };
  if (log && given.logLevel !== undefined) {
    throw new ConfigError('log and logLevel exclude each other; set one of them');
  }
  if (typeof hooks === 'string') {
    throw new ConfigError('hooks: is a string; import the module, and pass its functions connect, join and send');
  }
  if (server !== undefined) checkAttachable(server, given);
  const provided = typeof engine === 'object';
  const { settings, warnings } = settingsOf(
    { ...given, engine: provided ? 'memory' : engine },
    { attached: server !== undefined, ownEngine: provided, hooks: hooks !== undefined },
  );
  const extensions = { ...(provided && { engine }), ...(hooks && { hooks }) };
  const logger = log ?? (given.logLevel === undefined ? pino({ level: 'silent' }) : createLog(settings.logLevel));
  for (const warning of warnings) logger.warn(warning);
  if (server) return attachServer(server, { ...settings, transport: 'ws' }, logger, extensions);
  return startServer(settings, logger, extensions);
}

/**
 * Starts a server with validated settings.
 *
 * @throws Error with one line if the transport, the storage or a key cannot be used, and Node's
 * error, with a `code` such as EADDRINUSE, if a listener cannot listen.
 */
export async function startServer(
  settings: Settings,
  log: Logger,
  extensions: Extensions = {},
): Promise<Server & ServingProcess> {
  const running = new RunningServer(await build(settings, log, extensions));
  const urls = await running.listen();
  const [url = ''] = urls;
  return {
    url,
    urls,
    port: Number(new URL(url).port),
    hub: running.hub,
    renewCertificates: () => running.renewCertificates(),
    stop: () => running.stop(),
    finished: () => running.finished(),
  };
}

async function attachServer(
  server: HttpServer,
  settings: Settings,
  log: Logger,
  extensions: Extensions,
): Promise<AttachedServer> {
  const running = new RunningServer(await build(settings, log, extensions));
  const { handler } = await running.attach(server);
  return {
    get url() {
      return urlOfServer(server);
    },
    get port() {
      return portOf(server);
    },
    hub: running.hub,
    handler,
    stop: () => running.stop(),
  };
}

async function build(settings: Settings, log: Logger, extensions: Extensions): Promise<Parts> {
  const transport = chooseTransport(settings.transport);
  if (transport.note) log.info(transport.note);
  const { engine } = extensions;
  const storage = engine ? storageOf(engine) : await openStorage(settings, log);
  const cluster =
    storage.engine.cluster ?? localCluster(systemClock, openRevocations(settings.revocations), storage.readPlaces);
  const webhooks = await openWebhooks(settings, storage.engine, storage.engine, log);
  const hub = new Hub({
    engine: webhooks?.engine ?? storage.engine,
    settings: hubOverrides(settings),
    readPlaces: cluster.readPlaces,
  });
  let opened = false;
  try {
    const authenticators = new Authenticators(listenersOf(settings), cluster, systemClock);
    const keys = openKeys(settings.keys);
    await hub.open();
    opened = true;
    // All nodes sign with one secret, so that a session resumes on any of them.
    const secret = await cluster.secret(storage.secret);
    logEvents(hub.events, log);
    await webhooks?.start();
    return {
      settings,
      log,
      extensions,
      transport,
      authenticators,
      keys,
      storage,
      cluster,
      secret,
      hub,
      ...(webhooks && { webhooks }),
    };
  } catch (error) {
    if (opened) await hub.close();
    await storage.close();
    throw error;
  }
}
