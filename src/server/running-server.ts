import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { clientAddress, trustedProxies } from '../accept/client-address.ts';
import { addressKey, ConnectionLimiter } from '../accept/connection-limits.ts';
import { HandshakeLimiter } from '../accept/handshake-limiter.ts';
import type { Access } from '../accept/handshake-request.ts';
import { HookRunner, type Hooks } from '../accept/hooks.ts';
import { Intake } from '../accept/intake.ts';
import { createWires, WireSelector, type Wires } from '../accept/select-wire.ts';
import { Upgrader } from '../accept/upgrader.ts';
import { createProfiler } from '../admin/profile.ts';
import type { Snapshots } from '../admin/snapshots.ts';
import { createApi } from '../api/api.ts';
import { LocalNode } from '../api/local-node.ts';
import { Nodes } from '../api/nodes.ts';
import type { Keys } from '../auth/keys.ts';
import { Revocations } from '../auth/revocations.ts';
import { Sessions } from '../auth/sessions.ts';
import type { Canary } from '../canary/canary.ts';
import type { Client, ClientContext } from '../client/client.ts';
import { Keepalive } from '../client/keepalive.ts';
import { type AuthSettings, type Listener, listenersOf } from '../config/listeners.ts';
import { DEFAULT_PUBLISH_RATE, type Settings } from '../config/settings.ts';
import { CHAT } from '../http/routes.ts';
import { type WebListener, webWarnings, wireOfPage } from '../http/web-page.ts';
import { ATTEMPT_RATES, type Cluster } from '../hub/cluster.ts';
import type { Engine } from '../hub/engine.ts';
import type { Hub } from '../hub/hub.ts';
import { systemClock, systemScheduler } from '../hub/time.ts';
import { type LifeQuery, Lives } from '../lives/lives.ts';
import { collectMetrics, type Readings, type ServerMetrics } from '../observe/metrics.ts';
import type { OtlpExport } from '../observe/otlp.ts';
import { type SurveyReadings, ThreadSurveyor } from '../observe/thread-survey.ts';
import type { TransportChoice } from '../transport/choose.ts';
import type { Application, HttpRequest, Transport } from '../transport/transport.ts';
import { type Attachment, attach, type HttpServer } from '../transport/ws-attach.ts';
import type { WebhookControl, Webhooks } from '../webhooks/webhooks.ts';
import { createStreamWires } from '../wire/event-streams.ts';
import { type AdminListener, listenForAdmin } from './admin-listener.ts';
import { formatHost } from './attach.ts';
import { type Authenticators, sessionScope } from './authenticator.ts';
import { canaryAccess, startCanary } from './canary.ts';
import { closeClients, windowOf } from './drain.ts';
import { type Limits, localLimits } from './limits.ts';
import { createListener, type ListenerOptions } from './listener.ts';
import { exportMetrics } from './otlp.ts';
import { Publisher } from './publisher.ts';
import { Rates } from './rates.ts';
import { createSnapshots } from './snapshots.ts';
import type { Storage } from './storage.ts';
import { readVersion } from './version.ts';

/** Additions to the settings, from an embedding program. */
export interface Extensions {
  /** Stores the rooms, in place of the engine that the settings name. The server closes it. */
  readonly engine?: Engine;
  /** @default no hooks: everything is allowed */
  readonly hooks?: Hooks;
}

/** The parts of a server that can fail to start. */
export interface Parts {
  readonly settings: Settings;
  readonly log: Logger;
  readonly extensions: Extensions;
  readonly transport: TransportChoice;
  readonly authenticators: Authenticators;
  /** The keys of the Server API. */
  readonly keys: Keys;
  readonly storage: Storage;
  readonly cluster: Cluster;
  /** Signs the sessions of all nodes. */
  readonly secret: Uint8Array;
  readonly hub: Hub;
  /** The webhooks that this thread delivers. @default none */
  readonly webhooks?: Webhooks;
  /** The limits that this server shares with other threads. @default limits of its own */
  readonly limits?: Limits;
  /** Set for one of several threads that listen on the same ports. */
  readonly share?: ThreadShare;
}

