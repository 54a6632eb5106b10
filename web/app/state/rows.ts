import type { Place } from '../../sdk/index.ts';
import type { Coming, Entry, Missing, Note, Said } from './timeline.ts';

/** One line of the conversation as it is shown. */
export type Row =
  | { readonly kind: 'day'; readonly key: string; readonly at: number }
  | { readonly kind: 'unread'; readonly key: string }
  | {
      readonly kind: 'message';
      readonly key: string;
      readonly said: Said;
      readonly first: boolean;
      readonly own: boolean;
    }
  | Missing
  | Coming
  | Note;

// What one says within so long is one group, under one name.
const GROUP_MS = 5 * 60_000;

/**
 * Lays out what was said: days are separated, one author's messages grouped, and a line shows where the unread ones begin.
 *
 * @param me whose messages are one's own. @param seen what follows is unread; undefined: all is read.
 */
export function rowsOf(entries: readonly Entry[], me: string, seen: Place | undefined): Row[] {
  const rows: Row[] = [];
  let before: Said | undefined;
  let group = '';
  let marked = seen === undefined;
  for (const entry of entries) {
    if (entry.kind !== 'said') {
      rows.push(entry);
      group = '';
      continue;
    }
    if (before === undefined || dayOf(before.at) !== dayOf(entry.at)) {
      rows.push({ kind: 'day', key: `day ${entry.key}`, at: entry.at });
      group = '';
    }
    if (!marked && seen && entry.from !== me && isAfter(entry, seen)) {
      rows.push({ kind: 'unread', key: 'unread' });
      marked = true;
      group = '';
    }
    const first = group !== entry.from || entry.at - (before?.at ?? 0) >= GROUP_MS;
    rows.push({ kind: 'message', key: entry.key, said: entry, first, own: entry.from === me });
    before = entry;
    group = entry.from;
  }
  return rows;
}

function isAfter(said: Said, { epoch, seq }: Place): boolean {
  return said.epoch !== epoch || said.seq > seq;
}

function dayOf(at: number): number {
  return new Date(at).setHours(0, 0, 0, 0);
}
