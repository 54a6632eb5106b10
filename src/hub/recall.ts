import { andThen, type NowOrLater } from '../protocol/now-or-later.ts';
import type { Dedupe, DedupeLimits } from './dedupe.ts';
import type { Engine } from './engine.ts';
import type { LogRecord } from './log.ts';
import type { Clock } from './time.ts';

// Records read at once.
const RECALL_READ = 1024;

/** A room that its engine has attached, and the ids of its messages. */
export interface DedupedRoom {
  readonly name: string;
  readonly dedupe: Dedupe;
}

/**
 * Reads the ids of a room's recent messages up to `head`, so that a room that returns to memory
 * recognizes their retries.
 */
export function recallIds(
  { name, dedupe }: DedupedRoom,
  head: number,
  engine: Engine,
  { ms, messages }: DedupeLimits,
  clock: Clock,
): NowOrLater<void> {
  const since = clock.date() - ms;
  const recall = (records: readonly LogRecord[]) => {
    for (const { sender, id, seq, at } of records) {
      if (at >= since && id !== '') dedupe.remember(sender, id, seq, clock.now());
    }
    return records.length > 0 && (records[0] as LogRecord).at >= since;
  };
  const recallBefore = (from: number): NowOrLater<void> => {
    if (from < engine.position(name).first || head - from >= messages) return;
    const records = engine.read(name, Math.max(from - RECALL_READ, 0), Math.min(RECALL_READ, from));
    return andThen(records, (read) => (recall(read) ? recallBefore(from - RECALL_READ) : undefined));
  };
  return recallBefore(head);
}
