import { randomBytes } from 'node:crypto';
import type { Settings } from '../config/settings.ts';
import { DataDir } from '../engine/data-dir.ts';
import { lmdb } from '../engine/lmdb.ts';
import { memory } from '../engine/memory.ts';
import type { Engine } from '../hub/engine.ts';
import type { Logger } from '../observe/log.ts';

/** The engine that stores the rooms, and the secret that signs sessions. */
export interface Storage {
  readonly engine: Engine;
  readonly secret: Uint8Array;
  close(): void;
}

const MiB = 1024 * 1024;
const DAY_MS = 24 * 60 * 60 * 1000;

// A failing disk fails every batch: one line a second is enough.
const ERROR_LOG_INTERVAL_MS = 1_000;

/** Returns storage with a new secret: sessions cannot resume in a later process. */
export function storageOf(engine: Engine): Storage {
  return { engine, secret: randomBytes(32), close() {} };
}

/**
 * Opens the storage that the settings name.
 *
 * @throws Error with one line if the data directory cannot be used.
 */
export async function openStorage({ engine, data, keepDays, keepMegabytes }: Settings, log: Logger): Promise<Storage> {
  if (engine === 'memory') return storageOf(memory());
  const folder = new DataDir(data);
  await folder.open();
  let loggedAt = Number.NEGATIVE_INFINITY;
  const onError = (err: Error) => {
    if (Date.now() - loggedAt < ERROR_LOG_INTERVAL_MS) return;
    loggedAt = Date.now();
    log.error({ err }, 'messages could not be stored');
  };
  const retention = { ms: keepDays * DAY_MS, bytes: keepMegabytes * MiB };
  return { engine: lmdb({ path: data, retention, onError }), secret: folder.secret(), close: () => folder.close() };
}
