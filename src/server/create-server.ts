import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Logger, pino } from 'pino';
import { clientAddress } from '../accept/client-address.ts';
import { addressKey, ConnectionLimiter, isLoopback } from '../accept/connection-limits.ts';
import { HandshakeLimiter } from '../accept/handshake-limiter.ts';
import { HookRunner, type Hooks } from '../accept/hooks.ts';
import { Intake } from '../accept/intake.ts';
import { createWires, WireSelector, type Wires } from '../accept/select-wire.ts';
import { type Access, Upgrader } from '../accept/upgrader.ts';
import { Sessions } from '../auth/sessions.ts';
import type { ClientContext } from '../client/client.ts';
import { Keepalive } from '../client/keepalive.ts';
import { type RateLimit, SharedLimits } from '../client/rate-limit.ts';
import { ConfigError } from '../config/error.ts';
import { type AuthSettings, type Listener, listenersOf } from '../config/listeners.ts';
import { settingsOf } from '../config/load.ts';
import type { Settings } from '../config/settings.ts';
import { CHAT } from '../http/routes.ts';
import { type WebListener, webWarnings, wireOfPage } from '../http/web-page.ts';
import type { Engine } from '../hub/engine.ts';
import { Hub } from '../hub/hub.ts';
import type { HubOverrides } from '../hub/settings.ts';
import { systemClock, systemScheduler } from '../hub/time.ts';
import { createLog, logEvents } from '../observe/log.ts';
import { collectMetrics } from '../observe/metrics.ts';
import { chooseTransport, type TransportChoice } from '../transport/choose.ts';
import type { HttpRequest, Transport } from '../transport/transport.ts';
import { type Attachment, attach, type HttpServer, type RequestHandler } from '../transport/ws-attach.ts';
import { checkAttachable, formatHost, portOf, urlOfServer } from './attach.ts';
import { Authenticators, sessionScope } from './authenticator.ts';
import { allClosed, closeClients } from './drain.ts';
import { createListener, type ListenerOptions } from './listener.ts';
import { Publisher } from './publisher.ts';
import { openStorage, type Storage, storageOf } from './storage.ts';

/** Additions to the settings, from an embedding program. */
export interface Extensions {
  /** Stores the rooms, in place of the engine that the settings name. The server closes it. */
  readonly engine?: Engine;
  /** @default no hooks: everything is allowed */
  readonly hooks?: Hooks;
  /** Longest duration of a hook, in milliseconds. @default 5000 */
  readonly hookTimeout?: number;
}

/** Options of `createServer`: the settings of `pumphouse serve`, and a program's own additions. */
export interface ServerOptions extends Partial<Omit<Settings, 'engine'>>, Omit<Extensions, 'engine'> {
  /**
   * `memory` loses the rooms when the process ends; `lmdb` stores them in the folder `data`.
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

/** A server that is attached to the program's own HTTP server. */
export interface AttachedServer {
  /** URL of the program's server; undefined until it listens, and on a Unix socket. */
  readonly url: string | undefined;
  /** Port of the program's server; undefined until it listens, and on a Unix socket. */
  readonly port: number | undefined;
  readonly hub: Hub;
  /**
   * Serves the plain requests of `pumphouse serve`: `/publish`, `/login`, `/healthz`, `/metrics`
   * and the page. Mount it behind the program's own routes and before any body parser.
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
  const { server, engine = 'memory', hooks, hookTimeout, log, ...given } = { server: undefined, ...options };
  if (log && given.logLevel !== undefined) {
    throw new ConfigError('log and logLevel exclude each other; set one of them');
  }
  if (server !== undefined) checkAttachable(server, given);
  const provided = typeof engine === 'object';
  const { settings, warnings } = settingsOf(
    { ...given, engine: provided ? 'memory' : engine },
    {
      attached: server !== undefined,
      ownEngine: provided,
      hooks: hooks !== undefined,
      hookTimeout: hookTimeout !== undefined,
    },
  );
  const extensions = {
    ...(provided && { engine }),
    ...(hooks && { hooks }),
    ...(hookTimeout !== undefined && { hookTimeout }),
  };
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
export async function startServer(settings: Settings, log: Logger, extensions: Extensions = {}): Promise<Server> {
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

/** The parts of a server that can fail to start. */
interface Parts {
  readonly settings: Settings;
  readonly log: Logger;
  readonly extensions: Extensions;
  readonly transport: TransportChoice;
  readonly authenticators: Authenticators;
  readonly storage: Storage;
  readonly hub: Hub;
}

async function build(settings: Settings, log: Logger, extensions: Extensions): Promise<Parts> {
  const transport = chooseTransport(settings.transport);
  if (transport.note) log.info(transport.note);
  const authenticators = new Authenticators(listenersOf(settings), systemClock);
  const { engine } = extensions;
  const storage = engine ? storageOf(engine) : await openStorage(settings, log);
  const hub = new Hub({ engine: storage.engine, settings: hubOverrides(settings) });
  await hub.open().catch((error) => {
    storage.close();
    throw error;
  });
  logEvents(hub.events, log);
  return { settings, log, extensions, transport, authenticators, storage, hub };
}

const MiB = 1024 * 1024;

// Far above what the write pump leaves in a socket (one frame and some control frames), so that the
// close frame of a slow consumer is never dropped.
const MAX_BACKPRESSURE = MiB;

// Far above the limit of every wire, so that a longer message is read, and closed with 1009,
// instead of cut off.
const MAX_PAYLOAD = MiB;

const SOCKET_LIMITS = { maxPayload: MAX_PAYLOAD, maxBackpressure: MAX_BACKPRESSURE };

const DEFAULT_HOOK_TIMEOUT_MS = 5_000;

const DEFAULT_PUBLISH_RATE = { perSecond: 20, burst: 40 };

/** The composition root: it wires the parts together, and knows every concrete class. */
class RunningServer {
  readonly hub: Hub;
  readonly #parts: Parts;
  readonly #keepalive = new Keepalive(systemClock, systemScheduler);
  readonly #wires: Wires;
  readonly #intake: Intake;
  readonly #context: Omit<ClientContext, 'publishRate'>;
  readonly #rates: Rates;
  readonly #sessions: Sessions;
  readonly #upgrader: Upgrader;
  readonly #listenerOptions: Omit<ListenerOptions, 'access' | 'wires' | 'web'>;
  readonly #transports: Omit<Transport, 'listen'>[] = [];
  #draining = false;

