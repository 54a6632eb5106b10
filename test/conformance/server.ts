import { once } from 'node:events';
import { WebSocket } from 'ws';
import { freePort } from '../../bench/free-port.ts';
import { type ConnectionCounts, ConnectionLimiter, type ConnectionLimits } from '../../src/accept/connection-limits.ts';
import { HandshakeLimiter } from '../../src/accept/handshake-limiter.ts';
import { HookRunner, type Hooks } from '../../src/accept/hooks.ts';
import { Intake } from '../../src/accept/intake.ts';
import { createWires, WireSelector } from '../../src/accept/select-wire.ts';
import { Upgrader } from '../../src/accept/upgrader.ts';
import { LocalNode } from '../../src/api/local-node.ts';
import type { Question } from '../../src/api/questions.ts';
import type { Authenticator } from '../../src/auth/authenticator.ts';
import { openAuthenticator } from '../../src/auth/open.ts';
import { Revocations } from '../../src/auth/revocations.ts';
import { Sessions } from '../../src/auth/sessions.ts';
import { Tickets } from '../../src/auth/tickets.ts';
import type { Client } from '../../src/client/client.ts';
import { Keepalive } from '../../src/client/keepalive.ts';
import type { LifeRecorder } from '../../src/client/lives.ts';
import type { RateLimit } from '../../src/client/rate-limit.ts';
import { memory } from '../../src/engine/memory.ts';
import type { Cluster, RevocationStore } from '../../src/hub/cluster.ts';
import type { Engine } from '../../src/hub/engine.ts';
import { Hub } from '../../src/hub/hub.ts';
import type { HubSettings } from '../../src/hub/settings.ts';
import { systemClock, systemScheduler } from '../../src/hub/time.ts';
import type { ClientMessage, Json, ServerMessage } from '../../src/protocol/v1.ts';
import { SUBPROTOCOL } from '../../src/protocol/v1.ts';
import { createEventStreams } from '../../src/server/event-streams.ts';
import { LocalTickets, localCluster } from '../../src/server/local-cluster.ts';
import { createSharedLimits, openSharedLimits } from '../../src/threads/shared-limits.ts';
import { chooseTransport } from '../../src/transport/choose.ts';
import type { Application, HttpRequest, Transport } from '../../src/transport/transport.ts';
import { createStreamWires } from '../../src/wire/event-streams.ts';
import type { Wire, WireLimits } from '../../src/wire/wire.ts';
import { EventReader } from '../events/reader.ts';
import { InThreadWorkers, type ObservedHub, observeAll } from '../workers/in-thread.ts';
import type { Variant } from '../workers/variants.ts';

export interface Options {
  readonly settings?: Partial<HubSettings>;
  readonly limits?: Partial<WireLimits>;
  readonly publishRate?: RateLimit;
  readonly engine?: Engine;
  readonly authenticator?: Authenticator;
  readonly origins?: readonly string[];
  readonly hooks?: Hooks;
  readonly connections?: Partial<ConnectionLimits>;
  /** Handshakes a second. @default unlimited */
  readonly maxHandshakes?: number;
  /** Refused connections that may be open at once. @default 100 */
  readonly maxRefused?: number;
  readonly draining?: () => boolean;
  /** Takes reports. @default it does not */
  readonly lives?: LifeRecorder;
  /** @default those that the test makes by `ask` alone */
  readonly revocations?: RevocationStore;
}

const tickets = new Tickets(new LocalTickets(systemClock), 'open', () => systemClock.now());

type MessageOf<T extends ServerMessage['t']> = Extract<ServerMessage, { t: T }>;

type ConnectArguments = [query?: string, protocols?: string[], headers?: Record<string, string>];

/** What a server shares with the other workers. */
interface Shared {
  readonly hub: Hub;
  readonly cluster?: Cluster;
  readonly counts?: ConnectionCounts;
  readonly workers: number;
}

