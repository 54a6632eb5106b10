import type { Connection } from '../state/chat.ts';
import { dayOf } from '../state/rows.ts';
import type { Missing, PresenceChange } from '../state/timeline.ts';

// A longer list is shortened.
const MAX_NAMES = 3;

const timeFormat = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const dayFormat = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const dateFormat = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'long', year: 'numeric' });
const timestampFormat = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });

export function formatTime(at: number): string {
  return timeFormat.format(at);
}

export function formatTimestamp(at: number): string {
  return timestampFormat.format(at);
}

/** Formats a day as "Today", "Yesterday", or its date, with the year unless it is this year. */
export function formatDay(at: number, now = Date.now()): string {
  const days = Math.round((dayOf(now) - dayOf(at)) / 86_400_000);
  if (days === 0) return 'Today';
  if (days === 1) return 'Yesterday';
  return new Date(at).getFullYear() === new Date(now).getFullYear() ? dayFormat.format(at) : dateFormat.format(at);
}

/** Formats a count, as in "3 messages". */
export function count(n: number, noun: string): string {
  return `${n.toLocaleString()} ${noun}${n === 1 ? '' : 's'}`;
}

/** Formats a list of names, as in "ada, bob, carol and 2 others". */
export function formatNames(names: readonly string[]): string {
  const visible = names.map(visibleName);
  const rest = visible.length - MAX_NAMES;
  const items = rest > 1 ? [...visible.slice(0, MAX_NAMES), `${rest} others`] : visible;
  return items.length < 2 ? (items[0] ?? '') : `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;
}

export function presenceText({ joined, left }: PresenceChange): string {
  const parts = [joined.length > 0 && `${formatNames(joined)} joined`, left.length > 0 && `${formatNames(left)} left`];
  return parts.filter(Boolean).join(' · ');
}

/**
 * Returns how many messages are missing. In a room with changes, some of the numbers may be theirs.
 */
export function missingCount({ from, to, lostCount, atMost }: Missing): string {
  return `${atMost ? 'Up to ' : ''}${count(lostCount ?? to - from + 1, 'message')}`;
}

export function missingText(missing: Missing): string {
  const { from, to, lost, lostCount } = missing;
  const n = lostCount ?? to - from + 1;
  const unavailable = lostCount ? 'no longer stored: lost when the server moved' : 'no longer available';
  return `${missingCount(missing)} ${n === 1 ? 'is' : 'are'} ${lost ? unavailable : 'missing'}`;
}

export function typingText(names: readonly string[]): string {
  if (names.length === 0) return '';
  if (names.length > MAX_NAMES) return 'Several people are typing…';
  return `${formatNames(names)} ${names.length === 1 ? 'is' : 'are'} typing…`;
}

/** Replaces invisible characters and bidi controls of a name, which could disguise it. */
export function visibleName(name: string): string {
  return name.replace(/[\p{Cc}\p{Bidi_Control}\u200b\u2060\ufeff]/gu, '\ufffd');
}

/** The context of a connection's state. */
interface ConnectionContext {
  /** Whether the page was connected before. */
  readonly reconnect: boolean;
  /** Whether the server has recently evicted the page as a slow consumer. */
  readonly evicted: boolean;
  /** The number of pending messages. */
  readonly pending: number;
}

/**
 * Describes the state of the connection.
 *
 * @param now the current time, as in `performance.now()`.
 */
export function connectionText(
  connection: Connection,
  { reconnect, evicted, pending }: ConnectionContext,
  now: number,
): string {
  const unsent = pending > 0 ? ` · ${pending} unsent` : '';
  switch (connection.name) {
    case 'connecting':
      return `${evicted ? EVICTED : ''}${reconnect ? 'Reconnecting' : 'Connecting'}…${unsent}`;
    case 'live':
      return evicted ? 'Live. The page fell behind and had to reconnect.' : 'Live';
    case 'reconnecting':
      return `${evicted ? EVICTED : sentence(connection.why)}Reconnecting ${remaining(connection, now)}${unsent}`;
    case 'waiting':
      return `${sentence(connection.why)}Trying again ${remaining(connection, now)}${unsent}`;
    case 'offline':
      return `Offline${unsent}`;
    case 'refused':
      return `Disconnected: ${connection.why}`;
    case 'closed':
      return 'Closed';
  }
}

/** Matches the result of `remaining`. */
export const REMAINING = / in \d+ (s|min)/;

/** Formats the time until the next attempt, in minutes if it is long. */
function remaining({ until = 0 }: Connection, now: number): string {
  const seconds = Math.max(1, Math.ceil((until - now) / 1000));
  return seconds <= 90 ? `in ${seconds} s` : `in ${Math.ceil(seconds / 60)} min`;
}

const EVICTED = 'Disconnected because the page fell behind. ';
/** The client library's reason for a close without a reason. It adds nothing to "Reconnecting". */
const NO_REASON = 'the connection was lost';

function sentence(reason: string): string {
  return reason === NO_REASON ? '' : `${reason.charAt(0).toUpperCase()}${reason.slice(1)}. `;
}
