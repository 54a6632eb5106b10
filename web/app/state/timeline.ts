import type { GapReason, Place } from '../../sdk/index.ts';

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
  readonly text: string;
  /** Set if the server has lost the message. Another one may have its `seq` now. */
  readonly lost?: true;
}

/** A range of messages, `from` to `to` inclusive, that are not loaded. */
export interface Missing {
  readonly kind: 'missing';
  readonly key: string;
  readonly epoch: string;
  readonly from: number;
  readonly to: number;
  readonly reason: GapReason;
  /** Whether the server does not have the messages either. */
  readonly lost: boolean;
}

/** The place of messages that the server has lost. The numbers from `from` on are given anew. */
export interface Lost {
  readonly kind: 'lost';
  readonly key: string;
  readonly epoch: string;
  readonly from: number;
  /** How many messages were lost. */
  readonly count: number;
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

export type Entry = MessageEntry | Missing | Lost | PresenceChange | Note;

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

  /** The entries to show, oldest first. */
  get entries(): readonly Entry[] {
    return this.#view ?? this.#tail;
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

  /**
   * Moves the entries of an epoch to the one in which the log continues. Lost messages stay, marked
   * as lost, and an entry after them reports their number.
   *
   * @param lost the lost messages, numbered by `previous`; undefined if there are none.
   */
  moveTo(previous: string, epoch: string, lost: Range | undefined, scrolledBack: boolean): void {
    const end = lost?.from ?? Number.POSITIVE_INFINITY;
    const isMoving = (entry: Entry): entry is Numbered => isNumbered(entry) && entry.epoch === previous;
    const isLost = (entry: Entry) => isMoving(entry) && lastOf(entry) >= end;
    const move = (entries: readonly Entry[]) =>
      entries.flatMap((entry) => (isMoving(entry) ? moved(entry, epoch, end) : [entry]));
    const viewLoses = this.#view?.some(isLost);
    this.#tail = move(this.#tail);
    this.#view &&= move(this.#view);
    if (this.#floor.epoch === previous) this.#floor = { epoch, seq: Math.min(this.#floor.seq, end) };
    if (!lost) return;
    const report: Lost = { kind: 'lost', key: this.key(), epoch, from: end, count: lost.to - end + 1 };
    if (viewLoses) this.#view = [...(this.#view ?? []), report].slice(-MAX_ENTRIES);
    this.add([report], scrolledBack);
  }

  /** Removes an entry, such as a lost message that is sent again. */
  remove(key: string): void {
    const remaining = (entries: readonly Entry[]) => entries.filter((entry) => entry.key !== key);
    this.#tail = remaining(this.#tail);
    this.#view &&= remaining(this.#view);
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
      (entry) => entry.key === last?.key || (isNumbered(entry) && isUpTo(entry, end)),
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
    this.#view = undefined;
  }

  /**
   * Replaces a missing range with the page requested after its start. Messages before the page are
   * lost; messages after it remain missing.
   */
  fill(missing: Missing, { messages }: Page): void {
    const loaded = messages.filter(({ seq }) => seq >= missing.from && seq <= missing.to);
    const part = (from: number, to: number, lost: boolean): Missing[] =>
      from > to ? [] : [{ ...missing, key: `${missing.epoch}:${from}-${to}`, from, to, lost }];
    const until = loaded.at(-1)?.seq ?? missing.to;
    const replacement = [
      ...part(missing.from, (loaded[0]?.seq ?? missing.to + 1) - 1, true),
      ...loaded,
      ...part(until + 1, missing.to, false),
    ];
    const at = this.entries.indexOf(missing);
    const replace = (entries: readonly Entry[]) =>
      entries.flatMap((entry) => (entry === missing ? replacement : [entry]));
    const entries = replace(this.entries);
    this.#tail = replace(this.#tail).slice(-MAX_ENTRIES);
    if (!this.#view && entries.length <= MAX_ENTRIES) return;
    const start = Math.max(0, Math.min(at - PAGE_SIZE, entries.length - MAX_ENTRIES));
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

/** An entry that has a place in the log. `Lost` covers no sequence number: it precedes `from`. */
type Numbered = MessageEntry | Missing | Lost;

function isNumbered(entry: Entry): entry is Numbered {
  return entry.kind === 'message' ? !entry.lost : entry.kind === 'missing' || entry.kind === 'lost';
}

function firstOf(entry: Numbered): number {
  return entry.kind === 'message' ? entry.seq : entry.from;
}

function lastOf(entry: Numbered): number {
  if (entry.kind === 'message') return entry.seq;
  return entry.kind === 'missing' ? entry.to : entry.from - 1;
}

/** Returns the place of the last numbered entry. */
function endOf(entries: readonly Entry[]): Place | undefined {
  const last = entries.findLast(isNumbered);
  return last && { epoch: last.epoch, seq: lastOf(last) };
}

/** Returns an entry as it is in the next epoch, in which the numbers from `end` on are new. */
function moved(entry: Numbered, epoch: string, end: number): Entry[] {
  if (entry.kind === 'lost') return [{ ...entry, epoch, from: Math.min(entry.from, end) }];
  if (entry.kind === 'message') return [entry.seq < end ? { ...entry, epoch } : { ...entry, lost: true }];
  return entry.from < end ? [{ ...entry, epoch, to: Math.min(entry.to, end - 1) }] : [];
}

function isUpTo(entry: Numbered, { epoch, seq }: Place): boolean {
  return entry.epoch === epoch && firstOf(entry) <= seq;
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