/** What a server has in common with those of the other threads. */
interface ThreadShare {
  /** The number of this one. */
  readonly worker: number;
  readonly workers: number;
  /** The ports of the listeners, in the order of the settings. */
  readonly ports: readonly number[];
  /** Whether this thread logs the warnings that are those of all threads. */
  readonly warns: boolean;
  /** Returns the metrics of all threads in Prometheus's text format. */
  metricsText(): Promise<string>;
  /** Reaches the webhooks, which the main thread delivers. */
  readonly webhooks: WebhookControl;
}

const MiB = 1024 * 1024;

// Far above what the write pump leaves in a socket (one frame and some control frames), so that the
// close frame of a slow consumer is never dropped.
const MAX_BACKPRESSURE = MiB;

// Far above the limit of every wire, so that a longer message is read, and closed with 1009,
// instead of cut off.
const MAX_PAYLOAD = MiB;

const SOCKET_LIMITS = { maxPayload: MAX_PAYLOAD, maxBackpressure: MAX_BACKPRESSURE };

/** The composition root: it wires the parts together, and knows every concrete class. */
export class RunningServer {
  readonly hub: Hub;
  /** The metrics of this thread. */
  readonly metrics: ServerMetrics;
  /** Surveys this thread for snapshots. */
  readonly surveyor: ThreadSurveyor;
  readonly #parts: Parts;
  readonly #keepalive = new Keepalive<Client>(systemClock, systemScheduler);
  readonly #wires: Wires;
  readonly #intake: Intake;
  readonly #context: Omit<ClientContext, 'publishRate'>;
  readonly #limits: Limits;
  readonly #rates: Rates;
  readonly #sessions: Sessions;
  readonly #local: LocalNode;
  readonly #nodes: Nodes;
  readonly #upgrader: Upgrader;
  readonly #listenerOptions: Omit<ListenerOptions, 'access' | 'wires' | 'native' | 'web' | 'postBuckets'>;
  readonly #transports: Omit<Transport, 'listen'>[] = [];
  #admin: AdminListener | undefined;
  #otlp: OtlpExport | undefined;
  #canary: Canary | undefined;
  /** Ends the gauge of the canary. */
  #endCanaryGauge = () => {};
  #draining = false;
  #finished: Promise<unknown> | undefined;