  constructor(parts: Parts) {
    const { settings, hub } = parts;
    this.hub = hub;
    this.#parts = parts;
    // The setting replaces the send buffers of the wires.
    this.#wires = createWires(settings.sendBuffer === undefined ? {} : { sendBuffer: undefined });
    const hookRunner = createHookRunner(parts);
    const authorizer = hookRunner.authorizer();
    const addressOf = clientAddress(settings.trustProxy);
    const origins = settings.origin;
    const draining = () => this.#draining;
    const [clock, scheduler] = [systemClock, systemScheduler];
    const { maxHandshakes } = settings;
    this.#intake = new Intake(clock, maxHandshakes === 'off' ? undefined : maxHandshakes);
    hub.events.on('connected', () => this.#intake.count());
    this.#context = { hub, clock, keepalive: this.#keepalive, ...(authorizer && { authorizer }) };
    this.#rates = new Rates(settings);
    this.#sessions = new Sessions(parts.storage.secret);
    this.#upgrader = new Upgrader({
      hub,
      scheduler,
      origins,
      limiter: new ConnectionLimiter({ all: settings.maxConnections, perAddress: settings.connectionsPerAddress }),
      handshakes: maxHandshakes === 'off' ? undefined : new HandshakeLimiter(this.#intake, clock),
      draining,
      addressOf,
      hookRunner,
    });
    this.#listenerOptions = {
      upgrader: this.#upgrader,
      publisher: new Publisher(hub, authorizer, draining),
      hookRunner,
      addressOf,
      clock,
      scheduler,
      publishRate: settings.publishRate,
      defaultRate: DEFAULT_PUBLISH_RATE,
      metrics: collectMetrics(hub.events, {
        connections: () => this.#keepalive.clients.size,
        rooms: () => hub.rooms,
        mailbox: (name) => hub.waiting(name),
      }),
      draining,
      origins,
    };
  }

  /** Starts every listener, or none. @returns their URLs. */
  async listen(): Promise<readonly string[]> {
    const urls: string[] = [];
    await this.#startOrRelease(async () => {
      for (const listener of listenersOf(this.#parts.settings)) {
        const url = urlOf(listener, await this.#listen(listener));
        this.#logStart(listener.wire, `pumphouse serves ${url}`);
        urls.push(url);
      }
    });
    return urls;
  }

