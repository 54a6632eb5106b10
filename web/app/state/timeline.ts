import type { Place, Reaction } from '../../sdk/index.ts';
import type { RejectedChange } from './unsaved-change.ts';

/** A message of the log. */
export interface MessageEntry {
  readonly kind: 'message';
  readonly key: string;
  readonly epoch: string;
  readonly seq: number;
  readonly id: string;
  readonly from: string;
  /** When the message was stored, in milliseconds since the Unix epoch. */
  readonly at: number;
  /** Empty if the message is deleted. */
  readonly text: string;
  /** Set if the server has lost the message. Another one may have its `seq` now. */
  readonly lost?: true;
  /** The number of the message that this one replies to. */
  readonly reply?: number | undefined;
  /** The number of the last edit. */
  readonly edited?: number | undefined;
  /** When the last edit was stored. Unknown if the edit did not arrive while the page was open. */
  readonly editedAt?: number | undefined;
  readonly deleted?: true | undefined;
  /** The oldest reaction first. */
  readonly reactions?: readonly Reaction[] | undefined;
  /** The number of the last change that the message contains. */
  readonly changed?: number | undefined;
  /** What of the message the log does not have yet: `edit`, `delete`, or a reaction. */
  readonly unsaved?: readonly string[];
  /** Changes that the server has rejected. */
  readonly rejected?: readonly RejectedChange[];
}

/**
 * A range of messages, `from` to `to` inclusive, that are not loaded. An empty range, with `to`
 * before `from`, is the place of messages that the server lost in a failover.
 */
export interface Missing {
  readonly kind: 'missing';
  readonly key: string;
  readonly epoch: string;
  readonly from: number;
  readonly to: number;
  /** Whether the server does not have the messages either. */
  readonly lost: boolean;
  /** How many messages were lost in a failover. Their numbers are given anew. */
  readonly lostCount?: number;
  /** Set if some of the numbers may be those of changes: the room has changes. */
  readonly atMost?: boolean;
}

/** The users who joined and left between two messages. */
export interface PresenceChange {
  readonly kind: 'presence';
  readonly key: string;
  readonly joined: readonly string[];
  readonly left: readonly string[];
}

/** A note from the page itself. */
export interface Note {
  readonly kind: 'note';
  readonly key: string;
  readonly text: string;
}

export type Entry = MessageEntry | Missing | PresenceChange | Note;

/** Sequence numbers, `from` to `to` inclusive. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

/** A page of history, oldest first. */
export interface Page {
  readonly messages: readonly MessageEntry[];
  /** Whether the server has more in the requested direction. */
  readonly more: boolean;
  /** The numbers that the page covers. Those without a message are of changes. */
  readonly from: number;
  readonly to: number;
}

/** The maximum number of entries in the view. The tail has the same limit. */
export const MAX_ENTRIES = 300;
/** The number of entries by which the view moves. */
export const PAGE_SIZE = 100;

/**
 * A window on a room's log. It shows the tail, which is the newest entries, until the reader
 * scrolls back. Then it shows a separate view of older entries while the tail keeps growing. Both
 * are bounded, so a page may stay open indefinitely.
 */
export class Timeline {
  #tail: readonly Entry[] = [];
  #view: readonly Entry[] | undefined;
  /** The first message that the server is known to have, in one epoch of the log. */
  #floor: Place = { epoch: '', seq: 1 };
  #keys = 0;
  #generation = 0;

  /** The entries to show, oldest first. */
  get entries(): readonly Entry[] {
    return this.#view ?? this.#tail;
  }

  /** Returns the newest messages that the server has, oldest first. */
  latest(count: number): readonly MessageEntry[] {
    return this.#tail.filter((entry): entry is MessageEntry => entry.kind === 'message' && !entry.lost).slice(-count);
  }

  /** Incremented when the view is replaced. A page requested before that does not fit any more. */
  get generation(): number {
    return this.#generation;
  }

  /** Whether the view is separate from the tail. */
  get detached(): boolean {
    return this.#view !== undefined;
  }