  constructor(parts: Parts) {
    const { settings, hub, cluster, share } = parts;
    this.hub = hub;
    this.#parts = parts;
    // The setting replaces the send buffers of the wires.
    const wireLimits = settings.sendBuffer === undefined ? {} : { sendBuffer: undefined };
    this.#wires = createWires(wireLimits);
    const hookRunner = createHookRunner(parts);
    const authorizer = hookRunner.authorizer();
    const addressOf = clientAddress(settings.trustProxy);
    const origins = settings.origin;
    const draining = () => this.#draining;
    const ready = () => hub.ready;
    const [clock, scheduler] = [systemClock, systemScheduler];
    const { maxHandshakes } = settings;
    this.#intake = new Intake(clock, maxHandshakes === 'off' ? undefined : maxHandshakes, share?.workers);
    hub.events.on('connected', () => this.#intake.count());
    // Only the listener of operators shows them.
    const lives = settings.adminListen === undefined ? undefined : new Lives(clock);
    this.#context = {
      hub,
      clock,
      keepalive: this.#keepalive,
      ...(authorizer && { authorizer }),
      ...(lives && { lives }),
    };
    this.#limits = parts.limits ?? localLimits(clock);
    this.#rates = new Rates(settings, this.#limits);
    this.#sessions = new Sessions(parts.secret);
    const { maxConnections: all, connectionsPerAddress: perAddress } = settings;
    const revocations = new Revocations(cluster.revocations, () => clock.now());
    const { clients } = this.#keepalive;
    const findLives = lives && ((query: LifeQuery) => lives.find(query, clients));
    this.#local = new LocalNode({ hub, clients, revocations, findLives });
    const failed = (err: unknown) => parts.log.error({ err }, 'a request to the API failed');
    this.#nodes = new Nodes({ local: this.#local, cluster, failed });
    this.#upgrader = new Upgrader({
      hub,
      scheduler,
      origins,
      limiter: new ConnectionLimiter({ all, perAddress }, this.#limits.connections),
      handshakes: maxHandshakes === 'off' ? undefined : new HandshakeLimiter(this.#intake, clock),
      draining,
      ready,
      claims: cluster,
      revocations,
      addressOf,
      hookRunner,
    });
    cluster.open({
      signalled: (signal) => hub.signalledElsewhere(signal),
      changed: (room, change) => hub.presenceChangedElsewhere(room, change),
      hasRead: (user, room, place) => hub.readElsewhere(user, room, place),
      claimed: (session) => this.#upgrader.letGo(session),
      asked: (question) => this.#local.asked(question),
    });
    hub.events.on('engine', ({ state }) => state === 'ready' && this.#closeRevoked());
    const connections = () => this.#keepalive.clients.size;
    const readings = { ...readingsOf(hub, parts.storage.engine), connections };
    this.metrics = collectMetrics(hub.events, readings);
    this.surveyor = new ThreadSurveyor(share?.worker ?? 0, hub.events, readings, clock.date);
    if (parts.webhooks) this.metrics.collectWebhooks(() => parts.webhooks?.readings() ?? []);
    this.#listenerOptions = {
      streamWires: createStreamWires(wireLimits),
      upgrader: this.#upgrader,
      canaryAccess: settings.canary === 0 ? undefined : canaryAccess(parts.secret, this.#sessions, this.#context),
      publisher: new Publisher(hub, authorizer, draining),
      hookRunner,
      addressOf,
      isTrustedProxy: trustedProxies(settings.trustProxy),
      scheduler,
      publishRate: settings.publishRate,
      takePost: (room, address) => this.#rates.takePost(room, address),
      defaultRate: DEFAULT_PUBLISH_RATE,
      metrics: settings.publicMetrics === 'off' ? undefined : this.#publicMetrics,
      draining,
      ready,
      origins,
      api: this.#createApi(addressOf),
    };
  }

  #createApi(addressOf: (request: HttpRequest) => string): ReturnType<typeof createApi> {
    const { keys, cluster, log, webhooks, share } = this.#parts;
    const failures = this.#limits.buckets('rejected keys of an address', ATTEMPT_RATES.address);
    const failed = (err: unknown) => log.error({ err }, 'a request to the API failed');
    return createApi({
      hub: this.hub,
      nodes: this.#nodes,
      revocations: cluster.revocations,
      date: () => systemClock.date(),
      keys,
      webhooks: webhooks ?? share?.webhooks,
      addressOf,
      takeFailure: (address) => failures.take(addressKey(address)),
      draining: () => this.#draining,
      failed,
    });
  }

