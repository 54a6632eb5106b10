import { join } from 'node:path';
import { tableOf } from '../config/room-settings.ts';
import type { Settings } from '../config/settings.ts';
import type { WebhookSettings } from '../config/webhooks.ts';
import { LmdbEngine } from '../engine/lmdb.ts';
import { isMemory } from '../engine/memory.ts';
import { RedisEngine } from '../engine/redis/redis.ts';
import type { Engine } from '../hub/engine.ts';
import { systemClock, systemScheduler } from '../hub/time.ts';
import type { Logger } from '../observe/log.ts';
import { isReservedRoom } from '../protocol/reserved-rooms.ts';
import { matchesRoom } from '../protocol/room-pattern.ts';
import { addressFilter } from '../webhooks/addresses.ts';
import type { CursorStore } from '../webhooks/cursor.ts';
import { LocalCursors } from '../webhooks/local-cursors.ts';
import { Poster } from '../webhooks/post.ts';
import { SharedCursors } from '../webhooks/shared-cursors.ts';
import { keyOf } from '../webhooks/signature.ts';
import { type WebhookDefinition, Webhooks, type WebhooksOptions } from '../webhooks/webhooks.ts';

/** The file of a data directory that has the cursors. */
const CURSOR_FILE = 'webhook-cursors';

const DEFAULT_TIMEOUT_MS = 15_000;

/** Rooms of a webhook that are delivered at the same time. */
const CONCURRENCY = 8;

/** Creates the webhooks of the settings. See `openWebhooks`. */
export function createWebhooks(settings: Settings, engine: Engine, used: Engine, log: Logger): Webhooks {
  return new Webhooks({
    webhooks: settings.webhooks.map((webhook) => definitionOf(webhook, settings)),
    engine: used,
    store: cursorsOf(settings, engine),
    clock: systemClock,
    scheduler: systemScheduler,
    log,
    concurrency: CONCURRENCY,
    ...roomsOf(engine),
  });
}

function definitionOf(settings: WebhookSettings, { rooms: roomSettings }: Settings): WebhookDefinition {
  const { name, url: text, rooms = [], secret, allowPrivate = false, from = 'now', timeout } = settings;
  const table = tableOf(roomSettings, 'webhooks');
  const url = new URL(text);
  const byRoom = Object.entries(roomSettings).flatMap(([room, { webhooks }]) =>
    webhooks?.includes(name) ? [room] : [],
  );
  return {
    name,
    // The path or the query of a URL may be a secret.
    url: url.origin,
    rooms: [...new Set([...rooms, ...byRoom])],
    matches: (room) =>
      !isReservedRoom(room) &&
      (rooms.some((pattern) => matchesRoom(pattern, room)) || table.find(room)?.includes(name) === true),
    from,
    key: keyOf(secret) as Buffer,
    receiver: new Poster({
      url,
      allows: addressFilter(allowPrivate),
      timeoutMs: timeout ?? DEFAULT_TIMEOUT_MS,
      connections: CONCURRENCY,
    }),
  };
}

function cursorsOf(settings: Settings, engine: Engine): CursorStore {
  const webhooks = settings.webhooks.map(({ name }) => name);
  if (engine instanceof LmdbEngine) return new LocalCursors({ webhooks, path: join(engine.path, CURSOR_FILE) });
  if (!(engine instanceof RedisEngine)) return new LocalCursors({ webhooks, forgets: isMemory(engine) });
  const { run, home, homeDatabase: database } = engine;
  return new SharedCursors({
    webhooks,
    server: {
      run,
      database,
      command: (args) => home.command(args),
      query: (args) => home.query(args),
      publish: (channel, message) => home.publish(channel, message),
      subscribe: (channel, listener) => home.listen({ connected: (link) => link.subscribe(channel, listener) }),
    },
    scheduler: systemScheduler,
    now: () => systemClock.now(),
  });
}

/** What only some engines know of their rooms. */
function roomsOf(engine: Engine): Pick<WebhooksOptions, 'heads' | 'storedRooms'> {
  if (engine instanceof RedisEngine) {
    return { heads: (rooms) => engine.heads(rooms), storedRooms: () => engine.storedRooms() };
  }
  return engine instanceof LmdbEngine ? { storedRooms: () => inPages(() => engine.rooms()) } : {};
}

const PAGE = 200;

async function* inPages(list: () => Iterable<string>): AsyncIterable<readonly string[]> {
  const rooms = [...list()];
  for (let i = 0; i < rooms.length; i += PAGE) {
    yield rooms.slice(i, i + PAGE);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