  /** The place before which the server has older messages; undefined if it has none. */
  get before(): Place | undefined {
    const first = this.entries.find(isNumbered);
    if (!first || first.epoch !== endOf(this.#tail)?.epoch) return undefined;
    const { epoch } = first;
    const floor = this.#floor.epoch === epoch ? this.#floor.seq : 1;
    return firstOf(first) > floor ? { epoch, seq: firstOf(first) } : undefined;
  }

  /** Returns a new key for an entry that has no sequence number. */
  key(): string {
    return `_${++this.#keys}`;
  }

  /** Appends the newest entries. @param scrolledBack whether to keep the entries on the screen. */
  add(entries: readonly Entry[], scrolledBack: boolean): void {
    const all = [...this.#tail, ...entries];
    if (scrolledBack && all.length > MAX_ENTRIES) this.#view ??= all.slice(0, MAX_ENTRIES);
    this.#tail = all.slice(-MAX_ENTRIES);
  }

  /** Appends a missing range. A range that continues the last entry is merged with it. */
  addMissing(missing: Missing, scrolledBack: boolean): void {
    const last = this.#tail.at(-1);
    const merges = last?.kind === 'missing' && !last.lostCount && last.lost === missing.lost;
    // The end of a view must stay where the tail continues it.
    if (!merges || this.#view || last.epoch !== missing.epoch || last.to + 1 !== missing.from) {
      this.add([missing], scrolledBack);
      return;
    }
    this.#tail = [...this.#tail.slice(0, -1), ...partOf(missing, last.from, missing.to, missing.lost)];
  }

  /**
   * Moves the entries of an epoch to the one in which the log continues. Lost messages stay, marked
   * as lost, and an entry after them reports their number.
   *
   * @param lost the lost messages and changes, numbered by `previous`; undefined if there are none.
   * @param lostCount how many of them are messages.
   */
  moveTo(
    previous: string,
    epoch: string,
    lost: Range | undefined,
    scrolledBack: boolean,
    lostCount = lost ? lost.to - lost.from + 1 : 0,
  ): void {
    const next = lost?.from ?? Number.POSITIVE_INFINITY;
    const move = (entries: readonly Entry[]) => entries.flatMap((entry) => moved(entry, previous, epoch, next));
    const end = endOf(this.#view ?? []);
    this.#tail = move(this.#tail);
    this.#view &&= move(this.#view);
    if (lostCount === 0) return;
    const place = { epoch, from: next, to: next - 1, lostCount };
    const report: Missing = { kind: 'missing', key: this.key(), ...place, lost: true };
    if (this.#view && end?.epoch === previous && end.seq >= next)
      this.#view = [...this.#view, report].slice(-MAX_ENTRIES);
    this.add([report], scrolledBack);
  }

  /** Replaces messages by what `change` returns for them. It returns the others as they are. */
  update(change: (message: MessageEntry) => MessageEntry): void {
    const replaced = new Map<Entry, Entry>();
    for (const entry of [...this.#tail, ...(this.#view ?? [])]) {
      const next = entry.kind === 'message' && !replaced.has(entry) ? change(entry) : entry;
      if (next !== entry) replaced.set(entry, next);
    }
    if (replaced.size === 0) return;
    const replace = (entries: readonly Entry[]) => entries.map((entry) => replaced.get(entry) ?? entry);
    this.#tail = replace(this.#tail);
    this.#view &&= replace(this.#view);
  }

  /** Appends a presence change. Consecutive changes are merged into one entry. */
  addPresence(joined: readonly string[], left: readonly string[], scrolledBack: boolean): void {
    const last = this.#tail.at(-1);
    const previous = last?.kind === 'presence' ? last : { key: this.key(), joined: [], left: [] };
    const merged: PresenceChange = { kind: 'presence', key: previous.key, ...merge(previous, joined, left) };
    if (last?.kind === 'presence') this.#tail = this.#tail.slice(0, -1);
    if (merged.joined.length + merged.left.length > 0) this.add([merged], scrolledBack);
  }

  /** Prepends a page of older messages. */
  addOlder({ messages, more }: Page): void {
    const first = this.entries.find(isNumbered);
    const older = messages.filter(({ seq, epoch }) => !first || (epoch === first.epoch && seq < firstOf(first)));
    const oldest = older[0] ?? first;
    if (oldest && (!more || older.length === 0)) this.#floor = { epoch: oldest.epoch, seq: firstOf(oldest) };
    const all = [...older, ...this.entries];
    if (!this.#view && all.length <= MAX_ENTRIES) this.#tail = all;
    else this.#view = all.slice(0, MAX_ENTRIES);
  }

  /**
   * Moves the view forward, using the entries of the tail.
   *
   * @returns the place after which to request messages, if the view and the tail do not meet.
   */
  showNewer(): Place | undefined {
    const end = this.#view && endOf(this.#view);
    if (!end) {
      this.showLatest();
      return undefined;
    }
    const last = this.#view?.at(-1);
    const at = this.#tail.findLastIndex(
      (entry) =>
        entry.key === last?.key || (isNumbered(entry) && entry.epoch === end.epoch && firstOf(entry) <= end.seq),
    );
    const first = this.#tail.find(isNumbered);
    if (at < 0 && first?.epoch === end.epoch && firstOf(first) > end.seq + 1) return end;
    this.#move(this.#tail.slice(at + 1, at + 1 + PAGE_SIZE));
    return undefined;
  }

  /** Appends a page of messages between the view and the tail. */
  addNewer({ messages }: Page): void {
    const end = this.#view && endOf(this.#view);
    const first = this.#tail.find(isNumbered);
    if (!end) return;
    const newer = messages.filter(({ seq }) => seq > end.seq && (!first || seq < firstOf(first)));
    this.#move(newer.length > 0 ? newer : this.#tail.slice(0, PAGE_SIZE));
  }

  /** Shows the tail again. */
  showLatest(): void {
    if (this.#view) this.#generation++;
    this.#view = undefined;
  }

  /** Whether the view holds the first message after a place, or the server has none before it. */
  reaches({ epoch, seq }: Place): boolean {
    const first = this.entries.find(isNumbered);
    return !first || first.epoch !== epoch || firstOf(first) <= seq + 1 || !this.before;
  }

  /** Shows a page of the log in place of the tail. */
  showPage({ messages }: Page): void {
    if (messages.length === 0) return;
    this.#view = messages;
    this.#generation++;
  }

  /**
   * Replaces a missing range with a page of it. The server has lost messages that the page skips;
   * those beyond the page remain missing.
   *
   * @param fromEnd whether the page was requested before the end of the range, not after its start.
   *
   * @param scrolledBack whether to keep the entries on the screen.
   *
   * @param readerKey the entry in the middle of the screen. @default an entry close to the range
   */
  fill(missing: Missing, page: Page, fromEnd = false, scrolledBack = true, readerKey?: string): void {
    const replacement = filled(missing, page, fromEnd);
    const at = this.entries.indexOf(missing);
    if (at < 0 && !this.#tail.includes(missing)) return;
    const replace = (entries: readonly Entry[]) =>
      entries.flatMap((entry) => (entry === missing ? replacement : [entry]));
    const entries = replace(this.entries);
    this.#tail = replace(this.#tail).slice(-MAX_ENTRIES);
    if (!this.#view && (entries.length <= MAX_ENTRIES || !scrolledBack)) return;
    const reader = entries.findIndex(({ key }) => key === readerKey);
    const middle = reader < 0 ? at + (fromEnd ? replacement.length : 0) : reader;
    const start = Math.max(0, Math.min(middle - MAX_ENTRIES / 2, entries.length - MAX_ENTRIES));
    this.#view = entries.slice(start, start + MAX_ENTRIES);
  }

  /** Appends entries to the view. A view that reaches the end of the tail becomes the tail. */
  #move(next: readonly Entry[]): void {
    const keys = new Set(next.map(({ key }) => key));
    const view = [...(this.#view ?? []).filter(({ key }) => !keys.has(key)), ...next].slice(-MAX_ENTRIES);
    const atEnd = view.at(-1) === this.#tail.at(-1);
    if (atEnd) this.#tail = view;
    this.#view = atEnd ? undefined : view;
  }
}

/** Returns what a page makes of a missing range. The server has lost what the page skips. */
function filled(missing: Missing, { messages, more, ...page }: Page, fromEnd: boolean): Entry[] {
  const [from, to] = [Math.max(page.from, missing.from), Math.min(page.to, missing.to)];
  if (from > to) return partOf(missing, missing.from, missing.to, true);
  return [
    ...partOf(missing, missing.from, from - 1, !fromEnd || !more),
    ...messages.filter(({ seq }) => seq >= from && seq <= to),
    ...partOf(missing, to + 1, missing.to, fromEnd),
  ];
}

/** Returns a part of a missing range, or nothing if the part is empty. */
function partOf(missing: Missing, from: number, to: number, lost: boolean): Missing[] {
  return from > to ? [] : [{ ...missing, key: `${missing.epoch}:${from}-${to}`, from, to, lost }];
}

/** An entry that has a place in the log. */
type Numbered = MessageEntry | Missing;

function isNumbered(entry: Entry): entry is Numbered {
  return entry.kind === 'message' ? !entry.lost : entry.kind === 'missing';
}

function firstOf(entry: Numbered): number {
  return entry.kind === 'message' ? entry.seq : entry.from;
}

/** Returns the place of the last numbered entry. */
function endOf(entries: readonly Entry[]): Place | undefined {
  const last = entries.findLast(isNumbered);
  return last && { epoch: last.epoch, seq: last.kind === 'message' ? last.seq : last.to };
}

/**
 * Returns an entry of the epoch `previous` as it is in the epoch that follows, in which the numbers
 * from `next` on are given anew.
 */
function moved(entry: Entry, previous: string, epoch: string, next: number): Entry[] {
  if (!isNumbered(entry) || entry.epoch !== previous) return [entry];
  if (entry.kind === 'message') return [entry.seq < next ? { ...entry, epoch } : { ...entry, lost: true }];
  if (entry.from >= next && !entry.lostCount) return [];
  return [{ ...entry, epoch, from: Math.min(entry.from, next), to: Math.min(entry.to, next - 1) }];
}

/** Merges two presence changes. A join and a leave of the same user cancel each other out. */
function merge(
  previous: Pick<PresenceChange, 'joined' | 'left'>,
  joined: readonly string[],
  left: readonly string[],
): Pick<PresenceChange, 'joined' | 'left'> {
  const [allJoined, allLeft] = [new Set(previous.joined), new Set(previous.left)];
  for (const name of joined) if (!allLeft.delete(name)) allJoined.add(name);
  for (const name of left) if (!allJoined.delete(name)) allLeft.add(name);
  return { joined: [...allJoined], left: [...allLeft] };
}
