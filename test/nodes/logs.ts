import type { Place } from '../../src/protocol/v1.ts';
import type { Lost, ReceivedMessage } from './history.ts';
import type { Violation } from './violation.ts';

/** The log of an epoch `logId-term`. */
export function logOf(epoch: string): string {
  return epoch.slice(0, epoch.lastIndexOf('-'));
}

/** The messages that two epochs of one log share, as far as clients know. */
interface Link {
  readonly from: string;
  readonly to: string;
  /** They share at least the messages up to here: a client resumed there. */
  atLeast: number;
  /** They share exactly the messages up to here: for a client the next one is lost. */
  exactly?: number;
  /** The last message that any client knows to be lost. */
  lostTo: number;
}

/** One message, as a client received it. */
interface Entry {
  readonly message: ReceivedMessage;
  readonly client: string;
}

/**
 * The logs of one room, as all clients together received them. A message is named by its `seq` and
 * the epoch in which a client received it. Two epochs of one log share the messages up to the end
 * of the older.
 */
export class Logs {
  readonly violations: Violation[] = [];
  readonly #room: string;
  readonly #entries = new Map<number, Map<string, Entry>>();
  readonly #links = new Map<string, Link>();
  readonly #linksOf = new Map<string, Link[]>();
  readonly #gaps: { readonly log: string; readonly from: number; readonly to: number }[] = [];

  constructor(room: string) {
    this.#room = room;
  }

  add(client: string, epoch: string, message: ReceivedMessage): void {
    const atSeq = this.#entries.get(message.seq) ?? new Map<string, Entry>();
    this.#entries.set(message.seq, atSeq);
    const existing = atSeq.get(epoch);
    if (!existing) atSeq.set(epoch, { message, client });
    else if (!same(existing.message, message)) this.#conflict(existing, epoch, { message, client }, epoch);
  }

  /** A client was notified of a gap, so its messages need not reach anyone. */
  addGap(epoch: string, from: number, to: number): void {
    this.#gaps.push({ log: logOf(epoch), from, to });
  }

  /** A client that stood at a place continues in another epoch of the same log. */
  link(client: string, place: Place, epoch: string, lost: Lost | undefined): void {
    if (place.epoch === epoch) return;
    const link = this.#linkBetween(place.epoch, epoch);
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

  #linkBetween(from: string, to: string): Link {
    const key = `${from} ${to}`;
    const existing = this.#links.get(key);
    if (existing) return existing;
    const link: Link = { from, to, atLeast: 0, lostTo: 0 };
    this.#links.set(key, link);
    for (const epoch of [from, to]) this.#linksOf.set(epoch, [...(this.#linksOf.get(epoch) ?? []), link]);
    return link;
  }

  /** Whether two epochs have the same message at a `seq`. */
  shares(one: string, other: string, seq: number): boolean {
    if (one === other) return true;
    const reached = new Set([one]);
    for (const epoch of reached) {
      for (const { from, to, atLeast, exactly } of this.#linksOf.get(epoch) ?? []) {
        if ((exactly ?? atLeast) >= seq) reached.add(from === epoch ? to : from);
      }
      if (reached.has(other)) return true;
    }
    return false;
  }

  /** The message at a `seq` of an epoch, if any client received it. */
  find(epoch: string, seq: number): ReceivedMessage | undefined {
    for (const [candidate, { message }] of this.#entries.get(seq) ?? []) {
      if (this.shares(candidate, epoch, seq)) return message;
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
          if (same(entry.message, otherEntry.message) || !this.shares(epoch, other, seq)) continue;
          this.#conflict(entry, epoch, otherEntry, other);
        }
      }
    }
    this.#checkIds();
    for (const { from, to, exactly, lostTo } of this.#links.values()) {
      if (exactly === undefined) continue;
      for (let seq = exactly + 1; seq <= lostTo; seq++) {
        const [before, after] = [this.#entries.get(seq)?.get(from), this.#entries.get(seq)?.get(to)];
        if (before && after && same(before.message, after.message)) {
          this.#add('ends', after.client, `${seq} of ${from} is named as lost, and is still in ${to}`);
        }
      }
    }
  }

  /** An id has one `seq` in what an epoch shows, its inherited messages included. */
  #checkIds(): void {
    const places = new Map<string, Map<number, string>>();
    for (const [seq, atSeq] of this.#entries) {
      for (const [epoch, { message, client }] of atSeq) {
        if (message.id === '') continue;
        const earlier = places.get(message.id) ?? new Map<number, string>();
        places.set(message.id, earlier);
        for (const [otherSeq, otherEpoch] of earlier) {
          if (otherSeq === seq || !this.shares(epoch, otherEpoch, Math.min(seq, otherSeq))) continue;
          this.#add('repeat', client, `${message.id} is stored as ${otherSeq} in ${otherEpoch} and ${seq} in ${epoch}`);
        }
        earlier.set(seq, epoch);
      }
    }
  }

  #conflict(one: Entry, epoch: string, other: Entry, otherEpoch: string): void {
    const text = `${one.message.seq} is ${describe(one.message)} in ${epoch} for ${one.client}, and`;
    this.#add('conflict', other.client, `${text} ${describe(other.message)} in ${otherEpoch} for ${other.client}`);
  }

  #add(kind: Violation['kind'], client: string, text: string): void {
    this.violations.push({ kind, client: client || this.#room, text });
  }
}

function same(one: ReceivedMessage, other: ReceivedMessage): boolean {
  return one.id === other.id && one.at === other.at && one.from === other.from && sameData(one, other);
}

function sameData(one: ReceivedMessage, other: ReceivedMessage): boolean {
  return one.data === other.data || JSON.stringify(one.data) === JSON.stringify(other.data);
}

function describe({ id, from, at, data }: ReceivedMessage): string {
  return `${JSON.stringify(id)} of ${from} at ${at}: ${JSON.stringify(data).slice(0, 40)}`;
}
