import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Sessions } from './auth/sessions.ts';
import { Keepalive } from './client/keepalive.ts';
import type { Settings } from './config/settings.ts';
import { DataDir } from './engine/data-dir.ts';
import { lmdb } from './engine/lmdb.ts';
import { memory } from './engine/memory.ts';
import { Gate } from './gate.ts';
import { Hooked, type Hooks } from './hooks.ts';
import { plainText } from './http/answers.ts';
import { checkHandshake } from './http/handshake.ts';
import { createRoutes, WS_PATH } from './http/routes.ts';
import { systemClock, systemScheduler } from './hub/clock.ts';
import { Hub } from './hub/hub.ts';
import type { Engine } from './hub/ports.ts';
import type { HubSettings } from './hub/settings.ts';
import { type Logger, logEvents } from './observe/log.ts';
import { collectMetrics } from './observe/metrics.ts';
import { chooseTransport } from './transport/choose.ts';
import type { Application } from './transport/port.ts';

/** A server that listens. */
export interface Server {
  readonly url: string;
  readonly port: number;
  readonly hub: Hub;
  /**
   * Closes every client with 1001 and resolves when all have gone, or when the drain window is over. A socket that takes
   * nothing keeps its close frame, and the process, for some seconds longer.
   */
  stop(): Promise<void>;
}

// Far above what the write pump lets wait (one frame and some control frames): past it the close frame itself is dropped.
const MiB = 1024 * 1024;

const MAX_BACKPRESSURE = MiB;

// Messages up to here are read, so that one that breaks a wire's own, far lower limit is told so with 1009.
const MAX_PAYLOAD = 1024 * 1024;

const SEND_BUFFER_BYTES = 4 * 1024 * 1024;

/** What an embedding program may bring. */
export interface Extras {
  /** Keeps the rooms, in place of one that the settings name. It is the server's own from here on. */
  readonly engine?: Engine;
  readonly hooks?: Hooks;
  /** Milliseconds that a hook may take. */
  readonly hookTimeout?: number;
}

const HOOK_TIMEOUT = 5_000;

/**
 * Starts a server: the composition root, which alone knows every concrete class.
 *
 * @throws what `listen` throws, with a Node `code` such as EADDRINUSE; an Error when the transport asked for is not here.
 */
export async function serve(settings: Settings, log: Logger, extras: Extras = {}): Promise<Server> {
  const { factory, note } = chooseTransport(settings.transport);
  if (note) log.info(note);
  const { engine, hooks = {}, hookTimeout = HOOK_TIMEOUT } = extras;
  const store = engine ? lent(engine) : await openStore(settings, log);
  const hub = new Hub({ engine: store.engine, settings: hubSettingsOf(settings) });
  await hub.open().catch((error) => {
    store.close();
    throw error;
  });
  logEvents(hub.events, log);
  const keepalive = new Keepalive(systemClock, systemScheduler);
  const publishRate = settings.publishRate === 'off' ? undefined : settings.publishRate;
  const hooked = new Hooked(hooks, hookTimeout, systemScheduler, (hook, err) =>
    log.error({ hook, err }, 'a hook failed'),
  );
  const asks = hooks.join !== undefined || hooks.send !== undefined;
  const context = { hub, clock: systemClock, keepalive, publishRate, ...(asks && { permit: hooked.permit() }) };
  const gate = new Gate(settings.wire, new Sessions(store.secret), context, hooked);
  let draining = false;
  const metrics = collectMetrics(hub.events, {
    connections: () => keepalive.clients.size,
    rooms: () => hub.rooms,
    mailbox: (name) => hub.waiting(name),
  });
  const handle = createRoutes({ web: settings.web, metrics, draining: () => draining });
  const application: Application = {
    handle,
    upgrade(request) {
      if (request.path !== WS_PATH) return plainText(404, 'Not found');
      return checkHandshake(request) ?? unlessDraining(gate.enter(request), () => draining);
    },
  };
  const transport = factory(application, { maxPayload: MAX_PAYLOAD, maxBackpressure: MAX_BACKPRESSURE });
  const port = await transport.listen(settings.host, settings.port).catch(async (error) => {
    await hub.close();
    store.close();
    throw error;
  });
  const url = `http://${settings.host.includes(':') ? `[${settings.host}]` : settings.host}:${port}`;
  const keeps = engine ? 'its own' : settings.engine;
  log.info({ transport: transport.name, wire: settings.wire, engine: keeps }, `pumphouse serves ${url}`);
  return {
    url,
    port,
    hub,
    async stop() {
      draining = true;
      transport.stopListening();
      await hub.settle(); // what was taken is delivered before anyone is sent away
      await sendAway(keepalive, settings.drainWindow * 1000);
      await allGone(keepalive, settings.drainWindow * 1000);
      if (keepalive.clients.size > 0) transport.terminate();
      await hub.settle();
      await hub.close();
      store.close();
    },
  };
}

