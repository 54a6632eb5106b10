import { randomUUID } from 'node:crypto';
import type { Engine, EngineListener, LocalEngine, Position } from '../hub/engine.ts';
import type { LogLimits, LogRecord } from '../hub/log.ts';
import { type JudgedBatch, judgeBatch, reportBatch } from './judged-batch.ts';

interface RoomLog {
  readonly epoch: string;
  /** `seq` of the newest record; 0 before the first. */
  head: number;
  /** Bytes of the retained records' data. */
  bytes: number;
  /** The retained records, contiguous up to `head`. */
  records: LogRecord[];
}

export interface MemoryOptions {
  /**
   * Bounds of each room's retained records. Both apply, but the newest record always stays.
   *
   * @default 8,192 records and 8 MiB
   */
  readonly retention?: LogLimits;
  /**
   * Returns the time of a commit, in milliseconds since 1970.
   *
   * @default Date.now
   */
  readonly date?: () => number;
}

const defaultRetention: LogLimits = { records: 8192, bytes: 8 * 1024 * 1024 };

// Trimming moves the whole array, so it waits until the log exceeds its limits by this fraction.
const SLACK = 1 / 8;

/**
 * Creates an engine that keeps rooms in memory. It commits during `append` and forgets a room on
 * `release`.
 */
export function memory({ retention = defaultRetention, date = Date.now }: MemoryOptions = {}): LocalEngine {
  const rooms = new Map<string, RoomLog>();
  let listener: EngineListener | undefined;

  const logOf = (room: string): RoomLog => {
    const existing = rooms.get(room);
    if (existing) return existing;
    const created: RoomLog = { epoch: randomUUID(), head: 0, bytes: 0, records: [] };
    rooms.set(room, created);
    return created;
  };

  const position = (room: string): Position => {
    const { epoch, head, records } = logOf(room);
    return { epoch, seq: head, first: head - records.length + 1 };
  };

  const engine: LocalEngine = {
    open(engineListener) {
      listener = engineListener;
    },
    attach: position,
    position,
    append(room, drafts) {
      const log = logOf(room);
      const batch = judgeBatch(drafts, log.head, date(), { find: (seq) => log.records[seq - firstOf(log)] });
      commit(log, batch);
      trim(log, retention);
      if (listener) reportBatch(listener, room, batch);
    },
    read(room, after, limit) {
      const log = rooms.get(room);
      if (!log) return [];
      const start = Math.max(0, after - (log.head - log.records.length));
      return log.records.slice(start, start + limit);
    },
    release(room) {
      rooms.delete(room);
    },
    close() {
      rooms.clear();
    },
  };
  engines.add(engine);
  return engine;
}

const engines = new WeakSet<Engine>();

/** Reports whether an engine is one of `memory`, which forgets a room when it is released. */
export function isMemory(engine: Engine): boolean {
  return engines.has(engine);
}

function firstOf({ head, records }: RoomLog): number {
  return head - records.length + 1;
}

function commit(log: RoomLog, { records, folded }: JudgedBatch): void {
  for (const record of records) {
    log.records.push(record);
    log.bytes += record.bytes;
  }
  log.head += records.length;
  const first = firstOf(log);
  for (const record of folded.values()) log.records[record.seq - first] = record;
}

function trim(log: RoomLog, retention: LogLimits): void {
  const excess = log.records.length - retention.records;
  if (excess < retention.records * SLACK && log.bytes <= retention.bytes * (1 + SLACK)) return;
  let drop = Math.max(0, excess);
  for (let i = 0; i < drop; i++) log.bytes -= (log.records[i] as LogRecord).bytes;
  while (log.bytes > retention.bytes && drop < log.records.length - 1)
    log.bytes -= (log.records[drop++] as LogRecord).bytes;
  log.records.splice(0, drop);
}
