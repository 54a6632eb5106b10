import { andThen, type NowOrLater } from '../protocol/now-or-later.ts';
import type { DedupeLimits } from './dedupe.ts';
import type { Engine } from './engine.ts';
import type { LogRecord } from './log.ts';
import type { Room } from './room.ts';
import type { Clock } from './time.ts';

// Records read at once.
const RECALL_READ = 1024;

/** Reads the ids of a room's recent messages, so that a room that returns to memory knows them. */
export function recallIds(room: Room, engine: Engine, { ms, messages }: DedupeLimits, clock: Clock): NowOrLater<Room> {
  const since = clock.date() - ms;
  const { head } = room.log;
  const recall = (records: readonly LogRecord[]) => {
    for (const { sender, id, seq, at } of records) {
      if (at >= since && id !== '') room.dedupe.remember(sender, id, seq, clock.now());
    }
    return records.length > 0 && (records[0] as LogRecord).at >= since;
  };
  const recallBefore = (from: number): NowOrLater<Room> => {
    if (from < room.first || head - from >= messages) return room;
    const records = engine.read(room.name, Math.max(from - RECALL_READ, 0), Math.min(RECALL_READ, from));
    return andThen(records, (read) => (recall(read) ? recallBefore(from - RECALL_READ) : room));
  };
  return recallBefore(head);
}
