import type { Position } from '../hub/engine.ts';
import type { Place } from '../protocol/v1.ts';
import type { Batch, Cursor } from './cursor.ts';

/** What is to be done next for a cursor. */
export type Step =
  /** Everything is delivered. */
  | { readonly kind: 'done' }
  /** The log is in a later epoch, which has everything that was delivered. */
  | { readonly kind: 'moved'; readonly cursor: Cursor }
  /** A batch, new or in flight, of records: those after the cursor up to `to`. */
  | { readonly kind: 'messages'; readonly to: number }
  /** A gap, new or in flight. */
  | { readonly kind: 'gap'; readonly gap: Omit<Extract<Batch, { kind: 'gap' }>, 'id' | 'kind'> };

/** A log as the cursor sees it. */
interface Life {
  /** The last record of the cursor's epoch that the log has. */
  readonly last: number;
  /** The epoch that follows. Undefined while the cursor's epoch is the current one. */
  readonly next: string | undefined;
}

/**
 * Returns what is next for a cursor, by the room's position.
 *
 * @param divergedEnd returns the last record that the log shares with an epoch that the position
 *   does not name; undefined when they share none.
 */
export function nextStep(cursor: Cursor, position: Position, divergedEnd: (epoch: string) => number | undefined): Step {
  const { epoch, seq } = cursor;
  const { last, next } = lifeOf(epoch, position, divergedEnd);
  const to = lastSeen(cursor);
  if (seq > last || (seq === last && next !== undefined && to > last)) {
    // The log has lost records, which may have been delivered.
    return { kind: 'gap', gap: { from: last + 1, to, why: 'epoch', next: { epoch: next ?? epoch, seq: last } } };
  }
  if (seq < last) {
    if (seq + 1 >= position.first) return { kind: 'messages', to: last };
    const trimmed = Math.min(position.first - 1, last);
    return { kind: 'gap', gap: { from: seq + 1, to: trimmed, why: 'trimmed', next: { epoch, seq: trimmed } } };
  }
  if (next === undefined) return { kind: 'done' };
  return { kind: 'moved', cursor: { epoch: next, seq, heads: withoutHead(cursor.heads, epoch) } };
}

/** The last record that the cursor's epoch was ever seen to have. */
function lastSeen({ epoch, seq, batch, heads }: Cursor): number {
  return Math.max(seq, heads?.[epoch] ?? 0, batch?.kind === 'messages' ? batch.to : 0);
}

function lifeOf(
  epoch: string,
  { epoch: current, seq, earlier = [] }: Position,
  divergedEnd: (epoch: string) => number | undefined,
): Life {
  if (epoch === current) return { last: seq, next: undefined };
  const index = earlier.findIndex((place) => place.epoch === epoch);
  if (index < 0) return { last: divergedEnd(epoch) ?? 0, next: current };
  return { last: (earlier[index] as Place).seq, next: earlier[index + 1]?.epoch ?? current };
}

/** Returns the heads without that of an epoch that is behind the cursor. */
export function withoutHead(heads: Cursor['heads'], epoch: string): Cursor['heads'] {
  if (heads === undefined || !(epoch in heads)) return heads;
  const rest = Object.entries(heads).filter(([name]) => name !== epoch);
  return rest.length === 0 ? undefined : Object.fromEntries(rest);
}

/** Returns the heads with what an epoch was seen to have, unless more was seen. */
export function withHead(heads: Cursor['heads'], { epoch, seq }: Place): Cursor['heads'] {
  return (heads?.[epoch] ?? 0) >= seq ? heads : { ...heads, [epoch]: seq };
}
