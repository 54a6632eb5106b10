import type { Place } from '../../src/protocol/v1.ts';
import type { Lost, Shown } from './history.ts';
import type { Violation } from './violation.ts';

/** The log of an epoch `logId-term`. */
export function logOf(epoch: string): string {
  return epoch.slice(0, epoch.lastIndexOf('-'));
}

/** What clients learned about the messages that two epochs of one log share. */
interface Link {
  readonly from: string;
  readonly to: string;
  /** They share at least the messages up to here: a client resumed there. */
  atLeast: number;
  /** They share exactly the messages up to here: a client was notified that the next one is lost. */
  exactly?: number;
  /** The last message that any client knows to be lost. */
  lostTo: number;
}

/** One message, as a client was shown it. */
interface Entry {
  readonly shown: Shown;
  readonly client: string;
}

/**
 * The logs of one room, as all clients together were shown them. A message is named by the epoch it
 * was shown in and its `seq`. Two epochs of one log share the messages up to the end of the older.
 */
export class Logs {
  readonly violations: Violation[] = [];
  readonly #room: string;
  readonly #entries = new Map<number, Map<string, Entry>>();
  readonly #links = new Map<string, Link>();
  readonly #gaps: { readonly log: string; readonly from: number; readonly to: number }[] = [];

  constructor(room: string) {
    this.#room = room;
  }

  add(client: string, epoch: string, shown: Shown): void {
    const atSeq = this.#entries.get(shown.seq) ?? new Map<string, Entry>();
    this.#entries.set(shown.seq, atSeq);
    const existing = atSeq.get(epoch);
    if (!existing) atSeq.set(epoch, { shown, client });
    else if (!same(existing.shown, shown)) this.#conflict(existing, epoch, { shown, client }, epoch);
  }

  /** A client was notified of a gap, so its messages need not be shown to anyone. */
  addGap(epoch: string, from: number, to: number): void {
    this.#gaps.push({ log: logOf(epoch), from, to });
  }

  /** A client that stood at a place goes on in another epoch of the same log. */
  link(client: string, place: Place, epoch: string, lost: Lost | undefined): void {
    if (place.epoch === epoch) return;
    const key = `${place.epoch} ${epoch}`;
    const link: Link = this.#links.get(key) ?? { from: place.epoch, to: epoch, atLeast: 0, lostTo: 0 };
    this.#links.set(key, link);
    if (!lost) {
      link.atLeast = Math.max(link.atLeast, place.seq);
    } else {
      const end = lost.from - 1;
      if (link.exactly !== undefined && link.exactly !== end) {
        this.#add(
          'ends',
          client,
          `${place.epoch} ends at ${end} in ${epoch}, and at ${link.exactly} for another client`,
        );
      }
      link.exactly ??= end;
      link.lostTo = Math.max(link.lostTo, lost.to);
    }
    if (link.exactly !== undefined && link.atLeast > link.exactly) {
      this.#add(
        'ends',
        client,
        `${place.epoch} ends at ${link.exactly} in ${epoch}, and another client resumed at ${link.atLeast}`,
      );
    }
  }

  /** Whether two epochs have the same message at a `seq`. */
  shares(one: string, other: string, seq: number): boolean {
    if (one === other) return true;
    const reached = new Set([one]);
    for (const epoch of reached) {
      for (const { from, to, atLeast, exactly } of this.#links.values()) {
        if ((exactly ?? atLeast) < seq) continue;
        if (from === epoch) reached.add(to);
        if (to === epoch) reached.add(from);
      }
    }
    return reached.has(other);
  }

  /** The message at a `seq` of an epoch, if any client was shown it. */
  find(epoch: string, seq: number): Shown | undefined {
    for (const [candidate, { shown }] of this.#entries.get(seq) ?? []) {
      if (this.shares(candidate, epoch, seq)) return shown;
    }
    return undefined;
  }

  isInGap(epoch: string, seq: number): boolean {
    const log = logOf(epoch);
    return this.#gaps.some((gap) => gap.log === log && gap.from <= seq && seq <= gap.to);
  }

  /** Whether some client knows that the message of this epoch is lost. */
  isLost(epoch: string, seq: number): boolean {
    return [...this.#links.values()].some(
      ({ from, exactly }) => exactly !== undefined && exactly < seq && this.shares(from, epoch, seq),
    );
  }

  /** Compares the epochs with each other, once all histories are read. */
  compare(): void {
    for (const [seq, atSeq] of this.#entries) {
      const entries = [...atSeq];
      for (const [i, [epoch, entry]] of entries.entries()) {
        for (const [other, otherEntry] of entries.slice(i + 1)) {
          if (same(entry.shown, otherEntry.shown) || !this.shares(epoch, other, seq)) continue;
          this.#conflict(entry, epoch, otherEntry, other);
        }
      }
    }
    this.#checkIds();
    for (const { from, to, exactly, lostTo } of this.#links.values()) {
      if (exactly === undefined) continue;
      for (let seq = exactly + 1; seq <= lostTo; seq++) {
        const [before, after] = [this.#entries.get(seq)?.get(from), this.#entries.get(seq)?.get(to)];
        if (before && after && same(before.shown, after.shown)) {
          this.#add('ends', after.client, `${seq} of ${from} is named as lost, and is still in ${to}`);
        }
      }
    }
  }

  /** An id has one `seq` in what an epoch shows, its inherited messages included. */
  #checkIds(): void {
    const places = new Map<string, Map<number, string>>();
    for (const [seq, atSeq] of this.#entries) {
      for (const [epoch, { shown, client }] of atSeq) {
        if (shown.id === '') continue;
        const earlier = places.get(shown.id) ?? new Map<number, string>();
        places.set(shown.id, earlier);
        for (const [otherSeq, otherEpoch] of earlier) {
          if (otherSeq === seq || !this.shares(epoch, otherEpoch, Math.min(seq, otherSeq))) continue;
          this.#add('repeat', client, `${shown.id} is stored as ${otherSeq} in ${otherEpoch} and ${seq} in ${epoch}`);
        }
        earlier.set(seq, epoch);
      }
    }
  }

  #conflict(one: Entry, epoch: string, other: Entry, otherEpoch: string): void {
    const text = `${one.shown.seq} is ${describe(one.shown)} in ${epoch} for ${one.client}, and`;
    this.#add('conflict', other.client, `${text} ${describe(other.shown)} in ${otherEpoch} for ${other.client}`);
  }

  #add(kind: Violation['kind'], client: string, text: string): void {
    this.violations.push({ kind, client: client || this.#room, text });
  }
}

function same(one: Shown, other: Shown): boolean {
  return one.id === other.id && one.at === other.at && one.from === other.from && sameData(one, other);
}

function sameData(one: Shown, other: Shown): boolean {
  return one.data === other.data || JSON.stringify(one.data) === JSON.stringify(other.data);
}

function describe({ id, from, at, data }: Shown): string {
  return `${JSON.stringify(id)} of ${from} at ${at}: ${JSON.stringify(data).slice(0, 40)}`;
}