/**
 * Starts a server of the native protocol on real sockets. Each worker listens on the port, and on
 * one of its own: `connect` takes the workers in turn.
 */
export async function serve({ transport, workers }: Variant, options: Options = {}) {
  const { settings = {}, engine } = options;
  if (workers === 1) {
    const { readPlaces } = localCluster(systemClock);
    const hub = new Hub({ engine: engine ?? memory(), settings, readPlaces });
    await hub.open();
    const { keepalive, local, listen, close } = createWorker(transport, options, { hub, workers });
    const port = await listen(0);
    return served(
      hub,
      () => keepalive.clients,
      [local],
      [port],
      port,
      async () => {
        await close();
      },
    );
  }
  const group = await InThreadWorkers.open(workers, engine, settings);
  const limits = createSharedLimits(1000);
  const servers = group.workers.map(({ hub, cluster }) =>
    createWorker(transport, options, { hub, cluster, counts: openSharedLimits(limits).connections, workers }),
  );
  const port = await freePort();
  for (const { listen } of servers) await listen(port);
  const ports = await Promise.all(servers.map(({ listen }) => listen(0)));
  const clients = () => new Set(servers.flatMap(({ keepalive }) => [...keepalive.clients]));
  const hubs = observeAll(group.workers.map(({ hub }) => hub));
  const locals = servers.map(({ local }) => local);
  return served(hubs, clients, locals, ports, port, async () => {
    await Promise.all(servers.map(({ close }) => close()));
    await group.close();
  });
}

function served(
  hub: ObservedHub,
  clients: () => ReadonlySet<Client>,
  locals: readonly LocalNode[],
  ports: readonly number[],
  port: number,
  close: () => Promise<void>,
) {
  let connects = 0;
  const nextPort = () => ports[connects++ % ports.length] as number;
  const connect = (...args: ConnectArguments) => Peer.connect(nextPort(), ...args);
  /** Opens a stream of events. @param path below `/api/v1/`. */
  const stream = (path: string, init?: RequestInit) =>
    EventReader.open(`http://127.0.0.1:${nextPort()}/api/v1/${path}`, init);
  /** Does what the server's owner asks for, on every worker. */
  const ask = (question: Question) => locals.map((local) => local.answer(question));
  return { hub, clients, port, close, connect, stream, ask };
}

function createWorker(transport: Variant['transport'], options: Options, { hub, cluster, counts, workers }: Shared) {
  const { limits, publishRate = 'off', authenticator = openAuthenticator(tickets), ...more } = options;
  const keepalive = new Keepalive<Client>(systemClock, systemScheduler, 20);
  const store = more.revocations ?? localCluster(systemClock).revocations;
  const revocations = new Revocations(store, () => systemClock.now());
  const local = new LocalNode({ hub, clients: keepalive.clients, revocations });
  const hookRunner = more.hooks && new HookRunner(more.hooks, 100, systemScheduler, () => {});
  const authorizer = hookRunner?.authorizer();
  const { lives } = options;
  const context = {
    hub,
    clock: systemClock,
    keepalive,
    publishRate,
    ...(authorizer && { authorizer }),
    ...(lives && { lives }),
  };
  const limiter = new ConnectionLimiter({ all: 1e6, perAddress: undefined, ...more.connections }, counts);
  const { maxHandshakes } = more;
  const intake = maxHandshakes === undefined ? undefined : new Intake(systemClock, maxHandshakes, workers);
  const access = { authenticator, context, sessions: new Sessions(Buffer.from('a secret')) };
  const upgrader = new Upgrader({
    hub,
    scheduler: systemScheduler,
    origins: more.origins ?? [],
    limiter,
    handshakes: intake && new HandshakeLimiter(intake, systemClock),
    addressOf: ({ remoteAddress }: HttpRequest) => remoteAddress,
    revocations,
    ...(cluster && { claims: cluster }),
    ...(hookRunner && { hookRunner }),
    ...(more.maxRefused !== undefined && { maxRefused: more.maxRefused }),
    ...(more.draining && { draining: more.draining }),
  });
  cluster?.open({
    signalled: (signal) => hub.signalledElsewhere(signal),
    changed: (room, change) => hub.presenceChangedElsewhere(room, change),
    hasRead: (user, room, place) => hub.readElsewhere(user, room, place),
    claimed: (session) => upgrader.letGo(session),
    asked: () => null,
  });
  const wires = new WireSelector(createWires(limits), 'auto');
  const streams = createEventStreams({
    upgrader,
    access,
    origins: more.origins ?? [],
    wires: createStreamWires(limits),
  });
  const application: Application = {
    handle: (request) => streams(request) ?? { status: 404, headers: {}, body: 'Not found\n' },
    upgrade: (request) => upgrader.upgrade(request, wires.select(request) as Wire, access),
  };
  const { factory } = chooseTransport(transport);
  const transports: Transport[] = [];
  /** @returns the port: a free one for 0. */
  const listen = (port: number): Promise<number> => {
    const next = factory(application, { maxPayload: 1 << 20, maxBackpressure: 1 << 20 });
    transports.push(next);
    return next.listen('127.0.0.1', port, port !== 0);
  };
  const close = async () => {
    for (const each of transports) each.stopListening();
    for (const each of transports) each.terminate();
    await hub.settle();
    await cluster?.close();
    await hub.close();
  };
  return { keepalive, local, listen, close };
}

