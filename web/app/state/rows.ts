import type { Place } from '../../sdk/index.ts';
import type { Entry, MessageEntry, Missing, Note, PresenceChange } from './timeline.ts';

/** One row of the log on the screen. */
export type Row =
  | { readonly kind: 'day'; readonly key: string; readonly at: number }
  | { readonly kind: 'unread'; readonly key: string }
  | {
      readonly kind: 'message';
      readonly key: string;
      readonly message: MessageEntry;
      readonly first: boolean;
      readonly own: boolean;
    }
  | Missing
  | PresenceChange
  | Note;

// Messages of one author that follow each other within this time form a group.
const GROUP_MS = 5 * 60_000;

/**
 * Lays out the log: separates days, groups the messages of one author, and marks where the unread
 * messages begin.
 *
 * @param user the author of the reader's own messages.
 * @param seen the last message read; undefined if there is nothing unread.
 */
export function rowsOf(entries: readonly Entry[], user: string, seen: Place | undefined): Row[] {
  const rows: Row[] = [];
  let previous: MessageEntry | undefined;
  let groupAuthor = '';
  let marked = seen === undefined;
  for (const entry of entries) {
    if (entry.kind !== 'message') {
      rows.push(entry);
      groupAuthor = '';
      continue;
    }
    if (previous === undefined || dayOf(previous.at) !== dayOf(entry.at)) {
      rows.push({ kind: 'day', key: `day ${entry.key}`, at: entry.at });
      groupAuthor = '';
    }
    if (!marked && seen && !entry.lost && entry.from !== user && isAfter(entry, seen)) {
      rows.push({ kind: 'unread', key: 'unread' });
      marked = true;
      groupAuthor = '';
    }
    const first = groupAuthor !== entry.from || entry.at - (previous?.at ?? 0) >= GROUP_MS;
    rows.push({ kind: 'message', key: entry.key, message: entry, first, own: entry.from === user });
    previous = entry;
    groupAuthor = entry.from;
  }
  return rows;
}

function isAfter(message: MessageEntry, { epoch, seq }: Place): boolean {
  return message.epoch !== epoch || message.seq > seq;
}

function dayOf(at: number): number {
  return new Date(at).setHours(0, 0, 0, 0);
}
