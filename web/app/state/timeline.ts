import type { GapReason, Place } from '../../sdk/index.ts';

/** Something that was said. */
export interface Said {
  readonly kind: 'said';
  readonly key: string;
  readonly epoch: string;
  readonly seq: number;
  readonly id: string;
  readonly from: string;
  readonly at: number;
  readonly text: string;
}

/** The messages `from`…`to` are not here. `lost`: the server does not have them either. */
export interface Missing {
  readonly kind: 'missing';
  readonly key: string;
  readonly epoch: string;
  readonly from: number;
  readonly to: number;
  readonly why: GapReason;
  readonly lost: boolean;
}

/** Who came and who went between two messages. */
export interface Coming {
  readonly kind: 'coming';
  readonly key: string;
  readonly joined: readonly string[];
  readonly left: readonly string[];
}

/** Something that the page itself has to say. */
export interface Note {
  readonly kind: 'note';
  readonly key: string;
  readonly text: string;
}

export type Entry = Said | Missing | Coming | Note;

/** A page of what was said, oldest first. `more`: there is more in the direction that was asked for. */
export interface Page {
  readonly messages: readonly Said[];
  readonly more: boolean;
}

/** Entries that are shown at most; as many of the newest are held beside them. */
export const KEEP = 300;
/** Entries by which the window moves. */
export const PAGE = 100;

/**
 * A window on a room's log. It shows the newest entries, the tail, until someone reads back: then it shows older ones, while the
 * tail grows on beside it. Both are bounded, so that a page may stay open for ever.
 */
export class Timeline {
  #tail: readonly Entry[] = [];
  #view: readonly Entry[] | undefined;
  /** The first message that the server has, as far as is known: of one life of the log. */
  #floor: Place = { epoch: '', seq: 1 };
  #keys = 0;

  /** What is shown, oldest first. */
  get entries(): readonly Entry[] {
    return this.#view ?? this.#tail;
  }

  /** Whether something newer than what is shown is held back. */
  get detached(): boolean {
    return this.#view !== undefined;
  }

