import type { Connection } from '../state/chat.ts';
import type { Coming, Missing } from '../state/timeline.ts';

const NAMED = 3;

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const day = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const dayAndYear = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'long', year: 'numeric' });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });

export function timeOf(at: number): string {
  return clock.format(at);
}

export function momentOf(at: number): string {
  return full.format(at);
}

export function dayOf(at: number, now = Date.now()): string {
  const days = Math.round((midnight(now) - midnight(at)) / 86_400_000);
  if (days === 0) return 'Today';
  if (days === 1) return 'Yesterday';
  return new Date(at).getFullYear() === new Date(now).getFullYear() ? day.format(at) : dayAndYear.format(at);
}

function midnight(at: number): number {
  return new Date(at).setHours(0, 0, 0, 0);
}

/** As in "3 messages". */
export function count(n: number, what: string): string {
  return `${n.toLocaleString()} ${what}${n === 1 ? '' : 's'}`;
}

/** As in "ada, bob and 2 others". */
export function listed(names: readonly string[]): string {
  const shown = names.map(visible);
  const rest = shown.length - NAMED;
  const all = rest > 1 ? [...shown.slice(0, NAMED), `${rest} others`] : shown;
  return all.length < 2 ? (all[0] ?? '') : `${all.slice(0, -1).join(', ')} and ${all.at(-1)}`;
}

export function comingWords({ joined, left }: Coming): string {
  const parts = [joined.length > 0 && `${listed(joined)} joined`, left.length > 0 && `${listed(left)} left`];
  return parts.filter(Boolean).join(' · ');
}

export function missingWords({ from, to, lost }: Missing): string {
  const n = to - from + 1;
  const are = n === 1 ? 'is' : 'are';
  return lost ? `${count(n, 'message')} ${are} no longer kept` : `${count(n, 'message')} ${are} missing`;
}

export function typingWords(names: readonly string[]): string {
  if (names.length === 0) return '';
  if (names.length > NAMED) return 'Several people are typing…';
  return `${listed(names)} ${names.length === 1 ? 'is' : 'are'} typing…`;
}

/** A name as it is shown: what cannot be seen in it, or turns the text around it, can. */
export function visible(name: string): string {
  return name.replace(/[\p{Cc}\p{Bidi_Control}\u200b\u2060\ufeff]/gu, '\ufffd');
}

/** What the words for a connection depend on beside it. */
interface Circumstances {
  /** Whether there was one before. */
  readonly again: boolean;
  /** Whether the server has cut this page off, for reading too slowly, a moment ago. */
  readonly cutOff: boolean;
  /** Messages that wait for it. */
  readonly waiting: number;
}

/** Where the connection stands, in words. @param now by `performance.now()`. */
export function connectionWords(
  connection: Connection,
  { again, cutOff, waiting }: Circumstances,
  now: number,
): string {
  const held = waiting > 0 ? `, ${waiting} waiting` : '';
  switch (connection.name) {
    case 'connecting':
      return `${cutOff ? SLOW : ''}${again ? 'Reconnecting' : 'Connecting'}…${held}`;
    case 'live':
      return cutOff ? 'Live again: this page read too slowly and was cut off' : 'Live';
    case 'reconnecting': {
      const left = Math.max(1, Math.ceil(((connection.until ?? now) - now) / 1000));
      return `${cutOff ? SLOW : because(connection.why)}Reconnecting in ${left} s${held}`;
    }
    case 'offline':
      return `Offline${held}`;
    case 'refused':
      return `Refused: ${connection.why}`;
    case 'closed':
      return 'Closed';
  }
}

const SLOW = 'Cut off for reading too slowly. ';
const LOST = 'the connection was lost';

function because(why: string): string {
  return why === LOST ? '' : `${why.charAt(0).toUpperCase()}${why.slice(1)}. `;
}
