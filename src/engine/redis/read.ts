import type { Position } from '../../hub/engine.ts';
import type { LogRecord } from '../../hub/log.ts';
import { isErrorReply } from './driver.ts';
import type { RoomKeys } from './keys.ts';
import type { Link } from './link.ts';
import { type LogState, logStateOf } from './position.ts';
import { decodeEntry, movedEntry } from './record-codec.ts';
import { openScript } from './scripts.lua.ts';

interface Room {
  readonly keys: RoomKeys;
  failed(error: Error): void;
}

/** A room whose reads find out what has been trimmed. */
interface ReadableRoom extends Room {
  readonly isAttached: boolean;
  readonly position: Position;
  trimmed(first: number): void;
}

const MAX_PAGE_ENTRIES = 128;

// A room without a message expires this long after its last member has gone.
export const EMPTY_EXPIRY_MS = 3 * 60 * 60_000;

/**
 * Reads a room's meta. Creates the log of a new room. Begins a term after a restart or failover.
 */
export async function readState(link: Link, room: Room): Promise<LogState> {
  const { meta } = room.keys;
  const fields = (await link.command(['HMGET', meta, 'log', 'terms', 'seq', 'first', 'replid'])) as unknown[];
  if (fields[0] !== null && fields[4] === link.replid) return logStateOf(fields);
  try {
    return await openLog(link, room, false);
  } catch (error) {
    // Redis takes no writes at the moment, such as out of memory. The next append begins the term.
    const isRefused = isErrorReply(error) && /^(OOM|MISCONF|NOREPLICAS)/.test(error.message);
    if (fields[0] === null || !isRefused) throw error;
    return logStateOf(fields);
  }
}

/**
 * Removes what contradicts a room's meta from its log, which then begins a term. Reports the
 * messages that are lost.
 */
export async function mendLog(link: Link, room: Room): Promise<void> {
  await openLog(link, room, true);
}

async function openLog(link: Link, room: Room, mends: boolean): Promise<LogState> {
  const { meta, log, ids, moved } = room.keys;
  const options = [newLogId(), String(EMPTY_EXPIRY_MS), mends ? '1' : '0'];
  const run = async () =>
    (await link.command(['EVALSHA', openScript.sha, '5', meta, log, ...ids, moved, ...options])) as unknown[];
  const fields = await run().catch(async (error: Error) => {
    if (!error.message.startsWith('NOSCRIPT')) throw error;
    await link.loadScripts();
    return run();
  });
  if (fields.length > 4) room.failed(new Error(damageOf(Number(fields[4]), Number(fields[5]))));
  return logStateOf(fields);
}

/** @param to lower than `from` if nothing is lost. */
function damageOf(from: number, to: number): string {
  const loss = from > to ? 'no message is lost' : `lost ${from === to ? `message ${to}` : `messages ${from} to ${to}`}`;
  return `mended its log after Redis loaded a torn append-only file; ${loss}; after a kill of Redis run redis-check-aof --fix before its start`;
}

/**
 * Returns the records of at most `entries` entries, from the record after `after` up to `last` or
 * to a malformed entry.
 *
 * @throws MalformedError when the first entry is malformed.
 */
export async function readEntries(
  link: Link,
  { keys }: Room,
  after: number,
  entries: number,
  last: number,
): Promise<LogRecord[]> {
  // In this order: an entry may move from the one to the other meanwhile.
  const [stream, members] = (await Promise.all([
    link.query(['XRANGE', keys.log, `${after + 1}-0`, '+', 'COUNT', String(entries)]),
    link.query(['ZRANGEBYSCORE', keys.moved, String(after + 1), '+inf', 'LIMIT', '0', String(entries)]),
  ])) as [unknown[], unknown[]];
  const moved = members.map((member) => movedEntry(String(member)));
  const records: LogRecord[] = [];
  for (const entry of moved.length === 0 ? stream : merge(stream, moved, entries)) {
    try {
      for (const record of decodeEntry(entry)) if (record.seq > after && record.seq <= last) records.push(record);
    } catch (error) {
      if (records.length === 0) throw error;
      break;
    }
  }
  return records;
}

/** Returns the first `count` entries of two lists. Of two with one id the second counts. */
function merge(stream: readonly unknown[], moved: readonly unknown[], count: number): readonly unknown[] {
  const byId = new Map(stream.map((entry) => [idOf(entry), entry]));
  for (const entry of moved) byId.set(idOf(entry), entry);
  return [...byId]
    .sort(([a], [b]) => a - b)
    .slice(0, count)
    .map(([, entry]) => entry);
}

function idOf(entry: unknown): number {
  return Number.parseInt(String((entry as readonly unknown[])[0]), 10);
}

/**
 * Returns at most `limit` of the records after `after`, up to the head of an attached room. Skips
 * missing records and moves the room's `first` behind them.
 *
 * @throws MalformedError
 */
export async function readRecords(
  link: Link,
  room: ReadableRoom,
  after: number,
  limit: number,
): Promise<readonly LogRecord[]> {
  const last = room.isAttached ? room.position.seq : Number.MAX_SAFE_INTEGER;
  let records: LogRecord[] = [];
  let next = after;
  while (records.length < limit && next < last) {
    const page = await readEntries(link, room, next, Math.min(limit - records.length, MAX_PAGE_ENTRIES), last);
    const [first] = page;
    if (!first) break;
    const hole = page.findLastIndex((record, i) => record.seq !== (page[i - 1]?.seq ?? next) + 1);
    records = hole === -1 ? records.concat(page) : page.slice(hole);
    next = (page.at(-1) as LogRecord).seq;
  }
  if (room.isAttached && limit > 0 && next <= last) {
    const first = records[0]?.seq ?? (after < last ? last + 1 : 0);
    if (first > after + 1) room.trimmed(first);
  }
  return records.length > limit ? records.slice(0, limit) : records;
}

function newLogId(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(12))).toString('hex');
}
