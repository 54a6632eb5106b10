import { randomUUID } from 'node:crypto';
import type { Draft, Engine, EngineListener, Position } from '../hub/engine.ts';
import type { LogRecord } from '../hub/log.ts';

interface RoomLog {
  readonly epoch: string;
  head: number;
  bytes: number;
  /** The last records, contiguous up to `head`. */
  records: LogRecord[];
}

export interface MemoryOptions {
  /** What is retained of each room: the hot window. */
  readonly retention?: { readonly records: number; readonly bytes: number };
  /** Milliseconds since 1970, for the records' times. */
  readonly date?: () => number;
}

const defaultRetention = { records: 8192, bytes: 8 * 1024 * 1024 };

// Trimming moves the whole array, so it waits until this many records (a part of the retention) are over.
const SLACK = 1 / 8;

/** The engine that keeps rooms in memory only: it commits during `append`, and forgets a room on `release`. */
export function memory({ retention = defaultRetention, date = Date.now }: MemoryOptions = {}): Engine {
  const rooms = new Map<string, RoomLog>();
  let listener: EngineListener | undefined;

  const log = (room: string): RoomLog => {
    const known = rooms.get(room);
    if (known) return known;
    const fresh: RoomLog = { epoch: randomUUID(), head: 0, bytes: 0, records: [] };
    rooms.set(room, fresh);
    return fresh;
  };

  return {
    open(opened) {
      listener = opened;
    },
    position(room): Position {
      const { epoch, head, records } = log(room);
      return { epoch, seq: head, first: head - records.length + 1 };
    },
    append(room, drafts) {
      const to = log(room);
      const records = commit(to, drafts, date());
      trim(to, retention);
      listener?.committed({ room, records });
    },
    read(room, after, limit) {
      const found = rooms.get(room);
      if (!found) return [];
      const start = Math.max(0, after - (found.head - found.records.length));
      return found.records.slice(start, start + limit);
    },
    release(room) {
      rooms.delete(room);
    },
    close() {
      rooms.clear();
    },
  };
}

function commit(log: RoomLog, drafts: readonly Draft[], at: number): LogRecord[] {
  const records: LogRecord[] = [];
  for (const { from, sender = '', id, data, json = false, bytes } of drafts) {
    const record = { seq: ++log.head, at, from, sender, id, data, json, bytes };
    records.push(record);
    log.records.push(record);
    log.bytes += bytes;
  }
  return records;
}

function trim(log: RoomLog, retention: { records: number; bytes: number }): void {
  const over = log.records.length - retention.records;
  if (over < retention.records * SLACK && log.bytes <= retention.bytes * (1 + SLACK)) return;
  let drop = Math.max(0, over);
  for (let i = 0; i < drop; i++) log.bytes -= (log.records[i] as LogRecord).bytes;
  while (log.bytes > retention.bytes && drop < log.records.length - 1)
    log.bytes -= (log.records[drop++] as LogRecord).bytes;
  log.records.splice(0, drop);
}
