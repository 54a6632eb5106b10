import { existsSync } from 'node:fs';
import { clientAddress } from '../accept/client-address.ts';
import { addressKey, ConnectionLimiter, isLoopback } from '../accept/connection-limits.ts';
import { HookRunner, type Hooks } from '../accept/hooks.ts';
import { createWires, WireSelector } from '../accept/select-wire.ts';
import { Upgrader } from '../accept/upgrader.ts';
import { Sessions } from '../auth/sessions.ts';
import { Keepalive } from '../client/keepalive.ts';
import { SharedLimits } from '../client/rate-limit.ts';
import type { ListenerSettings, Settings } from '../config/settings.ts';
import { CHAT } from '../http/routes.ts';
import type { Engine } from '../hub/engine.ts';
import { Hub } from '../hub/hub.ts';
import type { HubOverrides } from '../hub/settings.ts';
import { systemClock, systemScheduler } from '../hub/time.ts';
import { type Logger, logEvents } from '../observe/log.ts';
import { collectMetrics } from '../observe/metrics.ts';
import type { Rate } from '../protocol/v1.ts';
import { chooseTransport } from '../transport/choose.ts';
import type { Transport } from '../transport/transport.ts';
import { createAuthenticator } from './authenticator.ts';
import { allGone, sendAway } from './drain.ts';
import { createListener } from './listener.ts';
import { borrowed, openStorage } from './storage.ts';

/** A server that listens. */
export interface Server {
  /** Of its first listener. */
  readonly url: string;
  readonly urls: readonly string[];
  readonly port: number;
  readonly hub: Hub;
  /** Reads the certificates again. Rejects with one clear line for one that cannot be used; the old one stays. */
  renewCertificates(): Promise<void>;
  /**
   * Closes every client with 1001 and resolves when all have gone, or when the drain window is over. A socket that takes
   * nothing keeps its close frame, and the process, for some seconds longer.
   */
  stop(): Promise<void>;
}

const MiB = 1024 * 1024;

// Far above what the write pump lets wait (one frame and some control frames): past it the close frame itself is dropped.
const MAX_BACKPRESSURE = MiB;

// Messages up to here are read, so that one that breaks a wire's own, far lower limit is told so with 1009.
const MAX_PAYLOAD = MiB;

/** What an embedding program may bring. */
export interface Extras {
  /** Keeps the rooms, in place of one that the settings name. It is the server's own from here on. */
  readonly engine?: Engine;
  readonly hooks?: Hooks;
  /** Milliseconds that a hook may take. */
  readonly hookTimeout?: number;
}

const HOOK_TIMEOUT = 5_000;

const USUAL_RATE = { perSecond: 20, burst: 40 };

/**
 * Starts a server: the composition root, which alone knows every concrete class.
 *
 * @throws what `listen` throws, with a Node `code` such as EADDRINUSE; an Error when the transport asked for is not here.
 */
