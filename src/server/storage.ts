import { randomBytes } from 'node:crypto';
import { RevocationsFile } from '../auth/revocations-file.ts';
import { ConfigError } from '../config/error.ts';
import { tableOf } from '../config/room-settings.ts';
import type { Settings } from '../config/settings.ts';
import { DataDir } from '../engine/data-dir.ts';
import { deduping } from '../engine/deduping.ts';
import { memory } from '../engine/memory.ts';
import type { Retention, RetentionOf } from '../engine/retention.ts';
import type { ReadPlaces, RevocationStore } from '../hub/cluster.ts';
import type { Engine, LocalEngine } from '../hub/engine.ts';
import type { Logger } from '../observe/log.ts';
import { isReservedRoom } from '../protocol/reserved-rooms.ts';

/** The engine that stores the rooms, and the secret that signs sessions. */
export interface Storage {
  readonly engine: Engine;
  readonly secret: Uint8Array;
  /** Keeps how far users have read. @default in memory, or in the engine's cluster */
  readonly readPlaces?: ReadPlaces;
  close(): void | Promise<void>;
}

const MiB = 1024 * 1024;
const DAY_MS = 24 * 60 * 60 * 1000;

// Nobody reads the messages of a canary later than its own clients, after a short outage.
const RESERVED: Retention = { ms: 60 * 60 * 1000, bytes: 256 * 1024 };

// A failing disk fails every batch: one line a second is enough.
const ERROR_LOG_INTERVAL_MS = 1_000;

/** Returns storage with a new secret: sessions cannot resume in a later process. */
export function storageOf(engine: Engine): Storage {
  return { engine, secret: randomBytes(32), close() {} };
}

/**
 * Opens the storage that the settings name. The engine `redis` connects later, when it is opened.
 *
 * @throws Error with one line if the data directory cannot be used.
 */
export async function openStorage(settings: Settings, log: Logger): Promise<Storage> {
  const { engine, data, redis: url, redisSentinel } = settings;
  if (engine === 'memory') return storageOf(memory());
  const retention = retentionOf(settings);
  if (engine === 'redis') {
    const { redis } = await import('../engine/redis/redis.ts');
    const sentinel = redisSentinel === undefined ? {} : { sentinel: redisSentinel };
    const onError = limited((err) => log.error({ err }, 'Redis fails'));
    return storageOf(redis({ url, ...sentinel, retention, onError, onWarning: (line) => log.warn(line) }));
  }
  const [{ lmdb }, { LmdbReadPlaces }] = await Promise.all([
    import('../engine/lmdb.ts'),
    import('../engine/lmdb-read-places.ts'),
  ]);
  const folder = new DataDir(data);
  await folder.open();
  const onError = limited((err) => log.error({ err }, 'messages could not be stored'));
  try {
    const readPlaces = new LmdbReadPlaces({ path: data, onError });
    const close = async () => {
      await readPlaces.close();
      folder.close();
    };
    return { engine: lmdb({ path: data, retention, onError }), secret: folder.secret(), readPlaces, close };
  } catch (error) {
    folder.close();
    throw error;
  }
}

/** Returns the function that finds the bounds of a room's stored records. */
function retentionOf({ keepDays, keepMegabytes, rooms }: Settings): RetentionOf {
  const [days, megabytes] = [tableOf(rooms, 'keepDays'), tableOf(rooms, 'keepMegabytes')];
  return (room) => {
    if (isReservedRoom(room)) return RESERVED;
    return { ms: (days.find(room) ?? keepDays) * DAY_MS, bytes: (megabytes.find(room) ?? keepMegabytes) * MiB };
  };
}

/**
 * Opens the file of revocations, for an engine that does not keep them itself.
 *
 * @throws ConfigError for a file that cannot be read.
 */
export function openRevocations(path: string): RevocationStore {
  const file = new RevocationsFile(path);
  try {
    file.check();
  } catch (error) {
    throw new ConfigError(`${(error as Error).message}; without it, revoked credentials would be valid again`);
  }
  return file;
}

/**
 * Returns the engine of a storage for several Hubs: it recognizes retries that come through another
 * one.
 */
export function sharedEngine({ engine }: Storage): Engine {
  return engine.dedupes ? engine : deduping(engine as LocalEngine);
}

/** Returns a function that passes at most one error an interval. */
function limited(report: (error: Error) => void): (error: Error) => void {
  let reportedAt = Number.NEGATIVE_INFINITY;
  return (error) => {
    if (performance.now() - reportedAt < ERROR_LOG_INTERVAL_MS) return;
    reportedAt = performance.now();
    report(error);
  };
}
