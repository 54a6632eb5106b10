import { signal } from '@preact/signals';
import type { Place } from '../../sdk/index.ts';
import { oncePerFrame } from './frames.ts';
import { loadStored, updateStored } from './storage.ts';

/**
 * The minimum time between two reports to the server while the reader scrolls, in milliseconds. The
 * server limits the rate of requests.
 */
const REPORT_INTERVAL_MS = 250;

/** Tracks which messages of a room have been read, across all tabs and the user's devices. */
export class ReadState {
  /** The number of unread messages. Zero until the last messages of the history are loaded. */
  readonly unread = signal(0);
  /** Whether `unread` may be too high: only the numbers are known of messages and of changes. */
  readonly unreadAtMost = signal(false);
  /** The number of unread messages that name the user, among those that were counted. */
  readonly mentions = signal(0);
  /** The last message read before the room was opened; undefined if nothing was unread. */
  readonly unreadAfter = signal<Place | undefined>(undefined);
  /** Whether the log is scrolled to the newest message. */
  atLatest = true;
  /** Whether the log has yet to scroll to the first unread message. Until then nothing is seen. */
  opensAtUnread = false;
  /** Whether the room is on the screen. */
  active = false;
  readonly #room: string;
  readonly #reportSeen: (seq: number) => void;
  readonly #scheduleSave = oncePerFrame(() => this.#save());
  #seen: Place | undefined;
  /** The unread messages that name the user. */
  #mentions: readonly Place[] = [];
  /** The newest message. */
  #head: Place | undefined;
  /** The numbers after `#seen` that nobody has to read: those of changes and deleted messages. */
  #unreadable = new Set<number>();
  /** From this number on, messages and changes are told apart. */
  #coveredFrom = Number.POSITIVE_INFINITY;
  /** Whether the last messages of the history are loaded. Until then nothing counts as seen. */
  #loaded = false;
  /** Whether this browser does not know how far the user had read before. */
  #isFirstVisit = false;
  #reportTimer: ReturnType<typeof setTimeout> | undefined;

  /** @param reportSeen reports the last message seen to the server. */
  constructor(room: string, reportSeen: (seq: number) => void) {
    this.#room = room;
    this.#reportSeen = reportSeen;
    this.#seen = loadStored().seen[room];
  }