/** A minimal client of the protocol, which records all messages and frames that it receives. */
export class Peer {
  readonly socket: WebSocket;
  readonly got: ServerMessage[] = [];
  readonly frames: string[] = [];
  readonly closed: Promise<{ code: number; reason: string }>;
  #read = 0;

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on('message', (data) => {
      this.frames.push(String(data));
      for (const line of String(data).split('\n')) this.got.push(JSON.parse(line));
    });
    this.closed = once(socket, 'close').then(([code, reason]) => ({ code: Number(code), reason: String(reason) }));
  }

  static async connect(port: number, ...[query = '', protocols = [], headers = {}]: ConnectArguments): Promise<Peer> {
    const url = `ws://127.0.0.1:${port}/ws${query}`;
    const peer = new Peer(new WebSocket(url, [SUBPROTOCOL, ...protocols], { headers }));
    await once(peer.socket, 'open');
    return peer;
  }

  send(...messages: ClientMessage[]): void {
    this.raw(messages.map((message) => JSON.stringify(message)).join('\n'));
  }

  raw(frame: string): void {
    this.socket.send(frame);
  }

  /** Returns the next message of this type, skipping others. @throws after ten seconds. */
  async next<T extends ServerMessage['t']>(t: T): Promise<MessageOf<T>> {
    for (const end = Date.now() + 10_000; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 2))) {
      while (this.#read < this.got.length) {
        const message = this.got[this.#read++];
        if (message?.t === t) return message as MessageOf<T>;
      }
    }
    throw new Error(`no ${t} within ten seconds; received ${JSON.stringify(this.got).slice(0, 2000)}`);
  }

  async join(room: string, options: Omit<Extract<ClientMessage, { t: 'join' }>, 't' | 'room'> = {}) {
    this.send({ t: 'join', room, ...options });
    return this.next('joined');
  }

  /** Sends a message and waits for its `sent`. */
  async say(room: string, data: Json, id = `id-${Math.random()}`) {
    this.send({ t: 'send', room, id, data });
    return this.next('sent');
  }

  /** Returns all messages of this type, after a `ping` round trip so that none is in flight. */
  async all<T extends ServerMessage['t']>(t: T): Promise<MessageOf<T>[]> {
    const before = this.got.filter((message) => message.t === 'pong').length;
    this.send({ t: 'ping' });
    for (let i = 0; i < 1500 && this.got.filter((message) => message.t === 'pong').length === before; i++) {
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
    return this.got.filter((message): message is MessageOf<T> => message.t === t);
  }
}