  /** Serves on the program's own server. */
  async attach(server: HttpServer): Promise<Attachment> {
    const { settings } = this.#parts;
    const { wire, web } = settings;
    const wires = this.#createSelector({ web, wire });
    const listener = createListener({ ...this.#listenerOptions, access: this.#accessOf(settings), wires, web });
    const accepts = (request: HttpRequest) => wires.select(request) !== undefined;
    const attachment = await this.#startOrRelease(async () => attach(server, listener, { ...SOCKET_LIMITS, accepts }));
    this.#transports.push(attachment);
    this.#logStart(wire, "pumphouse is attached to the program's server");
    return attachment;
  }

  async renewCertificates(): Promise<void> {
    const results = await Promise.allSettled(this.#transports.map((transport) => transport.renewCertificate()));
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  async stop(): Promise<void> {
    const window = this.#parts.settings.drainWindow * 1000;
    const drain = { window, intake: this.#intake.perSecond, clock: systemClock, sleep };
    this.#draining = true;
    for (const transport of this.#transports) transport.stopListening();
    this.#upgrader.close();
    await this.hub.settle(); // accepted messages are delivered before their receivers are closed
    await closeClients(this.#keepalive, drain);
    await allClosed(this.#keepalive, drain);
    if (this.#keepalive.clients.size > 0) for (const transport of this.#transports) transport.terminate();
    await this.hub.settle();
    await this.hub.close();
    this.#parts.storage.close();
    for (const transport of this.#transports) transport.finish();
  }

  /** Starts to serve, or releases everything if that fails. */
  async #startOrRelease<T>(start: () => Promise<T>): Promise<T> {
    const { settings, log, storage } = this.#parts;
    if (settings.web === undefined && !existsSync(CHAT)) {
      log.warn('the built-in chat is missing; build it with npm run build:web');
    }
    try {
      return await start();
    } catch (error) {
      for (const transport of this.#transports) transport.terminate();
      await this.hub.close();
      storage.close();
      throw error;
    }
  }

  /** Warns of a page that cannot work with its listener's settings. */
  #createSelector(listener: WebListener): WireSelector {
    const warn = (message: string) => this.#parts.log.warn(message);
    for (const warning of webWarnings(listener)) warn(warning);
    return new WireSelector(this.#wires, listener.wire, { subscribers: wireOfPage(listener.web), warn });
  }

  #logStart(wire: Listener['wire'], message: string): void {
    const { settings, log, extensions, transport } = this.#parts;
    const engine = extensions.engine ? 'its own' : settings.engine;
    log.info({ transport: transport.name, wire, engine }, message);
  }

  /** @returns the port. */
  async #listen(settings: Listener): Promise<number> {
    const { host, port, wire, web, tlsCert, tlsKey } = settings;
    const wires = this.#createSelector({ web, wire, port, tls: tlsCert !== undefined });
    const listener = createListener({ ...this.#listenerOptions, access: this.#accessOf(settings), wires, web });
    const tls = tlsCert !== undefined && tlsKey !== undefined ? { tls: { cert: tlsCert, key: tlsKey } } : {};
    const transport = this.#parts.transport.factory(listener, { ...SOCKET_LIMITS, ...tls });
    this.#transports.push(transport);
    return transport.listen(host, port);
  }

  /** What the clients of a listener may do by their authentication. */
  #accessOf(settings: AuthSettings): Access {
    return {
      authenticator: this.#parts.authenticators.of(settings),
      sessions: this.#sessions.of(sessionScope(settings)),
      context: { ...this.#context, ...this.#rates.of(settings) },
    };
  }
}

function createHookRunner({ extensions, log }: Parts): HookRunner {
  const { hooks = {}, hookTimeout = DEFAULT_HOOK_TIMEOUT_MS } = extensions;
  return new HookRunner(hooks, hookTimeout, systemScheduler, (hook, err) => log.error({ hook, err }, 'a hook failed'));
}

// The rates of one user and of one address, as multiples of the rate of one connection.
const USER_FACTOR = 2;
const ADDRESS_FACTOR = 20;

/** The limits of each connection, and those that one user's or address's connections share. */
class Rates {
  readonly #publishRate: RateLimit;
  readonly #shared: SharedLimits | undefined;

  constructor({ publishRate = DEFAULT_PUBLISH_RATE }: Settings) {
    this.#publishRate = publishRate;
    if (publishRate === 'off') return;
    const { perSecond, burst } = publishRate;
    const times = (factor: number) => ({ perSecond: factor * perSecond, burst: factor * burst });
    const rates = { address: times(ADDRESS_FACTOR), user: times(USER_FACTOR) };
    this.#shared = new SharedLimits(rates, systemClock, isLoopback, addressKey);
  }

  /** Without authentication a client can take any name, so names have no limit. */
  of({ auth }: AuthSettings): Pick<ClientContext, 'publishRate' | 'sharedLimits'> {
    const [publishRate, shared] = [this.#publishRate, this.#shared];
    if (!shared) return { publishRate };
    return { publishRate, sharedLimits: auth === 'open' ? shared.withoutUsers() : shared };
  }
}

function urlOf({ host, tlsCert }: Listener, port: number): string {
  return `http${tlsCert === undefined ? '' : 's'}://${formatHost(host)}:${port}`;
}

function hubOverrides({ sendBuffer, rooms }: Settings): HubOverrides {
  const roomSettings = (room: string) => (Object.hasOwn(rooms, room) ? rooms[room] : undefined);
  return {
    ...(sendBuffer !== undefined && { sendBuffer: { records: sendBuffer } }),
    coalesce: (room) => roomSettings(room)?.coalesce,
    slow: (room) => roomSettings(room)?.slow ?? 'evict',
  };
}
