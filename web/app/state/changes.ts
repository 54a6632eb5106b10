import type { Change, Message, Reaction } from '../../sdk/index.ts';
import type { TextData } from './outgoing.ts';
import type { MessageEntry } from './timeline.ts';

/** A change of a message, in an epoch of the log. */
export type ChangeRecord = Change<TextData> & { readonly epoch: string };

/** The number of users that a reaction lists. It counts the others only. */
const MAX_USERS = 100;

/** Returns the entry of a message, with the changes that it contains. */
export function toEntry({ data, ...message }: Message<TextData>, epoch: string): MessageEntry {
  const text = message.deleted ? '' : textOf(data);
  return { ...message, kind: 'message', key: `${epoch}:${message.seq}`, epoch, text };
}

/** Returns the text of a message. Other clients may send any JSON. */
function textOf(data: unknown): string {
  if (typeof data === 'object' && data !== null && 'text' in data && typeof data.text === 'string') return data.text;
  return typeof data === 'string' ? data : JSON.stringify(data);
}

/**
 * Applies a change to its message. Changes count in the order of the log: a message that contains
 * the change, or is deleted, is returned as it is.
 */
export function fold(message: MessageEntry, change: ChangeRecord): MessageEntry {
  const { seq, of, epoch, op, data, reaction = '', from, at } = change;
  if (of !== message.seq || epoch !== message.epoch || message.lost) return message;
  if (message.deleted || seq <= (message.changed ?? 0)) return message;
  const next = { ...message, changed: seq };
  switch (op) {
    case 'edit':
      // Without data, a later change replaces it.
      return { ...next, edited: seq, editedAt: at, text: data === undefined ? message.text : textOf(data) };
    case 'delete':
      return { ...next, text: '', deleted: true, reactions: undefined };
    case 'react':
    case 'unreact':
      return { ...next, reactions: foldReaction(message.reactions, reaction, from, op === 'react') };
  }
}

/** Adds the reaction of a user, or takes it back. A user counts once for each reaction. */
export function foldReaction(
  reactions: readonly Reaction[] = [],
  reaction: string,
  user: string,
  on: boolean,
): readonly Reaction[] | undefined {
  const current = reactions.find((each) => each.reaction === reaction);
  if (!current) return on ? [...reactions, { reaction, count: 1, users: [user] }] : reactions;
  const { count, users } = current;
  const listed = users.includes(user);
  if (on ? listed : !listed && users.length === count) return reactions;
  const next = on
    ? { reaction, count: count + 1, users: count < MAX_USERS ? [...users, user] : users }
    : { reaction, count: count - 1, users: users.filter((name) => name !== user) };
  const all = reactions.flatMap((each) => (each !== current ? [each] : next.count > 0 ? [next] : []));
  return all.length > 0 ? all : undefined;
}

/**
 * Whether a message has reactions of users that are not listed. Then a change does not tell whether
 * its user has reacted before.
 */
export function isUncertain({ reactions = [] }: MessageEntry): boolean {
  return reactions.some(({ count, users }) => count > users.length);
}
