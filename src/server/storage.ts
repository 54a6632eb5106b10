import { randomBytes } from 'node:crypto';
import type { Settings } from '../config/settings.ts';
import { DataDir } from '../engine/data-dir.ts';
import { lmdb } from '../engine/lmdb.ts';
import { memory } from '../engine/memory.ts';
import type { Engine } from '../hub/engine.ts';
import type { Logger } from '../observe/log.ts';

const MiB = 1024 * 1024;

/** What keeps the rooms, and the secret that its sessions are signed with. */
export interface Storage {
  readonly engine: Engine;
  readonly secret: Uint8Array;
  close(): void;
}

/** A store that a program brings. */
export function borrowed(engine: Engine): Storage {
  return { engine, secret: randomBytes(32), close() {} };
}

const DAY = 24 * 60 * 60 * 1000;

// A disk that fails does so with every batch; once a second is enough to know.
const COMPLAIN_EVERY_MS = 1_000;

/** Rejects with one clear line when the data directory cannot be used. */
export async function openStorage({ engine, data, keepDays, keepMegabytes }: Settings, log: Logger): Promise<Storage> {
  if (engine === 'memory') return borrowed(memory());
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