/** A hook may take so long that the server is about to go. */
function unlessDraining(entered: ReturnType<Gate['enter']>, draining: () => boolean): ReturnType<Gate['enter']> {
  if (!(entered instanceof Promise)) return entered;
  return entered.then((known) => (draining() ? plainText(503, 'draining') : known));
}

/** What keeps the rooms, and the secret that its sessions are signed with. */
interface Store {
  readonly engine: Engine;
  readonly secret: Uint8Array;
  close(): void;
}

function lent(engine: Engine): Store {
  return { engine, secret: randomBytes(32), close() {} };
}

const DAY = 24 * 60 * 60 * 1000;

// A disk that fails does so with every batch; once a second is enough to know.
const COMPLAIN_EVERY_MS = 1_000;

/** Rejects with one clear line when the data directory cannot be used. */
async function openStore({ engine, data, keepDays, keepMegabytes }: Settings, log: Logger): Promise<Store> {
  if (engine === 'memory') return lent(memory());
  const folder = new DataDir(data);
  await folder.open();
  let complainedAt = Number.NEGATIVE_INFINITY;
  const onError = (err: Error) => {
    if (Date.now() - complainedAt < COMPLAIN_EVERY_MS) return;
    complainedAt = Date.now();
    log.error({ err }, 'messages could not be stored');
  };
  const retention = { ms: keepDays * DAY, bytes: keepMegabytes * MiB };
  return { engine: lmdb({ path: data, retention, onError }), secret: folder.secret(), close: () => folder.close() };
}

function hubSettingsOf({ sendBuffer, rooms }: Settings): Partial<HubSettings> {
  return {
    sendBuffer: { records: sendBuffer, bytes: SEND_BUFFER_BYTES },
    coalesce: (room) => (Object.hasOwn(rooms, room) ? rooms[room]?.coalesce : undefined),
    slow: (room) => (Object.hasOwn(rooms, room) ? rooms[room]?.slow : undefined) ?? 'evict',
  };
}

// Those who are told when to come back come at most so many a second, as far as the drain window allows.
const RETURNS_A_SECOND = 1000;
const AWAY_AT_ONCE = 100;

/** Sends everyone away, one after the other, each with a time of its own to come back. @param ms the drain window. */
async function sendAway(keepalive: Keepalive, ms: number): Promise<void> {
  const clients = [...keepalive.clients];
  const apart = Math.min(1000 / RETURNS_A_SECOND, ms / clients.length);
  for (const [index, client] of clients.entries()) {
    client.goAway(Math.round(index * apart));
    if (index % AWAY_AT_ONCE === AWAY_AT_ONCE - 1) await sleep(1);
  }
}

/** Resolves when no client is left, or after `ms`. */
async function allGone(keepalive: Keepalive, ms: number): Promise<void> {
  const end = Date.now() + ms;
  while (keepalive.clients.size > 0 && Date.now() < end) await sleep(10);
}