  /**
   * Handles a join at `head`. On the first visit to a room, its history counts as read.
   *
   * @param previous an epoch whose numbers before `next` are also the head's. Empty if none is.
   */
  joined(head: Place, previous: string, next = Number.POSITIVE_INFINITY): void {
    const move = (place: Place | undefined) =>
      place?.epoch === previous ? { epoch: head.epoch, seq: Math.min(place.seq, next - 1) } : place;
    this.unreadAfter.value = move(this.unreadAfter.value);
    this.#seen = move(this.#seen);
    this.#mentions = this.#mentions.flatMap((place) => move(place) ?? []);
    if (this.#head && previous === this.#head.epoch) {
      for (const seq of this.#unreadable) if (seq >= next) this.#unreadable.delete(seq);
      this.#coveredFrom = Math.min(this.#coveredFrom, next);
    } else {
      this.#unreadable.clear();
      this.#coveredFrom = head.seq + 1;
    }
    if (this.#seen?.epoch !== head.epoch) {
      this.#seen = head;
      this.#isFirstVisit = true;
      this.#scheduleSave();
    }
    this.setHead(head);
  }

  /** Handles the end of loading the last messages. */
  historyLoaded(): void {
    this.#loaded = true;
    this.#countUnread();
    if (this.active) this.#markUnread();
    this.#update();
    this.#isFirstVisit = false;
  }

  /** Handles the numbers that a page of the history covers. @param messages the numbers to read */
  addCovered(from: number, to: number, messages: ReadonlySet<number>): void {
    for (let seq = Math.max(from, (this.#seen?.seq ?? 0) + 1); seq <= to; seq++) {
      if (!messages.has(seq)) this.#unreadable.add(seq);
    }
    if (from <= to && to + 1 >= this.#coveredFrom) this.#coveredFrom = Math.min(this.#coveredFrom, from);
    this.#countUnread();
  }

  /** Handles numbers up to this one that neither a message nor a change has arrived for. */
  addGap(to: number): void {
    this.#coveredFrom = to + 1;
    this.unreadAtMost.value = false; // so that the next count reports the gap, also after another one
  }

  /** Before this place, unread messages are not told apart from changes; undefined if all are. */
  get uncountedBefore(): Place | undefined {
    return this.#head && this.unreadAtMost.peek() ? { epoch: this.#head.epoch, seq: this.#coveredFrom } : undefined;
  }

  /** Handles the number of a change, or of a deleted message. The caller sets the head. */
  addUnreadable(seq: number): void {
    if (this.#seen && seq > this.#seen.seq) this.#unreadable.add(seq);
  }

  setHead(head: Place | undefined): void {
    this.#head = head;
    this.#update();
  }

  /** Sets whether the room is on the screen. Opening it marks where the unread messages begin. */
  setActive(active: boolean): void {
    this.active = active;
    if (active) this.#markUnread();
    this.#update();
  }

  setAtLatest(atLatest: boolean): void {
    this.atLatest = atLatest;
    this.#update();
  }

  /** Handles that the messages up to a place have been on the screen. */
  setVisible(place: Place): void {
    if (!this.active || !this.#loaded || this.opensAtUnread) return;
    if (place.epoch !== this.#head?.epoch || this.#hasSeen(place)) return;
    this.#seen = place;
    this.#scheduleSave();
    this.#countUnread();
    this.#reportTimer ??= setTimeout(() => {
      this.#reportTimer = undefined;
      if (this.#seen?.epoch === this.#head?.epoch) this.#reportSeen(this.#seen?.seq ?? 0);
    }, REPORT_INTERVAL_MS);
  }

  /**
   * Applies the place that the user has read up to on another device. On the first visit with this
   * browser, what follows it is unread.
   */
  readOnDevice(place: Place): void {
    if (!this.#isFirstVisit) {
      this.seenElsewhere(place);
      return;
    }
    this.#isFirstVisit = false;
    this.#seen = place;
    this.#scheduleSave();
    this.#countUnread();
  }

  /**
   * Counts a message that names the user, unless it has been seen.
   *
   * @param mentions whether it does: a changed message may not any more.
   */
  addMention({ epoch, seq }: Place, mentions = true): void {
    const others = this.#mentions.filter((place) => place.epoch !== epoch || place.seq !== seq);
    this.#mentions = mentions ? [...others, { epoch, seq }] : others;
    this.#countUnread();
  }

  /** Applies the place that another tab has read up to. */
  seenElsewhere(place: Place): void {
    if (this.#hasSeen(place)) return;
    this.#seen = place;
    this.#countUnread();
  }

  /** Marks where the unread messages begin, unless the reader has scrolled back. */
  #markUnread(): void {
    this.unreadAfter.value = this.unread.value > 0 ? this.#seen : undefined;
    if (this.unread.value === 0 || !this.atLatest) return;
    this.opensAtUnread = true;
    this.atLatest = false;
  }

  #update(): void {
    const allSeen = this.active && this.atLatest && this.#loaded;
    if (allSeen && this.#head && (this.#isFirstVisit || !this.#hasSeen(this.#head))) {
      this.#seen = this.#head;
      this.#reportSeen(this.#head.seq);
      this.#scheduleSave();
    }
    this.#countUnread();
  }

  #hasSeen({ epoch, seq }: Place): boolean {
    return this.#seen !== undefined && this.#seen.epoch === epoch && this.#seen.seq >= seq;
  }

  #countUnread(): void {
    if (!this.#head || !this.#seen) return;
    const { seq } = this.#seen;
    for (const each of this.#unreadable) if (each <= seq) this.#unreadable.delete(each);
    const after = this.#head.epoch === this.#seen.epoch ? this.#head.seq - seq : 0;
    this.unread.value = this.#loaded ? Math.max(0, after - this.#unreadable.size) : 0;
    this.unreadAtMost.value = this.unread.value > 0 && seq + 1 < this.#coveredFrom;
    const { epoch } = this.#seen;
    this.#mentions = this.#mentions.filter((place) => place.epoch === epoch && !this.#hasSeen(place));
    this.mentions.value = this.#mentions.length;
  }

  #save(): void {
    const seen = this.#seen;
    if (seen) updateStored((stored) => ({ seen: { ...stored.seen, [this.#room]: seen } }));
  }
}