export async function serve(settings: Settings, log: Logger, extras: Extras = {}): Promise<Server> {
  const { name: transport, factory, note } = chooseTransport(settings.transport);
  if (note) log.info(note);
  const { engine, hooks = {}, hookTimeout = HOOK_TIMEOUT } = extras;
  const authority = createAuthenticator(settings, systemClock);
  const store = engine ? borrowed(engine) : await openStorage(settings, log);
  const hub = new Hub({ engine: store.engine, settings: hubSettingsOf(settings) });
  await hub.open().catch((error) => {
    store.close();
    throw error;
  });
  logEvents(hub.events, log);
  const [clock, scheduler] = [systemClock, systemScheduler];
  const keepalive = new Keepalive(clock, scheduler);
  const onError = (hook: string, err: unknown) => log.error({ hook, err }, 'a hook failed');
  const hooked = new HookRunner(hooks, hookTimeout, scheduler, onError);
  const asks = hooks.join !== undefined || hooks.send !== undefined;
  const { publishRate = USUAL_RATE } = settings;
  const sharedLimits = publishRate === 'off' ? undefined : sharesOf(publishRate, settings);
  const authorizer = asks ? hooked.permit() : undefined;
  const context = {
    hub,
    clock,
    keepalive,
    publishRate,
    ...(sharedLimits && { sharedLimits }),
    ...(authorizer && { authorizer }),
  };
  const addressOf = clientAddress(settings.trustProxy);
  const crowd = new ConnectionLimiter({ all: settings.maxConnections, perAddress: settings.connectionsPerAddress });
  const sessions = new Sessions(store.secret);
  const gate = new Upgrader({
    sessions,
    authority,
    context,
    scheduler,
    origins: settings.origin,
    crowd,
    addressOf,
    hooked,
  });
  const wires = createWires(settings.sendBuffer === undefined ? {} : { sendBuffer: undefined });
  let draining = false;
  const metrics = collectMetrics(hub.events, {
    connections: () => keepalive.clients.size,
    rooms: () => hub.rooms,
    mailbox: (name) => hub.waiting(name),
  });
  const common = {
    hub,
    gate,
    authority,
    hooked,
    permit: authorizer,
    addressOf,
    clock,
    scheduler,
    metrics,
    draining: () => draining,
    usualRate: USUAL_RATE,
    origins: settings.origin,
  };
  const transports: Transport[] = [];
  const listen = async ({ host, port, wire, web, tlsCert, tlsKey }: ListenerSettings): Promise<number> => {
    const dialects = new WireSelector(wires, wire);
    const front = createListener({ ...common, dialects, web, publishRate: settings.publishRate });
    const tls = tlsCert !== undefined && tlsKey !== undefined ? { tls: { cert: tlsCert, key: tlsKey } } : {};
    const listening = factory(front, { maxPayload: MAX_PAYLOAD, maxBackpressure: MAX_BACKPRESSURE, ...tls });
    transports.push(listening);
    return listening.listen(host, port);
  };
  if (settings.web === undefined && !existsSync(CHAT)) log.warn('the chat is not built: npm run build:web builds it');
  const urls: string[] = [];
  try {
    for (const listener of listenersOf(settings)) {
      const url = urlOf(listener, await listen(listener));
      const keeps = engine ? 'its own' : settings.engine;
      log.info({ transport, wire: listener.wire, engine: keeps }, `pumphouse serves ${url}`);
      urls.push(url);
    }
  } catch (error) {
    for (const listening of transports) listening.terminate();
    await hub.close();
    store.close();
    throw error;
  }
  const [url = ''] = urls;
  return {
    url,
    urls,
    port: Number(new URL(url).port),
    hub,
    async renewCertificates() {
      const renewed = await Promise.allSettled(transports.map((listening) => listening.renewCertificate()));
      for (const one of renewed) if (one.status === 'rejected') throw one.reason;
    },
    async stop() {
      draining = true;
      for (const listening of transports) listening.stopListening();
      gate.close();
      await hub.settle(); // what was taken is delivered before anyone is sent away
      await sendAway(keepalive, settings.drainWindow * 1000);
      await allGone(keepalive, settings.drainWindow * 1000);
      if (keepalive.clients.size > 0) for (const listening of transports) listening.terminate();
      await hub.settle();
      await hub.close();
      store.close();
      for (const listening of transports) listening.finish();
    },
  };
}

/** The listeners that a config file names, or the one that the other settings describe. */
function listenersOf({ listeners, host, port, wire, web, tlsCert, tlsKey }: Settings): readonly ListenerSettings[] {
  return listeners.length > 0 ? listeners : [{ host, port, wire, web, tlsCert, tlsKey }];
}

// What one user, and one address, may say: so many times what one connection may.
const USER_SHARE = 2;
const ADDRESS_SHARE = 20;

function sharesOf(rate: Rate, { auth }: Settings): SharedLimits {
  const times = (n: number) => ({ perSecond: n * rate.perSecond, burst: n * rate.burst });
  const user = auth === 'open' ? 'off' : times(USER_SHARE); // a guest may take any name
  return new SharedLimits({ address: times(ADDRESS_SHARE), user }, systemClock, isLoopback, addressKey);
}

function urlOf({ host, tlsCert }: ListenerSettings, port: number): string {
  return `http${tlsCert === undefined ? '' : 's'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function hubSettingsOf({ sendBuffer, rooms }: Settings): HubOverrides {
  return {
    ...(sendBuffer !== undefined && { sendBuffer: { records: sendBuffer } }),
    coalesce: (room) => (Object.hasOwn(rooms, room) ? rooms[room]?.coalesce : undefined),
    slow: (room) => (Object.hasOwn(rooms, room) ? rooms[room]?.slow : undefined) ?? 'evict',
  };
}