  /** The place before which there is more to be had; undefined where there is none. */
  get before(): Place | undefined {
    const first = this.entries.find(isNumbered);
    if (!first || first.epoch !== endOf(this.#tail)?.epoch) return undefined;
    const { epoch } = first;
    const floor = this.#floor.epoch === epoch ? this.#floor.seq : 1;
    return firstOf(first) > floor ? { epoch, seq: firstOf(first) } : undefined;
  }

  /** A key for an entry that has no number of the log's. */
  key(): string {
    return `_${++this.#keys}`;
  }

  /** Adds the newest. @param held someone reads back: nothing that is shown may go. */
  add(entries: readonly Entry[], held: boolean): void {
    const all = [...this.#tail, ...entries];
    if (held && all.length > KEEP) this.#view ??= all.slice(0, KEEP);
    this.#tail = all.slice(-KEEP);
  }

  /** Changes the newest entry, or adds one: it counts as the one before if that is of its kind. */
  mergeComing(joined: readonly string[], left: readonly string[], held: boolean): void {
    const last = this.#tail.at(-1);
    const before = last?.kind === 'coming' ? last : { key: this.key(), joined: [], left: [] };
    const merged: Coming = { kind: 'coming', key: before.key, ...merge(before, joined, left) };
    if (last?.kind === 'coming') this.#tail = this.#tail.slice(0, -1);
    if (merged.joined.length + merged.left.length > 0) this.add([merged], held);
  }

  /** Adds what comes before. */
  addOlder({ messages, more }: Page): void {
    const first = this.entries.find(isNumbered);
    const fresh = messages.filter(({ seq, epoch }) => !first || (epoch === first.epoch && seq < firstOf(first)));
    const reached = fresh[0] ?? first;
    if (reached && (!more || fresh.length === 0)) this.#floor = { epoch: reached.epoch, seq: firstOf(reached) };
    const all = [...fresh, ...this.entries];
    if (!this.#view && all.length <= KEEP) this.#tail = all;
    else this.#view = all.slice(0, KEEP);
  }

  /**
   * Shows what comes after, as far as it is held here.
   *
   * @returns the place after which the server must be asked, if it is not.
   */
  showNewer(): Place | undefined {
    const end = this.#view && endOf(this.#view);
    if (!end) {
      this.showLatest();
      return undefined;
    }
    const at = this.#tail.findLastIndex((entry) => isNumbered(entry) && isUpTo(entry, end));
    const first = this.#tail.find(isNumbered);
    if (at < 0 && first?.epoch === end.epoch && firstOf(first) > end.seq + 1) return end;
    this.#move(this.#tail.slice(at + 1, at + 1 + PAGE));
    return undefined;
  }

  /** Adds what the server has after the last that is shown. */
  addNewer({ messages }: Page): void {
    const end = this.#view && endOf(this.#view);
    const first = this.#tail.find(isNumbered);
    if (!end) return;
    const fresh = messages.filter(({ seq }) => seq > end.seq && (!first || seq < firstOf(first)));
    this.#move(fresh.length > 0 ? fresh : this.#tail.slice(0, PAGE));
  }

  /** Shows the newest entries again. */
  showLatest(): void {
    this.#view = undefined;
  }

  /** Puts what was asked for in the place of what is missing: all of it, some, or the news that there is none. */
  fill(missing: Missing, { messages }: Page): void {
    const found = messages.filter(({ seq }) => seq >= missing.from && seq <= missing.to);
    const part = (from: number, to: number, lost: boolean): Missing[] =>
      from > to ? [] : [{ ...missing, key: `${missing.epoch}:${from}-${to}`, from, to, lost }];
    const until = found.at(-1)?.seq ?? missing.to;
    const instead = [
      ...part(missing.from, (found[0]?.seq ?? missing.to + 1) - 1, true),
      ...found,
      ...part(until + 1, missing.to, false),
    ];
    const at = this.entries.indexOf(missing);
    const replace = (entries: readonly Entry[]) => entries.flatMap((entry) => (entry === missing ? instead : [entry]));
    const shown = replace(this.entries);
    this.#tail = replace(this.#tail).slice(-KEEP);
    if (!this.#view && shown.length <= KEEP) return;
    const start = Math.max(0, Math.min(at - PAGE, shown.length - KEEP));
    this.#view = shown.slice(start, start + KEEP);
  }

  #move(next: readonly Entry[]): void {
    const keys = new Set(next.map(({ key }) => key));
    const view = [...(this.#view ?? []).filter(({ key }) => !keys.has(key)), ...next].slice(-KEEP);
    const reached = view.at(-1) === this.#tail.at(-1);
    if (reached) this.#tail = view;
    this.#view = reached ? undefined : view;
  }
}

/** What stands for numbers of the log. */
type Numbered = Said | Missing;

function isNumbered(entry: Entry): entry is Numbered {
  return entry.kind === 'said' || entry.kind === 'missing';
}

function firstOf(entry: Numbered): number {
  return entry.kind === 'said' ? entry.seq : entry.from;
}

/** Up to where some entries go. */
function endOf(entries: readonly Entry[]): Place | undefined {
  const last = entries.findLast(isNumbered);
  return last && { epoch: last.epoch, seq: last.kind === 'said' ? last.seq : last.to };
}

function isUpTo(entry: Numbered, { epoch, seq }: Place): boolean {
  return entry.epoch === epoch && firstOf(entry) <= seq;
}

/** Who came and went again, or went and came again, did neither. */
function merge(before: Pick<Coming, 'joined' | 'left'>, joined: readonly string[], left: readonly string[]) {
  const [came, went] = [new Set(before.joined), new Set(before.left)];
  for (const name of joined) if (!went.delete(name)) came.add(name);
  for (const name of left) if (!came.delete(name)) went.add(name);
  return { joined: [...came], left: [...went] };
}
