import type { Place } from '../../sdk/index.ts';
import type { Person } from './people.ts';
import type { Entry, MessageEntry, Missing, Note, PresenceChange } from './timeline.ts';

/** One row of the log on the screen. */
export type Row =
  | { readonly kind: 'day'; readonly key: string; readonly at: number }
  | { readonly kind: 'unread'; readonly key: string }
  | {
      readonly kind: 'message';
      readonly key: string;
      readonly message: MessageEntry;
      /** Whether the message is the first of its group and shows its author. */
      readonly first: boolean;
      readonly author: Person;
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
 * @param authorOf returns the author of a message.
 *
 * @param seen the last message read; undefined if there is nothing unread.
 */
export function rowsOf(
  entries: readonly Entry[],
  authorOf: (message: MessageEntry) => Person,
  seen: Place | undefined,
): Row[] {
  const rows: Row[] = [];
  let previous: MessageEntry | undefined;
  let groupAuthor: Person | undefined;
  let marked = seen === undefined;
  for (const entry of entries) {
    if (entry.kind !== 'message') {
      rows.push(entry);
      groupAuthor = undefined;
      continue;
    }
    const author = authorOf(entry);
    if (previous === undefined || dayOf(previous.at) !== dayOf(entry.at)) {
      rows.push({ kind: 'day', key: `day ${entry.key}`, at: entry.at });
      groupAuthor = undefined;
    }
    if (!marked && seen && !entry.lost && !entry.deleted && !author.own && isAfter(entry, seen)) {
      rows.push({ kind: 'unread', key: 'unread' });
      marked = true;
      groupAuthor = undefined;
    }
    const first = !groupAuthor || !isSame(groupAuthor, author) || entry.at - (previous?.at ?? 0) >= GROUP_MS;
    rows.push({ kind: 'message', key: entry.key, message: entry, first, author });
    previous = entry;
    groupAuthor = author;
  }
  return rows;
}

export function isSame(one: Person, other: Person): boolean {
  return one.name === other.name && one.number === other.number && one.own === other.own;
}

function isAfter(message: MessageEntry, { epoch, seq }: Place): boolean {
  return message.epoch !== epoch || message.seq > seq;
}

/** Returns the midnight before a time. */
export function dayOf(at: number): number {
  return new Date(at).setHours(0, 0, 0, 0);
}