  /** While this node could not reach its store, others may have revoked credentials. */
  #closeRevoked(): void {
    const { log } = this.#parts;
    this.#local.closeRevoked().catch((err) => log.error({ err }, 'revoked credentials could not be looked up'));
  }

  /** Starts every listener, or none. @returns their URLs. */
  async listen(): Promise<readonly string[]> {
    const urls: string[] = [];
    await this.#startOrRelease(async () => {
      for (const listener of this.#listeners()) {
        const url = urlOf(listener, await this.#listen(listener));
        this.#logStart(listener.wire, `pumphouse serves ${url}`);
        urls.push(url);
      }
      await this.#observe(Number(new URL(urls[0] as string).port));
    });
    return urls;
  }

  /**
   * Starts what observes the server from outside. With several threads, the main thread has it.
   *
   * @param port of the first listener; undefined for that of a program.
   */
  async #observe(port: number | undefined): Promise<void> {
    const { settings, secret, log, share } = this.#parts;
    if (share) return;
    this.#otlp = await exportMetrics(settings, port ?? settings.port, () => this.metrics.objects(), log);
    this.#canary = startCanary(settings, secret, port, log);
    if (this.#canary) this.#endCanaryGauge = this.metrics.collectCanary(this.#canary.readings);
  }

  /** The listeners of the settings, on the ports that threads share. */
  #listeners(): readonly Listener[] {
    const { settings, share } = this.#parts;
    return listenersOf(settings).map((listener, i) => ({ ...listener, port: share?.ports[i] ?? listener.port }));
  }

  /** Serves on the program's own server. */
  async attach(server: HttpServer): Promise<Attachment> {
    const { settings } = this.#parts;
    const { wire, web } = settings;
    const wires = this.#createSelector({ web, wire });
    const listener = this.#createListener(settings, wires);
    const accepts = (request: HttpRequest) => wires.select(request) !== undefined;
    const attachment = await this.#startOrRelease(async () => {
      const attached = attach(server, listener, { ...SOCKET_LIMITS, accepts });
      this.#transports.push(attached);
      await this.#observe(undefined);
      return attached;
    });
    this.#logStart(wire, "pumphouse is attached to the program's server");
    return attachment;
  }

  async renewCertificates(): Promise<void> {
    const results = await Promise.allSettled(this.#transports.map((transport) => transport.renewCertificate()));
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  async stop(): Promise<void> {
    const window = windowOf(this.#parts.settings.drainWindow);
    const drain = { window, intake: this.#intake.perSecond, clock: systemClock, sleep };
    // First of all, so that it counts nothing of a shutdown.
    this.#endCanaryGauge();
    await this.#canary?.stop();
    this.#draining = true;
    const shown = this.#admin?.showDrain();
    for (const transport of this.#transports) transport.stopListening();
    this.#upgrader.close();
    await this.hub.settle(); // accepted messages are delivered before their receivers are closed
    const stopped = this.#parts.webhooks?.stop(window);
    await closeClients(this.#keepalive, drain);
    await stopped;
    if (this.#keepalive.clients.size > 0) for (const transport of this.#transports) transport.terminate();
    await this.hub.settle();
    await shown;
    await this.#release();
    this.#finished = Promise.all(this.#transports.map((transport) => transport.finish()));
  }

  /** Cuts every connection at once. A thread must do so before it ends. */
  terminate(): void {
    for (const transport of this.#transports) transport.terminate();
  }

  /** Resolves when the last connection is gone, some seconds after `stop` at the latest. */
  async finished(): Promise<void> {
    await this.#finished;
  }

  /** Starts to serve, or releases everything if that fails. */
  async #startOrRelease<T>(start: () => Promise<T>): Promise<T> {
    const { settings, log, share } = this.#parts;
    if (settings.web === undefined && this.#warns && !existsSync(CHAT)) {
      log.warn('the built-in chat is missing; build it with npm run build:web');
    }
    try {
      const started = await start();
      if (!share) this.#admin = await this.#listenForAdmin();
      return started;
    } catch (error) {
      for (const transport of this.#transports) transport.terminate();
      await this.#release();
      throw error;
    }
  }

  /** Leaves the other nodes while the engine still reaches them. */
  async #release(): Promise<void> {
    const { cluster, storage, webhooks } = this.#parts;
    await Promise.all([this.#canary?.stop(), this.#otlp?.stop()]);
    await webhooks?.stop(0);
    this.#admin?.close();
    await cluster.close();
    await this.hub.close();
    await storage.close();
  }

  /** With several threads, the main thread listens for operators. */
  async #listenForAdmin(): Promise<AdminListener | undefined> {
    const { settings, keys, log } = this.#parts;
    const admin = await listenForAdmin(settings, keys, {
      metrics: this.metrics,
      draining: () => this.#draining,
      ready: () => this.hub.ready,
      profiler: createProfiler(),
      findLives: (query) => this.#nodes.ask({ kind: 'lives', ...query }),
      snapshots: this.#createSnapshots(),
    });
    if (admin) log.info(`pumphouse serves operators at ${admin.url}`);
    return admin;
  }

  #createSnapshots(): Snapshots {
    const { hub, surveyor } = this;
    const { settings, extensions, log } = this.#parts;
    const thread = {
      worker: 0,
      survey: () => surveyor.survey(),
      surveyRooms: (names: readonly string[]) => hub.surveyRooms(names),
    };
    const process = {
      version: readVersion(),
      engine: extensions.engine ? 'its own' : settings.engine,
      state: () => (this.#draining ? 'draining' : hub.ready ? 'serving' : 'engine_away'),
      shared: () => ({ rooms: hub.rooms, messages: hub.messages, batches: hub.batches }),
    } as const;
    return createSnapshots([thread], process, log);
  }

  get #publicMetrics(): Pick<ServerMetrics, 'contentType' | 'text'> {
    const { share } = this.#parts;
    return share ? { contentType: this.metrics.contentType, text: () => share.metricsText() } : this.metrics;
  }

  get #warns(): boolean {
    return this.#parts.share?.warns ?? true;
  }

  /** Warns of a page that cannot work with its listener's settings. */
  #createSelector(listener: WebListener): WireSelector {
    const warn = (message: string) => this.#parts.log.warn(message);
    if (this.#warns) for (const warning of webWarnings(listener)) warn(warning);
    return new WireSelector(this.#wires, listener.wire, { subscribers: wireOfPage(listener.web), warn });
  }

  /** Threads create the listeners of their settings in the same order, which names them. */
  #createListener(settings: Pick<Listener, 'web'> & AuthSettings, wires: WireSelector): Application {
    const name = `posts of an address to listener ${this.#transports.length}`;
    return createListener({
      ...this.#listenerOptions,
      access: this.#accessOf(settings),
      wires,
      native: this.#wires.v1,
      web: settings.web,
      postBuckets: (rate) => this.#limits.buckets(name, rate),
    });
  }

  #logStart(wire: Listener['wire'], message: string): void {
    const { settings, log, extensions, transport, share } = this.#parts;
    if (share) return; // the main thread logs it once for all threads
    const engine = extensions.engine ? 'its own' : settings.engine;
    log.info({ transport: transport.name, wire, engine }, message);
  }

  /** @returns the port. */
  async #listen(settings: Listener): Promise<number> {
    const { host, port, wire, web, tlsCert, tlsKey } = settings;
    const wires = this.#createSelector({ web, wire, port, tls: tlsCert !== undefined });
    const listener = this.#createListener(settings, wires);
    const tls = tlsCert !== undefined && tlsKey !== undefined ? { tls: { cert: tlsCert, key: tlsKey } } : {};
    const transport = this.#parts.transport.factory(listener, { ...SOCKET_LIMITS, ...tls });
    this.#transports.push(transport);
    try {
      return await transport.listen(host, port, this.#parts.share !== undefined);
    } catch (error) {
      // Node's own error may have a resolved address, or neither; uWebSockets.js has no error.
      throw Object.assign(error as Error, { host, port });
    }
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

function createHookRunner({ extensions: { hooks = {} }, settings: { hookTimeout }, log }: Parts): HookRunner {
  return new HookRunner(hooks, hookTimeout, systemScheduler, (hook, err) => log.error({ hook, err }, 'a hook failed'));
}

function readingsOf(hub: Hub, engine: Engine): Omit<Readings & SurveyReadings, 'connections'> {
  const usage = engine.usage?.bind(engine);
  return {
    rooms: () => hub.rooms,
    ready: () => hub.ready,
    messages: () => hub.messages,
    batches: () => hub.batches,
    mailbox: (name) => hub.waiting(name),
    capacity: (name) => hub.settings.mailboxes[name],
    census: () => hub.census(),
    survey: () => hub.survey(),
    meter: hub.meter,
    journal: usage && (() => usage().waiting),
    storage: usage,
  };
}

/** Returns the URL of a listener on a port. */
export function urlOf({ host, tlsCert }: Listener, port: number): string {
  return `http${tlsCert === undefined ? '' : 's'}://${formatHost(host)}:${port}`;
}
